"""The command line explains itself, and its flags are the fields of EngineOptions."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import pytest

import poise
from poise.cli import main
from poise.cli.flags import engine_overrides
from poise.cli.parser import build_parser
from poise.options import EngineOptions


@pytest.mark.parametrize("arguments", [["--help"], ["demo", "--help"], ["run", "--help"], ["doctor", "--help"]])
def test_help_is_given(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 0
    assert "usage: poise" in capsys.readouterr().out


def test_help_teaches_by_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    out = capsys.readouterr().out
    assert "examples:" in out
    for path in ("ready", "gate", "entry", "prefix", "cold"):
        assert path in out


def test_every_engine_option_is_a_flag_of_run() -> None:
    parser = build_parser()
    empty = parser.parse_args(["run"])
    assert engine_overrides(empty) == {}
    for item in fields(EngineOptions):
        flag = "--" + item.name.replace("_", "-")
        some = {
            "layout": "streams",
            "history": "rendered",
            "anticipate": "turn",
            "thought_marks": "<a>...</a>",
            "size_classes": "4kx3",
        }
        value = some.get(item.name, "3")
        arguments = [flag] if isinstance(item.default, bool) else [flag, value]
        given = engine_overrides(parser.parse_args(["run", *arguments]))
        assert list(given) == [item.name]
        EngineOptions(**given)


def test_flags_of_several_values_leave_the_model_alone() -> None:
    words = ["run", "--anticipate", "turn,question", "--adapters", "none", "--size-classes", "4kx2,16kx1", "m.gguf"]
    arguments = build_parser().parse_args(words)
    assert arguments.model == "m.gguf"
    assert engine_overrides(arguments) == {
        "anticipate": ("turn", "question"),
        "adapters": (),
        "size_classes": ("4kx2", "16kx1"),
    }


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "poise", "--version"], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == f"poise {poise.__version__}"


def test_an_unknown_command_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["dance"])
    assert left.value.code == 2
    assert "dance" in capsys.readouterr().err
