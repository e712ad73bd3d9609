"""Budgets, tables and stored results. A budget says what was measured and whether it is met."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import shlex
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.driver import ROOT

if TYPE_CHECKING:
    from support.stats import Estimate

RESULTS = ROOT / "bench" / "results"
SHIPPED_MODEL = ROOT / "engines" / "embedded" / "desk.gguf"


@dataclass(frozen=True)
class Budget:
    """One line of DESIGN's table of budgets, judged."""

    name: str
    limit: float
    measured: float
    low: float
    high: float
    unit: str = "ratio"
    at_least: bool = False  # the measured value must reach the limit, not stay below it
    samples: int | None = None

    @property
    def verdict(self) -> str:
        """`met`; `within noise` if the limit lies in the measurement's 95 % interval; else `not met`.

        `too few samples` where the interval of a miss means nothing.
        """
        if (self.measured >= self.limit) if self.at_least else (self.measured <= self.limit):
            return "met"
        if self.samples is not None and self.samples < 3:
            return "too few samples"
        touches = self.high >= self.limit if self.at_least else self.low <= self.limit
        return "within noise" if touches else "not met"

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict}

    def line(self) -> str:
        sign = ">=" if self.at_least else "<="
        measured = f"{self.measured:.3g} [{self.low:.3g}, {self.high:.3g}]"
        return f"{self.verdict:>15}  {self.name}: {measured}, budget {sign} {self.limit:g} {self.unit}"


def budget(name: str, limit: float, estimate: Estimate, unit: str = "ratio", *, at_least: bool = False) -> Budget:
    return Budget(name, limit, estimate.value, estimate.low, estimate.high, unit, at_least, estimate.samples)


def parser(doc: str | None) -> argparse.ArgumentParser:
    """The options that every script has."""
    lines = (doc or "").strip().splitlines()
    options = argparse.ArgumentParser(description=lines[0] if lines else None)
    options.add_argument("--model", type=Path, default=SHIPPED_MODEL, help="a GGUF file (default: the shipped model)")
    options.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    options.add_argument("--quick", action="store_true", help="a few repetitions: shows that it works, stores nothing")
    options.add_argument(
        "--output", type=Path, help="where to store the JSON (default: bench/results/, if not --quick)"
    )
    options.add_argument("--threads", type=int, default=os.cpu_count(), help="of executor and peers")
    return options


def check_model(model: Path) -> Path:
    if not model.is_file():
        sys.exit(f"{model} does not exist; name a GGUF file with --model, or make the shipped one")
    return model


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    name = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return {
        "cpu": name.group(1) if name else platform.processor(),
        "cores": os.cpu_count(),
        "isa": sorted({"avx2", "avx512f", "avx512_vnni", "amx_tile"} & set(text.split())),
        "memory_gib": round(int(memory.group(1)) / 2**20, 1) if memory else None,
        "system": f"{platform.system()} {platform.release()}",
        "load_average_1m_at_start": os.getloadavg()[0],
    }


def llama_version() -> str:
    """Which llama.cpp executor and peers are: the pinned source distribution that carries it."""
    text = (ROOT / "cmake" / "FetchLlama.cmake").read_text()
    version = re.search(r"set\(POISE_LLAMA_SDIST_VERSION (\S+)\)", text)
    digest = re.search(r"set\(POISE_LLAMA_SDIST_SHA256 (\w+)\)", text)
    assert version is not None
    assert digest is not None
    return f"llama-cpp-python {version.group(1)} (sha256 {digest.group(1)[:12]})"


def describe(model: Path | None) -> dict[str, Any]:
    """The head of every stored result. Call it before measuring."""
    command = ["python", str(Path(sys.argv[0]).resolve().relative_to(ROOT)), *sys.argv[1:]]
    return {
        "command": shlex.join(command),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
        "model": {"name": model.name, "bytes": model.stat().st_size} if model else None,
        "llama_cpp": llama_version(),
    }


def table(title: str, columns: list[str], rows: list[list[Any]]) -> str:
    """A plain text table; numbers with three digits that count."""

    def cell(value: Any) -> str:
        if value is None:
            return "-"
        if isinstance(value, float):
            return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
        return str(value)

    cells = [[cell(value) for value in row] for row in rows]
    widths = [max(len(line[i]) for line in [columns, *cells]) for i in range(len(columns))]
    lines = [
        "  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) for line in [columns, *cells]
    ]
    return "\n".join([title, *lines])


def finish(options: argparse.Namespace, name: str, result: dict[str, Any], tables: list[str]) -> None:
    """Print the object or the tables with the verdicts, and store the object."""
    budgets = [item.as_json() for item in result["budgets"]]
    stored = {**result, "budgets": budgets}
    if options.json:
        print(json.dumps(stored))
    else:
        print("\n\n".join(tables))
        print("\nBudgets (interval: 95 %, by resampling)")
        print("\n".join(item.line() for item in result["budgets"]))
    output = options.output or (None if options.quick else RESULTS / f"{name}.json")
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(stored, indent=1) + "\n")
