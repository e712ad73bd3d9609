"""Teacher-forced check in PyTorch: a message counts as right if every token of it is the arg-max.

Greedy decoding from the true history gives exactly the reference text if and only if this holds, so
the check needs one forward pass a document. `evaluate.py` does the real decoding through llama.cpp.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import torch
from safetensors.torch import load_file

import attention
from config import SHAPES
from desk.encode import spans
from desk.render import render
from desk.session import make_session
from desk.stream import make_stream, messages_of
from desk.tokenizer import load
from model import Decoder


def restore(name: str, folder: Path, device: torch.device) -> Decoder:
    """The decoder with the weights that `train` wrote."""
    model = Decoder(SHAPES[name])
    state: dict[str, torch.Tensor] = {}
    for part in sorted(folder.glob("weights-*.safetensors")):
        state |= load_file(part)
    model.load_state_dict({key: value.float() for key, value in state.items()})
    return model.to(device).eval()


@torch.no_grad()
def _wrong(model: Decoder, ids: list[int], device: torch.device) -> torch.Tensor:
    tokens = torch.tensor([ids], device=device)
    causal = attention.dense(torch.zeros_like(tokens))
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
        best = model.logits(model(tokens, causal)).argmax(-1)
    return (best[0, :-1] != tokens[0, 1:]).cpu()


def check(name: str, folder: Path, sessions: int = 200, streams: int = 400, seed: int = 99) -> dict[str, str]:
    """Shares of right messages on the held-out split, as "right/asked"."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, tokenizer = restore(name, folder, device), load()
    tool_call = tokenizer.token_to_id("<tool_call>")
    right: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    for novel in (False, True):
        for index in range(sessions):
            session = make_session(seed, index, "heldout", novel)
            ids = tokenizer.encode(render(session.messages, session.tools)).ids[: model.shape.context]
            wrong = _wrong(model, ids, device)
            for span in spans(ids, tokenizer):
                kind = "text"
                if span.role != "assistant":
                    continue
                if ids[span.start] == tool_call:
                    kind = "call"
                key = ("novel " if novel else "") + kind
                asked[key] += 1
                right[key] += not wrong[span.start - 1 : span.end - 1].any()
                asked[key + " first token"] += 1
                right[key + " first token"] += not wrong[span.start - 1]
    for index in range(streams):
        stream = make_stream(seed, index, "heldout", questions=1)
        ids = tokenizer.encode(render(messages_of(stream))).ids[: model.shape.context]
        wrong = _wrong(model, ids, device)
        key = f"trend {stream.level}"
        asked[key] += 1
        right[key] += not wrong[-3]
        asked[key + " by least squares"] += 1
        right[key + " by least squares"] += stream.asked[-1].answer == stream.asked[-1].fitted
    return {key: f"{right[key]}/{asked[key]} = {right[key] / asked[key]:.4f}" for key in sorted(asked)}
