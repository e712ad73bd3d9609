"""The doctor measures this machine and says what is missing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from poise import _core
from poise.cli import main
from poise.doctor.checks import Check, examine

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_json_is_one_object_with_facts_and_checks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["works"] is True
    assert found["scan_isa"] == _core.scan_isa().name
    assert found["model"]["step_ms"] > 0
    assert found["model"]["prefill_ms_per_token"] > 0
    assert found["model"]["idle_quantum_tokens"] >= 1
    assert found["model"]["copy_ms"] > 0
    assert {check["name"] for check in found["checks"]} >= {
        "poise",
        "processor",
        "vector unit",
        "gpu",
        "model",
    }
    assert all(check["status"] in ("ok", "note") for check in found["checks"])


def test_a_step_above_the_limit_is_noted_with_a_remedy() -> None:
    facts, checks = examine(None, {"max_idle_step_ms": 1e-6})
    assert facts["model"]["step_ms"] > 1e-6
    (step,) = (check for check in checks if check.name == "step time")
    assert step.status == "note"
    assert "--max-idle-step-ms" in step.remedy


def test_a_missing_model_is_missing_and_the_rest_is_still_said(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "nowhere.gguf"
    assert main(["doctor", "--json", "--model", str(path)]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["works"] is False
    assert found["model"] is None
    (model,) = (check for check in found["checks"] if check["name"] == "model")
    assert model["status"] == "missing"
    assert str(path) in model["detail"]
    assert main(["doctor", "--model", str(path)]) == 1
    assert "cannot work here" in capsys.readouterr().out


def test_a_check_is_json() -> None:
    assert Check("a", "ok", "b").json() == {"name": "a", "status": "ok", "detail": "b", "remedy": ""}
