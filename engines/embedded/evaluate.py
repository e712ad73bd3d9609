"""Held-out evaluation of a GGUF through llama.cpp: greedy decoding from the true history."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from desk.render import render
from desk.seeds import EVALUATION_SEED
from desk.session import make_session
from desk.stream import ANSWERS, NOISE_LEVELS, make_stream, messages_of
from desk.tokenizer import load
from llama import Llama

if TYPE_CHECKING:
    from pathlib import Path

    from desk.pools import Split

Json = dict[str, Any]

SEED = EVALUATION_SEED
OPEN, CLOSE = "<tool_call>", "</tool_call>"


def call_of(text: str) -> tuple[str, Json] | None:
    """(name, arguments) of the tool call in an answer; None for text or a malformed call."""
    if not text.startswith(OPEN) or CLOSE not in text:
        return None
    try:
        call = json.loads(text[len(OPEN) : text.index(CLOSE)])
        return str(call["name"]), dict(call["arguments"])
    except (ValueError, KeyError, TypeError):
        return None


def _share(right: int, asked: int) -> Json:
    return {"right": right, "asked": asked, "share": round(right / asked, 4) if asked else None}


def decisions(model: Llama, sessions: int, split: Split = "heldout", novel: bool = False) -> Json:
    """Every assistant message of the sessions is asked for; the true history stands before it."""
    tokenizer = load()
    stop = tokenizer.token_to_id("<|im_end|>")
    assert stop is not None
    count: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for index in range(sessions):
        session = make_session(SEED, index, split, novel)
        for place, message in enumerate(session.messages):
            if message["role"] != "assistant":
                continue
            ids = tokenizer.encode(render(session.messages[:place], session.tools, True)).ids
            if len(ids) > 8000:
                break
            answer = tokenizer.decode(model.greedy(ids, stop), skip_special_tokens=False)
            if message.get("tool_calls"):
                function = message["tool_calls"][0]["function"]
                truth = (function["name"], json.loads(function["arguments"]))
                call = call_of(answer)
                count["calls"] += 1
                count["calls name"] += call is not None and call[0] == truth[0]
                count["calls exact"] += call == truth
                if call is None or call[0] != truth[0]:
                    wrong[f"{truth[0]} -> {call[0] if call else 'text'}"] += 1
            else:
                count["texts"] += 1
                count["texts no call"] += OPEN not in answer
                count["texts exact"] += answer == message["content"]
                if OPEN in answer:
                    wrong[f"text -> {(call_of(answer) or ('malformed',))[0]}"] += 1
    return {
        "sessions": sessions,
        "tool choice, name": _share(count["calls name"], count["calls"]),
        "tool choice, name and arguments": _share(count["calls exact"], count["calls"]),
        "no tool where none is due": _share(count["texts no call"], count["texts"]),
        "text answer, every character": _share(count["texts exact"], count["texts"]),
        "wrong choices": dict(wrong.most_common(12)),
    }


def trends(model: Llama, streams: int) -> Json:
    """Arg-max over the two answers, by noise level, beside a least-squares fit of the same window."""
    tokenizer = load()
    allowed = [tokenizer.encode(answer).ids[0] for answer in ANSWERS]
    report: Json = {}
    for level in NOISE_LEVELS:
        right = fitted = free = 0
        gaps: list[float] = []
        for index in range(streams):
            stream = make_stream(SEED, index, "heldout", questions=1, level=level)
            messages = messages_of(stream)[:-1]
            row = model.logits(tokenizer.encode(render(messages, None, True)).ids)
            scores = [float(row[token]) for token in allowed]
            answer = ANSWERS[scores.index(max(scores))]
            truth = stream.asked[-1]
            right += answer == truth.answer
            fitted += truth.fitted == truth.answer
            free += int(row.argmax()) in allowed
            gaps.append(abs(scores[0] - scores[1]))
        report[level] = {
            "model": _share(right, streams),
            "least squares": _share(fitted, streams),
            "unmasked arg-max is an answer": _share(free, streams),
            "median logit gap": round(sorted(gaps)[len(gaps) // 2], 2),
        }
    return report


def table(report: Json) -> str:
    """The report as a short markdown table."""
    lines = ["| held out | right / asked | share |", "| --- | --- | --- |"]
    for title, part in (("known wording", "decisions"), ("new wording", "decisions, new wording")):
        for name, value in report[part].items():
            if isinstance(value, dict) and "asked" in value:
                lines.append(f"| {name} ({title}) | {value['right']} / {value['asked']} | {value['share']:.1%} |")
    for level, value in report["trends"].items():
        model, fit = value["model"], value["least squares"]
        lines.append(
            f"| trend, {level} (least squares: {fit['share']:.1%}) | "
            f"{model['right']} / {model['asked']} | {model['share']:.1%} |"
        )
    return "\n".join(lines) + "\n"


def evaluate(gguf: Path, sessions: int, streams: int, threads: int) -> Json:
    """The whole report."""
    model = Llama(gguf, threads=threads)
    return {
        "model": gguf.name,
        "through": "llama.cpp, greedy, true history",
        "seed": SEED,
        "decisions": decisions(model, sessions),
        "decisions, new wording": decisions(model, sessions // 2, novel=True),
        "trends": trends(model, streams),
    }
