"""The C++ driver `poise_latency`: built on demand, run as a subcommand, spoken to line by line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]
Row = dict[str, Any]


def build_folder() -> Path:
    """The tree that `make` builds the core in: nothing is compiled twice. POISE_BENCH_BUILD overrides it."""
    if chosen := os.environ.get("POISE_BENCH_BUILD"):
        return Path(chosen)
    shared = ROOT / "build" / "python"
    return shared if (shared / "CMakeCache.txt").exists() else ROOT / "build" / "bench"


def tool_environment() -> dict[str, str]:
    """PATH with the interpreter's own scripts first: cmake and ninja of the virtual environment."""
    return {**os.environ, "PATH": f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"}


def find_driver() -> Path:
    """Build the driver (quick if nothing changed) and return its path; POISE_BENCH_DRIVER names a built one.

    Exits with the log if it fails.
    """
    if ready := os.environ.get("POISE_BENCH_DRIVER"):
        return Path(ready)
    build = build_folder()
    environment = tool_environment()
    cmake = shutil.which("cmake", path=environment["PATH"])
    if cmake is None:
        sys.exit("cmake was not found: run make test once, or install cmake and ninja")
    cached = build / "CMakeCache.txt"
    steps = []
    if not cached.exists() or "POISE_BUILD_BENCH:BOOL=ON" not in cached.read_text():
        steps.append([cmake, "-S", str(ROOT), "-B", str(build), "-DPOISE_BUILD_BENCH=ON"])
    steps.append([cmake, "--build", str(build), "--target", "poise_latency"])
    for step in steps:
        done = subprocess.run(step, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{' '.join(step)} failed:\n{done.stdout}{done.stderr}")
    return build / "bench" / "poise_latency"


def arguments(**named: object) -> list[str]:
    """Keyword arguments as the driver's `--name value` pairs; None is left out."""
    pairs = ((name.replace("_", "-"), value) for name, value in named.items() if value is not None)
    return [word for name, value in pairs for word in (f"--{name}", str(value))]


def run(driver: Path, subcommand: str, **named: object) -> Iterator[Row]:
    """Run a subcommand to its end, yielding its lines as they come."""
    command = [str(driver), subcommand, *arguments(**named)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            yield json.loads(line)
        errors = process.stderr.read()
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} failed: {errors}")


class Conversation:
    """A subcommand that answers each line of its standard input with one line. Use as a context manager."""

    def __init__(self, driver: Path, subcommand: str, **named: object) -> None:
        self._command = [str(driver), subcommand, *arguments(**named)]
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.facts = self._read()

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)

    def ask(self, *words: object) -> Row:
        """Send one command and return its answer. Exits with the driver's message if there is none."""
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Row:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait(timeout=60)
            sys.exit(f"{' '.join(self._command)} ended with status {status}: {self._process.stderr.read()}")
        return cast("Row", json.loads(line))
