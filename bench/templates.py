"""How the chat templates of the pinned llama.cpp source treat history; writes docs/templates.md with --write.

Each template is played twice (see tests/support/template_play.py): a question, a thought and a tool call,
its result, an answer, two more questions. Nothing is timed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from poise.errors import InvalidArgument  # noqa: E402 - the repository's root comes first
from tests.support import pinned  # noqa: E402
from tests.support.template_play import Play, text_model  # noqa: E402

HEAD = """\
# Chat templates and history

Written by `python bench/templates.py --write` from the {count} chat templates of the pinned llama.cpp source.
Do not edit.

A conversation with a thought, a tool call, its result, two answers and two more questions is played against
every template. What the columns say:

- **thought**: the marks that Poise reads thoughts by; `opened` if the generation prompt opens the thought itself.
- **generated**: `appends` if each next prompt extends the one before; `kept` if the template tells the past
  differently, and the log stays as generated all the same (what a request adds is taken from behind the newest
  answer); `rewrites` if not even that can be told, so that a turn rebases.
- **rendered**: `appends` if the log of a rendered history never changes; `rewrites N` if N of the requests find a
  part of it told anew, which idle time rebases before they come.
- **envelope**: for which messages (`user`, `tool`) everything around the content is known ahead, so that a request
  renders nothing.
- **refuses**: what the template does not tell at all.

"""


def row(path: Path) -> list[str]:
    model = text_model(path)
    marks = model.thought
    plays: dict[str, Play] = {}
    refuses: list[str] = []
    for history in ("generated", "rendered"):
        for tools in (True, False):
            play = Play(model, history, {"enable_thinking": True, "thinking": True}, tools=tools, idle=False)  # type: ignore[arg-type]
            try:
                play.run()
            except InvalidArgument as error:
                what = ("tools" if tools else "no tools") + (" taken apart" if history == "rendered" else "")
                said = str(error).partition(": ")[2].replace("|", "\\|").replace("\n", " ")
                refuses.append(f"{what}: {said[:80]}")
            else:
                plays.setdefault(history, play)
    opened = marks is not None and bool(plays) and next(iter(plays.values())).header.rstrip().endswith(marks.begin)
    thought = f"`{marks.begin}`".replace("|", "\\|") + (" opened" if opened else "") if marks else ""
    if len(refuses) == 4:
        refuses = ["everything: " + refuses[0].partition(": ")[2]]
    return [path.stem, thought, generated(plays), rendered(plays), envelopes(plays), "; ".join(refuses)]


def generated(plays: dict[str, Play]) -> str:
    if "generated" not in plays:
        return "-"
    play = plays["generated"]
    if not all(step.kept for step in play.steps):
        return "rewrites"
    return "appends" if all(step.extends for step in play.steps) else "kept"


def rendered(plays: dict[str, Play]) -> str:
    if "rendered" not in plays:
        return "-"
    rewritten = sum(not step.kept for step in plays["rendered"].steps)
    return f"rewrites {rewritten}" if rewritten else "appends"


def envelopes(plays: dict[str, Play]) -> str:
    known = {step.said for play in plays.values() for step in play.steps if step.enveloped}
    return ", ".join(said for said in ("user", "tool") if said in known)


def report() -> str:
    paths = pinned.templates()
    if not paths:
        sys.exit(pinned.MISSING)
    rows = [row(path) for path in paths]
    columns = ["template", "thought", "generated", "rendered", "envelope", "refuses"]
    table = [columns, ["---"] * len(columns), *rows]
    lines = "".join("| " + " | ".join(cells) + " |\n" for cells in table)
    counts = ", ".join(
        f"{sum(cells[2] == kind for cells in rows)} {kind}" for kind in ("appends", "kept", "rewrites", "-")
    )
    anew = sum(cells[3].startswith("rewrites") for cells in rows)
    summary = f"Generated histories: {counts}. Rendered histories: {anew} of {len(rows)} rewrite something.\n\n"
    return HEAD.format(count=len(rows)) + summary + lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="write docs/templates.md")
    arguments = parser.parse_args()
    text = report()
    if arguments.write:
        (ROOT / "docs" / "templates.md").write_text(text, encoding="utf-8")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
