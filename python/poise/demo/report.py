"""The demo's rows summed up: as one JSON object, and in words."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from poise.demo.duel import Row

PATHS = ("ready", "gate", "entry", "prefix", "cold")
REQUESTS = {"user": "free-text turns", "tool": "tool results", "question": "questions"}


def totals(rows: Sequence[Row]) -> dict[str, Any]:
    """Sums and medians. Only turns that ran both ways are in the comparisons."""
    both = [row for row in rows if row.baseline_ttft_ms is not None]
    return {
        "turns": len(rows),
        "compared_turns": len(both),
        "path_mix": path_mix(rows),
        "ttft_ms_p50": _median(row.ttft_ms for row in both),
        "baseline_ttft_ms_p50": _median(row.baseline_ttft_ms for row in both),
        "turn_ms_p50": _median(row.turn_ms for row in both),
        "baseline_turn_ms_p50": _median(row.baseline_turn_ms for row in both),
        "ttft_ms_sum": sum(row.ttft_ms for row in both),
        "baseline_ttft_ms_sum": sum(row.baseline_ttft_ms or 0.0 for row in both),
        "turn_ms_sum": sum(row.turn_ms for row in both),
        "baseline_turn_ms_sum": sum(row.baseline_turn_ms or 0.0 for row in both),
        "prefilled_tokens": sum(row.prefilled_tokens for row in both),
        "baseline_prefilled_tokens": sum(row.baseline_prefilled_tokens or 0 for row in both),
        "by_path": {
            path: {
                "turns": len(found),
                "ttft_ms_p50": _median(row.ttft_ms for row in found),
                "baseline_ttft_ms_p50": _median(row.baseline_ttft_ms for row in found),
            }
            for path in PATHS
            if (found := [row for row in both if row.path == path])
        },
        "by_request": {
            request: path_mix(found)
            for request in REQUESTS
            if (found := [row for row in rows if row.request == request])
        },
        "free_text_turns": len(free_text(rows)),
        "free_text_turns_framing_only": len(framing_only(rows)),
        "answers_compared": sum(row.same_answer is not None for row in rows),
        "answers_equal": sum(row.same_answer is True for row in rows),
    }


def path_mix(rows: Iterable[Row]) -> dict[str, int]:
    """How many first tokens came by each path."""
    counts = Counter(row.path for row in rows)
    return {path: counts[path] for path in PATHS if counts[path]}


def free_text(rows: Iterable[Row]) -> list[Row]:
    """Turns in which the user says something."""
    return [row for row in rows if row.request == "user"]


def framing_only(rows: Iterable[Row]) -> list[Row]:
    """Free-text turns in which nothing but the template's framing was known ahead."""
    return [row for row in free_text(rows) if row.path in ("entry", "prefix") and row.kind in ("turn", None)]


def words(rows: Sequence[Row], mode: str, explained: str) -> list[str]:
    """What happened in one mode, in sentences."""
    mine = [row for row in rows if row.mode == mode]
    if not mine:
        return []
    found = totals(mine)
    mix = ", ".join(f"{path} {count}" for path, count in found["path_mix"].items())
    lines = [f"{mode}: {explained}."]
    lines.append(f"  {found['turns']} turns; first tokens by path: {mix}.")
    for request, name in REQUESTS.items():
        if request in found["by_request"]:
            parts = ", ".join(f"{path} {count}" for path, count in found["by_request"][request].items())
            lines.append(f"    {name}: {parts}.")
    if found["compared_turns"]:
        lines.append(
            f"  First token, median: {found['ttft_ms_p50']:.2f} ms with Poise, "
            f"{found['baseline_ttft_ms_p50']:.2f} ms with plain prefix caching; "
            f"whole turn: {found['turn_ms_p50']:.1f} and {found['baseline_turn_ms_p50']:.1f} ms."
        )
        for path, numbers in found["by_path"].items():
            lines.append(
                f"    on {path} ({numbers['turns']}): {numbers['ttft_ms_p50']:.2f} ms "
                f"where plain prefix caching took {numbers['baseline_ttft_ms_p50']:.2f} ms."
            )
        lines.append(
            f"  Tokens prefilled while somebody waited: {found['prefilled_tokens']} with Poise, "
            f"{found['baseline_prefilled_tokens']} without."
        )
    if found["free_text_turns"]:
        lines.append(
            f"  Of {found['free_text_turns']} free-text turns, {found['free_text_turns_framing_only']} gained"
            " no more than the template's framing and a log brought up to date: nobody can know what a "
            "user will type."
        )
    return lines


def differences(rows: Iterable[Row]) -> list[str]:
    """Which answers were not the same with Poise and without, and how close each call was."""
    rows = list(rows)
    compared = [row for row in rows if row.same_answer is not None]
    different = [row for row in compared if not row.same_answer]
    if not different:
        return [f"Answers: all {len(compared)} compared are identical with Poise and without."]
    lines = [f"Answers: {len(compared) - len(different)} of {len(compared)} compared are identical."]
    for row in different:
        margin = row.margin_nats
        close = "" if margin is None else f"; the best two tokens there are {margin:.4f} nats apart"
        lines.append(f"  {row.mode} {row.session} turn {row.turn} differs from token {row.first_difference}{close}")
    skipped = sum(row.same_answer is None for row in rows)
    if skipped:
        lines.append(f"  {skipped} later turns of those sessions have no plain counterpart and are not compared.")
    return lines


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
