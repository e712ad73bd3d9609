"""Facts about processor, memory and GPU."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

_FEATURES = ("avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "amx_tile")


def processor() -> dict[str, Any]:
    """Name, cores and the vector features that matter."""
    lines = _lines("/proc/cpuinfo")
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {
        "name": name or platform.processor() or platform.machine(),
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "features": [feature for feature in _FEATURES if feature in flags],
    }


def memory() -> dict[str, int]:
    """Bytes of main memory, all and available; empty where the system does not tell."""
    kilobytes = {
        name: int(rest.split()[0])
        for name, _, rest in (line.partition(":") for line in _lines("/proc/meminfo"))
        if rest
    }
    known = {"total_bytes": "MemTotal", "available_bytes": "MemAvailable"}
    return {key: kilobytes[name] * 1024 for key, name in known.items() if name in kilobytes}


def gpus() -> list[dict[str, Any]]:
    """NVIDIA GPUs as the driver lists them."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        listed = subprocess.run(  # noqa: S603 - a fixed command
            [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"],
            capture_output=True, text=True, timeout=10, check=True,
        ).stdout  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return []
    found = [[part.strip() for part in line.split(",")] for line in listed.splitlines() if line.count(",") == 2]
    return [{"name": name, "memory_mib": int(memory), "driver": driver} for name, memory, driver in found]


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
