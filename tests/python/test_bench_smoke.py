"""Each benchmark runs in small, does the work it times, and judges its budgets. Times are not looked at."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from poise import _core

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "engines" / "embedded" / "desk.gguf"
PEERS = ROOT / "build" / "peers" / "bin"

pytestmark = [
    pytest.mark.skipif(not hasattr(_core, "LlamaExecutor"), reason="built without the embedded executor"),
    pytest.mark.skipif(not MODEL.exists(), reason="the shipped model has not been made"),
]


def run_quick(script: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / script), "--quick", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert result["model"]["bytes"] == MODEL.stat().st_size
    assert result["machine"]["cores"] >= 1
    for budget in result["budgets"]:
        assert budget["verdict"] in {"met", "within noise", "not met", "too few samples"}
        rounding = 1e-9 * abs(budget["measured"])  # equal samples interpolate to a last bit more or less
        assert budget["low"] - rounding <= budget["measured"] <= budget["high"] + rounding, budget
    return result


def test_paths_takes_every_path_and_prefills_what_it_should() -> None:
    result = run_quick("paths.py")
    for row in result["ready"]:
        assert row["executor_steps"] == 0, "a ready or gate answer must not touch the executor"
        assert row["full_scans"] == 0
        assert row["head_scans"] >= row["turns"]
    assert {row["capacity_tokens"] for row in result["rollback"]} == {512}
    assert all(row["rollbacks"] >= 10 and row["copies"] == 0 for row in result["rollback"])

    assert {row["path"] for row in result["turns"]} == {"ready", "gate", "entry", "prefix", "cold"}
    for row in result["turns"]:
        path, entry, delta = row["path"], row["entry_tokens"], row["delta_tokens"]
        assert row["paths_taken"] == [path]
        assert row["off_paths_taken"] == ["cold" if path == "cold" else "prefix"]
        if path == "cold":
            assert row["on"]["prefilled_tokens"] == row["context_tokens"] + entry
            continue
        expected = {"ready": 0, "gate": 0, "entry": delta, "prefix": entry + delta}[path]
        assert row["on"]["prefilled_tokens"] == expected, row
        assert row["off"]["prefilled_tokens"] == entry + delta, row
        assert row["on"]["reprefilled_tokens"] == 0, "resident entries compute no token twice"
        if result["peer"] and path != "gate":
            assert row["server"]["prefilled_tokens"] <= entry + delta + 1
    assert len([b for b in result["budgets"] if b["name"].startswith("whole turn on over off")]) >= 5


def test_interference_has_idle_work_only_when_on() -> None:
    result = run_quick("interference.py")
    for row in result["arrivals"]:
        # Off, the executor may still save the KV that it would have to evict next: an idle step without a token.
        assert row["off"]["idle_tokens"] == 0
        assert row["on"]["idle_tokens"] > 0
        assert row["on"]["first_us"]["n"] == row["off"]["first_us"]["n"] == 8
        assert sum(row["on"]["paths"].values()) == 8
        assert row["off"]["paths"]["ready"] == row["off"]["paths"]["entry"] == 0
        assert row["think_ms"] <= row["preparation_ms"]
    assert result["saturation"]["off_tokens_per_s"]["p50"] > 0


def test_sessions_stay_within_their_caps() -> None:
    result = run_quick("sessions.py")
    assert [row["sessions"] for row in result["snapshots"]] == [6, 60]
    for row in result["snapshots"]:
        assert row["parked_bytes"] <= result["park_bytes"]
        assert row["entry_bytes"] <= result["entry_bytes"]
    assert sum(row["turns"] for row in result["touches"].values()) == 60
    resident, parked, cold = (result["touches"][kind] for kind in ("resident", "parked", "cold"))
    assert resident["turns"] > 0
    # eight new tokens, and perhaps the last one of the answer before, whose KV no step had computed yet
    assert resident["prefilled_tokens"] <= 9 * resident["turns"]
    if parked["turns"]:
        assert parked["prefilled_tokens"] <= 9 * parked["turns"]
    if cold["turns"]:
        assert cold["prefilled_tokens"] > 9 * cold["turns"]
    assert result["executor"]["evictions"] >= 60 - result["sequences"]
    assert {budget["verdict"] for budget in result["budgets"]} == {"met"}


@pytest.mark.skipif(not (PEERS / "llama-bench").exists(), reason="the peers were not built (make peers)")
def test_batching_decodes_every_token_it_counts() -> None:
    result = run_quick("batching.py")
    assert [row["test"] for row in result["single"]] == ["pp64", "tg8"]
    assert [(row["layout"], row["running"]) for row in result["groups"]] == [("streams", 4), ("unified", 4)]
    for row in result["groups"]:
        assert row["tokens"] == 4 * 7
        assert row["steps"] >= 7
        assert row["peer_tokens_per_s"]["p50"] > 0


def test_typing_leaves_less_to_prefill() -> None:
    result = run_quick("type_ahead.py")
    assert len(result["rows"]) == 2
    for row in result["rows"]:
        assert row["keys"] >= row["characters"]
        assert row["off"]["path"] in ("entry", "prefix")
        assert row["on"]["left_tokens"] <= row["off"]["left_tokens"]
        assert row["on"]["context_tokens"] == row["off"]["context_tokens"]
    assert result["on"]["left_tokens_mean"] < result["off"]["left_tokens_mean"]
    # Not comparable one to one: the framing that is used was computed before the first key.
    assert result["on"]["idle_tokens_computed"] > 0
    assert result["on"]["idle_tokens_used"] > 0


def test_constraint_forces_tokens_and_decodes_the_others() -> None:
    result = run_quick("constraint.py")
    assert {row["spec"] for row in result["specs"]} == {"schema", "schema, free whitespace", "regex", "choices"}
    for row in result["specs"]:
        assert 0 < row["forced_tokens"] < row["answer_tokens"]
        assert row["decoded_tokens"] == row["answer_tokens"] - row["forced_tokens"]
        assert row["us"]["mask"]["n"] > 0
    share = {row["spec"]: row["forced_share"] for row in result["specs"]}
    assert share["schema"] > share["schema, free whitespace"]
