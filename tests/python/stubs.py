"""The type stubs of ``poise._core``: ``python tests/python/stubs.py --write`` renews them (``make stubs``)."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

STUB = Path(__file__).resolve().parents[2] / "python" / "poise" / "_core.pyi"


def generate() -> str:
    """Return the stubs that the built extension asks for, formatted as the repository is."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pybind11_stubgen", "poise._core", "-o", folder, "--exit-code"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"pybind11-stubgen failed:\n{done.stdout}{done.stderr}")
        text = (Path(folder) / "poise" / "_core.pyi").read_text(encoding="utf-8")
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(STUB), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write python/poise/_core.pyi")
    text = generate()
    if parser.parse_args().write:
        STUB.write_text(text, encoding="utf-8")
        print(f"wrote {STUB}")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
