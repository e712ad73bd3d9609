"""Vocabularies and chat templates of the llama.cpp source that this checkout was built with."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
MISSING = (
    "the llama.cpp source that the build fetched was not found (a wheel does not bring it): "
    "build with make, or set POISE_LLAMA_SOURCE_DIR"
)


@cache
def source() -> Path | None:
    """Its folder: what POISE_LLAMA_SOURCE_DIR says, or what the newest build tree was configured with."""
    if chosen := os.environ.get("POISE_LLAMA_SOURCE_DIR"):
        return Path(chosen)
    caches = sorted(_ROOT.glob("build/*/CMakeCache.txt"), key=lambda path: -path.stat().st_mtime)
    for path in caches:
        for line in path.read_text().splitlines():
            if line.startswith("llama.cpp_SOURCE_DIR:STATIC="):
                found = Path(line.partition("=")[2])
                if (found / "models").is_dir():
                    return found
    return None


def templates() -> list[Path]:
    """All chat templates; none if the source is missing."""
    root = source()
    return sorted((root / "models" / "templates").glob("*.jinja")) if root else []


def vocabulary(name: str) -> Path | None:
    """The file of one vocabulary, such as `llama-bpe`."""
    root = source()
    path = root / "models" / f"ggml-vocab-{name}.gguf" if root else None
    return path if path is not None and path.exists() else None
