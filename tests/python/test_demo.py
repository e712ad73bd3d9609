"""The demo on the shipped model: every turn both ways, the same answers, less work while somebody waits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from poise.cli import main
from poise.demo.duel import Row
from poise.demo.report import differences, framing_only, totals, words
from poise.demo.scripts import DeskScript, StreamScript, held_out
from poise.events import ToolCall

PATHS = {"ready", "gate", "entry", "prefix", "cold"}


@pytest.fixture(scope="module")
def played() -> dict[str, Any]:
    import contextlib
    import io

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main(["demo", "--json", "--sessions", "3", "--max-messages", "2", "--patient"])
    assert code == 0
    report: dict[str, Any] = json.loads(out.getvalue())
    return report


def test_every_turn_says_what_it_cost(played: dict[str, Any]) -> None:
    assert len(played["turns"]) >= 8
    for turn in played["turns"]:
        assert turn["path"] in PATHS
        assert turn["mode"] in ("bare", "declared")
        assert turn["request"] in ("user", "tool", "question")
        assert turn["ttft_ms"] > 0
        assert turn["turn_ms"] >= turn["ttft_ms"]
        assert turn["prefilled_tokens"] >= 0
        if turn["baseline_ttft_ms"] is not None:
            assert turn["baseline_prefilled_tokens"] > 0
            assert turn["baseline_path"] in ("prefix", "cold")


def test_totals_and_mixes_are_those_of_the_rows(played: dict[str, Any]) -> None:
    assert sum(played["totals"]["path_mix"].values()) == played["totals"]["turns"] == len(played["turns"])
    for mode, mix in played["path_mix"].items():
        assert sum(mix.values()) == sum(turn["mode"] == mode for turn in played["turns"]) > 0
        assert played["modes"][mode]["path_mix"] == mix


def test_answers_are_the_same_or_the_difference_is_told(played: dict[str, Any]) -> None:
    compared = [turn for turn in played["turns"] if turn["same_answer"] is not None]
    different = [turn for turn in compared if not turn["same_answer"]]
    assert len(compared) >= 8
    # another order of sums may flip a near tie, and nothing else may
    assert all(turn["margin_nats"] is None or turn["margin_nats"] < 0.1 for turn in different)
    assert len(different) <= len(compared) // 10


def test_no_more_is_computed_while_somebody_waits_than_without_poise(played: dict[str, Any]) -> None:
    for turn in played["turns"]:
        if turn["baseline_prefilled_tokens"] is not None:
            assert turn["prefilled_tokens"] <= turn["baseline_prefilled_tokens"]
    totals_ = played["totals"]
    assert totals_["prefilled_tokens"] < totals_["baseline_prefilled_tokens"]


def test_declared_questions_are_ready_and_free_text_is_not(played: dict[str, Any]) -> None:
    for turn in played["turns"]:
        if turn["path"] == "ready":
            assert turn["prefilled_tokens"] == 0
            assert turn["kind"] != "hint"
        if turn["request"] == "user":
            assert turn["path"] in ("entry", "prefix", "cold")
    declared = [turn for turn in played["turns"] if turn["mode"] == "declared"]
    asked = [turn for turn in declared if turn["request"] == "question"]
    assert asked
    assert all(turn["path"] == "ready" and turn["source"] == "declared" for turn in asked)
    assert any(turn["path"] == "ready" and turn["request"] == "tool" for turn in declared)


def row(**changes: Any) -> Row:
    base: dict[str, Any] = {
        "session": "s",
        "mode": "bare",
        "turn": 1,
        "request": "user",
        "path": "entry",
        "source": "none",
        "kind": "turn",
        "label": "",
        "prepositioned_tokens": 3,
        "gap": None,
        "ttft_ms": 1.0,
        "turn_ms": 2.0,
        "prefilled_tokens": 5,
        "answer_tokens": 7,
    }
    return Row(**{**base, **changes})


def test_the_summary_says_how_many_free_text_turns_gained_framing_only() -> None:
    rows = [row(), row(kind="tool_result", request="tool", path="ready"), row(kind="partial")]
    assert framing_only(rows) == rows[:1]
    said = "\n".join(words(rows, "bare", "nothing is declared"))
    assert "Of 2 free-text turns, 1 gained no more than the template's framing" in said
    assert words(rows, "declared", "") == []


def test_differences_are_told_with_the_margin() -> None:
    same = row(same_answer=True, baseline_ttft_ms=2.0)
    other = row(same_answer=False, baseline_ttft_ms=2.0, first_difference=4, margin_nats=0.0012)
    assert "all 1 compared are identical" in differences([same])[0]
    said = "\n".join(differences([same, other, row()]))
    assert "1 of 2" in said
    assert "token 4" in said
    assert "0.0012" in said
    assert "1 later turns" in said


def test_totals_compare_only_what_ran_both_ways() -> None:
    found = totals([row(baseline_ttft_ms=3.0, baseline_turn_ms=4.0, baseline_prefilled_tokens=9), row(ttft_ms=99.0)])
    assert found["turns"] == 2
    assert found["compared_turns"] == 1
    assert found["ttft_ms_p50"] == 1.0
    assert found["prefilled_tokens"] == 5
    assert found["baseline_prefilled_tokens"] == 9


def test_held_out_scripts_mix_desks_and_streams() -> None:
    scripts = held_out(6)
    assert [isinstance(script, StreamScript) for script in scripts] == [False, False, True] * 2
    desk = next(script for script in scripts if isinstance(script, DeskScript))
    assert desk.says
    assert desk.answer(ToolCall("no_such_tool", {}, "")) == {"error": "not found"}
