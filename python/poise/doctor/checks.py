"""The doctor's findings."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import Any, Literal

from poise import __version__, _core
from poise.cli.loading import shipped_model
from poise.demo.scripts import HELD_OUT
from poise.doctor import machine, step_time
from poise.errors import Error


@dataclass(frozen=True)
class Check:
    """One finding. `missing` keeps Poise from working; a `note` costs speed or a feature."""

    name: str
    status: Literal["ok", "note", "missing"]
    detail: str
    remedy: str = ""

    def json(self) -> dict[str, str]:
        """The finding as a JSON object."""
        return asdict(self)


def examine(model: str | None, overrides: dict[str, Any]) -> tuple[dict[str, Any], list[Check]]:
    """Facts for programs, and findings for people."""
    processor, memory, gpus = machine.processor(), machine.memory(), machine.gpus()
    isa = _core.scan_isa().name
    facts: dict[str, Any] = {
        "poise": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: _version(name) for name in ("jinja2", "numpy", "rich")},
        "optional_packages": {name: _version(name) for name in ("tensorrt_llm", "cuda-python", "tritonclient")},
        "processor": processor,
        "memory": memory,
        "gpus": gpus,
        "scan_isa": isa,
        "model": None,
    }
    checks = [
        Check("poise", "ok", f"{__version__} on Python {platform.python_version()}, {platform.system()}"),
        Check("processor", "ok", f"{processor['name']}, {processor['usable_cores']} usable cores"),
        _isa(isa, processor["features"]),
        _memory(memory),
        _gpu(gpus),
    ]
    try:
        path = Path(model) if model is not None else shipped_model()
        facts["model"] = step_time.measure(path, overrides)
    except Error as error:
        checks.append(Check("model", "missing", str(error), "name a GGUF file with --model, or install Poise's wheel"))
    else:
        checks += _model(facts["model"])
    held_out = (resources.files("poise") / "data" / HELD_OUT).is_file()
    checks.append(
        Check("demo", "ok", "the held-out sessions are here")
        if held_out
        else Check(
            "demo",
            "note",
            "the held-out sessions are not in this installation",
            "install Poise from its wheel",
        )
    )
    return facts, checks


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _isa(isa: str, features: list[str]) -> Check:
    has = ", ".join(features) or "none of the features looked for"
    detail = f"vocabulary scan uses {isa}; the processor has {has}"
    if isa == "portable":
        return Check(
            "vector unit",
            "note",
            detail,
            "scans of large vocabularies take several times longer without AVX2",
        )
    return Check("vector unit", "ok", detail)


def _memory(memory: dict[str, int]) -> Check:
    if not memory:
        return Check("memory", "note", "the system does not tell how much memory there is")
    total, free = (memory[key] / 2**30 for key in ("total_bytes", "available_bytes"))
    return Check("memory", "ok", f"{free:.1f} of {total:.1f} GiB available")


def _gpu(gpus: list[dict[str, Any]]) -> Check:
    if not gpus:
        return Check("gpu", "ok", "no NVIDIA GPU is visible; the embedded executor works on the processor")
    names = ", ".join(f"{gpu['name']} ({gpu['memory_mib']} MiB)" for gpu in gpus)
    if not getattr(_core, "HAS_CUDA", False):
        return Check(
            "gpu",
            "note",
            f"{names}, but this build of Poise does not use it",
            "install from source with CMAKE_ARGS=-DPOISE_CUDA=ON",
        )
    return Check("gpu", "ok", names)


def _model(model: dict[str, Any]) -> list[Check]:
    step, limit = model["step_ms"], model["max_idle_step_ms"]
    pace = (
        f"one step takes {step:.2f} ms, prefill {model['prefill_ms_per_token']:.3f} ms a token, "
        f"{model['threads']} threads; an idle step may take {limit:g} ms"
    )
    checks = [Check("model", "ok", f"{model['name']}: {model['memory_plan']}")]
    if step > limit:
        checks.append(
            Check(
                "step time",
                "note",
                f"{pace}: a single step exceeds it, so that requests may wait for one pass",
                f"use more threads or a smaller model, or allow it with --max-idle-step-ms {step * 1.2:.0f}",
            )
        )
    else:
        checks.append(Check("step time", "ok", pace))
    if model["copy_ms"] is not None:
        worth = model["copy_ms"] / model["prefill_ms_per_token"]
        checks.append(
            Check(
                "base prefixes",
                "ok",
                f"copying a prepared beginning into a new session takes {model['copy_ms']:.3f} ms, "
                f"as long as prefilling {worth:.1f} tokens",
            )
        )
    if not model["can_roll_back"]:
        checks.append(
            Check(
                "roll back",
                "note",
                "this model's memory cannot be rolled back: a wrong guess costs a prefill",
            )
        )
    return checks
