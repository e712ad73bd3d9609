"""Loading an engine for a command: which model, and a progress bar while it takes long."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from poise.engine import Engine
from poise.errors import ModelError

if TYPE_CHECKING:
    from poise.options import EngineOptions

MODEL_FILE = "desk.gguf"


def shipped_model() -> Path:
    """The model that comes with Poise: in the installed package, or in a source checkout."""
    package = Path(__file__).resolve().parents[1]
    places = [package / "models" / MODEL_FILE, package.parents[1] / "engines" / "embedded" / MODEL_FILE]
    for place in places:
        if place.is_file():
            return place
    raise ModelError(
        f"the shipped model {MODEL_FILE} is not in this installation "
        f"(looked in {', '.join(map(str, places))}); name a GGUF file instead"
    )


def load_engine(path: str | Path, options: EngineOptions | None = None, **overrides: Any) -> Engine:
    """Engine.load with a progress bar on a terminal's stderr, gone when the model is there."""
    columns = (TextColumn("loading {task.description}"), BarColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(Path(path).name, total=1.0)
        return Engine.load(path, options, progress=lambda done: progress.update(task, completed=done), **overrides)
