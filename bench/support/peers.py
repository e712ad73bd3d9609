"""The peers of the benchmarks, built by `make peers` from the llama.cpp source of the embedded executor."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.driver import ROOT

if TYPE_CHECKING:
    from types import TracebackType

Row = dict[str, Any]


def find_peer(name: str) -> Path | None:
    """The peer's program in build/peers/bin (POISE_PEERS overrides the folder), or None if not built."""
    folder = Path(os.environ.get("POISE_PEERS", ROOT / "build" / "peers" / "bin"))
    program = folder / name
    return program if program.exists() else None


def run_peer(program: Path, *words: object) -> str:
    """What a peer prints on its standard output."""
    return subprocess.run(
        [str(program), *(str(word) for word in words)], capture_output=True, text=True, check=True
    ).stdout


def llama_bench(program: Path, model: Path, threads: int, prompt: int, generate: int) -> dict[str, float]:
    """Tokens/s of one repetition of prefill and decode, one sequence."""
    printed = run_peer(
        program, "-m", model, "-t", threads, "-p", prompt, "-n", generate, "-r", 1, "-b", 512, "-o", "json"
    )  # fmt: skip
    return {"pp" if row["n_prompt"] else "tg": float(row["avg_ts"]) for row in json.loads(printed)}


def batched_bench(
    program: Path, model: Path, threads: int, prompt: int, generate: int, running: int, unified: bool
) -> float:
    """Tokens/s of `running` sequences that decode together behind `prompt` tokens each."""
    cells = -(-(prompt + generate) // 256) * 256  # a sequence: llama.cpp pads to 256, and skips what would not fit
    for _ in range(10):  # it may end before its logging thread has printed the line: then it is asked again
        printed = run_peer(
            program, "-m", model, "-t", threads, "-tb", threads, "-c", running * cells, "-b", 512,
            "-ub", 512, "-npp", prompt, "-ntg", generate, "-npl", running, "--output-format", "jsonl",
            "-kvu" if unified else "-no-kvu",
        )  # fmt: skip
        for line in printed.splitlines():
            if line.startswith("{"):
                return float(json.loads(line)["speed_tg"])
    raise RuntimeError(f"{program.name} printed no result in ten runs; the last printed: {printed!r}")


class Server:
    """One llama-server with one slot and its prefix cache on. A request's time begins on an open connection."""

    def __init__(self, program: Path, model: Path, context_tokens: int, threads: int) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.words = [
            "-m", model, "-c", context_tokens, "-np", 1, "-t", threads, "-tb", threads, "-ub", 512,
            "--override-kv", f"llama.context_length=int:{context_tokens}",  # it would cap a slot at the trained length
            "--cache-ram", 0, "--no-webui", "--host", "127.0.0.1", "--port", port,
        ]  # fmt: skip
        self._log = tempfile.NamedTemporaryFile("w+", suffix=".log")  # noqa: SIM115
        self._process = subprocess.Popen(
            [str(program), *(str(word) for word in self.words)], stdout=self._log, stderr=self._log
        )
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        self._await_health()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._connection.close()
        self._process.terminate()
        self._process.wait(timeout=30)
        self._log.close()

    def complete(self, prompt: list[int], answer_tokens: int, *, cache: bool = True) -> Row:
        """One streamed greedy completion; microseconds from before the request is written."""
        body = {
            "prompt": prompt, "n_predict": answer_tokens, "stream": True, "cache_prompt": cache, "id_slot": 0,
            "temperature": 0.0, "samplers": ["temperature"], "ignore_eos": True, "return_tokens": True,
        }  # fmt: skip
        token_us: list[float] = []
        timings: Row = {}
        # The server hangs up after some seconds or requests: each request has its own connection.
        self._connection.close()
        self._connection.connect()
        begin = time.perf_counter()
        self._connection.request("POST", "/completion", json.dumps(body), {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        if response.status != 200:
            raise RuntimeError(f"llama-server answered {response.status}: {response.read().decode()}")
        while line := response.readline():
            at_us = (time.perf_counter() - begin) * 1e6
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line[6:])
            token_us += [at_us] * (len(event.get("tokens", [])) if not event.get("stop") else 0)
            timings = event.get("timings", timings)
        turn_us = (time.perf_counter() - begin) * 1e6

        def nth(n: int) -> float | None:
            # text that ends inside a UTF-8 character is withheld: then later tokens cannot be told apart
            whole = len(token_us) >= answer_tokens
            return token_us[n - 1] if len(token_us) >= n and (whole or n == 1) else None

        return {
            "first_us": nth(1),
            "second_us": nth(2),
            "sixteenth_us": nth(16),
            "turn_us": turn_us,
            "prompt_us": timings.get("prompt_ms", 0.0) * 1e3,
            "prefilled_tokens": timings.get("prompt_n"),
            "generated_tokens": timings.get("predicted_n"),
        }

    def _await_health(self) -> None:
        for _ in range(600):
            if self._process.poll() is not None:
                self._log.seek(0)
                raise RuntimeError(f"llama-server ended: {self._log.read()[-2000:]}")
            try:
                self._connection.request("GET", "/health")
                response = self._connection.getresponse()
                response.read()
                if response.status == 200:
                    return
            except OSError:
                self._connection.close()
            time.sleep(0.1)
        raise RuntimeError("llama-server did not become healthy within a minute")
