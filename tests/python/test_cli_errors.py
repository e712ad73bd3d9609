"""Errors by hand: one clear sentence on stderr, exit code 2, never a traceback; and sessions live on."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

import pytest

from poise.cli import main
from poise.cli.loading import shipped_model

if TYPE_CHECKING:
    from pathlib import Path


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr."""
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert len(lines) == 1, lines
    assert lines[0].startswith("poise: ")
    return lines[0]


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def test_a_missing_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "nowhere.gguf"
    assert main(["run", str(path)]) == 2
    assert str(path) in said(capsys)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"not a model at all", b"GGUF\x03\x00\x00\x00" + b"\xff" * 64])
def test_a_corrupt_file(capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "corrupt.gguf"
    path.write_bytes(content)
    assert main(["run", str(path)]) == 2
    assert str(path) in said(capsys)


@pytest.mark.parametrize("share", [0.001, 0.5, 0.99])
def test_a_truncated_model(capsys: pytest.CaptureFixture[str], tmp_path: Path, share: float) -> None:
    whole = shipped_model().read_bytes()
    path = tmp_path / "truncated.gguf"
    path.write_bytes(whole[: int(len(whole) * share)])
    assert main(["run", str(path)]) == 2
    assert str(path) in said(capsys)


def test_an_unknown_architecture(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "other.gguf"
    whole = shipped_model().read_bytes()
    assert text("llama") in whole
    path.write_bytes(whole.replace(text("llama"), text("abaci"), 1))
    assert main(["run", str(path)]) == 2
    assert "abaci" in said(capsys)


def test_a_directory_is_no_model(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["run", str(tmp_path)]) == 2
    assert str(tmp_path) in said(capsys)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--temperature", "nan"], "temperature"),
        (["--temperature", "inf"], "temperature"),
        (["--top-p", "7"], "top_p"),
        (["--max-sequences", "0"], "max_sequences"),
    ],
)
def test_options_out_of_range(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, flags: list[str], named: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Hello\n"))
    assert main(["run", *flags]) == 2
    assert named in said(capsys)


def test_a_chat_lives_on_after_an_error(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    too_long = "again " * 3000
    monkeypatch.setattr("sys.stdin", io.StringIO(f"Hello\n{too_long}\n/what\nHello\n/quit\nnever read\n"))
    assert main(["run", "--system", "Be brief.", "--max-new-tokens", "4", "--context-tokens", "512"]) == 0
    captured = capsys.readouterr()
    errors = [line for line in captured.err.splitlines() if line.startswith("poise: ")]
    assert len(errors) == 2
    assert "512" in errors[0]
    assert "/what" in errors[1]
    assert captured.out.count("first token") == 2


@pytest.mark.parametrize(
    "arguments", [["demo", "--sessions", "0"], ["demo", "--think-ms", "-1"], ["demo", "--think-ms", "nan"]]
)
def test_demo_flags_out_of_range(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main(arguments) == 2
    assert arguments[1] in said(capsys)
