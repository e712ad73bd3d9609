from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("pybind11_stubgen")


def test_the_stubs_of_the_core_are_what_the_extension_says() -> None:
    path = Path(__file__).with_name("stubs.py")
    spec = importlib.util.spec_from_file_location("poise_stubs", path)
    assert spec is not None
    assert spec.loader is not None
    stubs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stubs)
    assert stubs.STUB.read_text(encoding="utf-8") == stubs.generate(), "run `make stubs` and commit the result"
