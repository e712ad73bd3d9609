"""Teacher-forced check in PyTorch: a message counts as right if every token of it is the arg-max.

Greedy decoding from the true history gives exactly the reference text if and only if this holds, so
the check needs one forward pass a document. The weights go through Q8_0 first, as in the GGUF.
`evaluate.py` does the real decoding through llama.cpp.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import attention
import torch
from config import SHAPES
from desk.encode import spans
from desk.render import render
from desk.seeds import CHECK_SEED
from desk.session import make_session
from desk.stream import make_stream, messages_of
from desk.tokenizer import load
from model import Decoder
from safetensors.torch import load_file

if TYPE_CHECKING:
    from pathlib import Path

    from tokenizers import Tokenizer


def q8_0(matrix: torch.Tensor) -> torch.Tensor:
    """A matrix after ggml's Q8_0: blocks of 32 along the row, one float16 scale each."""
    blocks = matrix.reshape(-1, 32)
    scale = blocks.abs().amax(1, keepdim=True) / 127
    levels = torch.where(scale > 0, blocks / scale, torch.zeros_like(blocks)).round()
    return (levels * scale.half().float()).reshape(matrix.shape)


def restore(name: str, folder: Path, device: torch.device, quantized: bool = True) -> Decoder:
    """The decoder with the weights that `train` wrote."""
    model = Decoder(SHAPES[name])
    state: dict[str, torch.Tensor] = {}
    for part in sorted(folder.glob("weights-*.safetensors")):
        state |= {key: value.float() for key, value in load_file(part).items()}
    if quantized:
        state = {key: q8_0(value) if value.dim() == 2 else value for key, value in state.items()}
    model.load_state_dict(state)
    return model.to(device).eval()


@torch.no_grad()
def misses(model: Decoder, ids: list[int], device: torch.device) -> torch.Tensor:
    """(len(ids),) booleans: True where the arg-max before token i is not token i."""
    tokens = torch.tensor([ids], device=device)
    causal = attention.dense(torch.zeros_like(tokens))
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
        best = model.logits(model(tokens, causal)).argmax(-1)
    wrong = (best[0, :-1] != tokens[0, 1:]).cpu()
    return torch.cat((torch.zeros(1, dtype=torch.bool), wrong))


def _name_tokens(ids: list[int], tokenizer: Tokenizer) -> int:
    """How many leading tokens of a call it takes to name the tool."""
    text = tokenizer.decode(ids, skip_special_tokens=False)
    head = text[: text.index('", "arguments"')]
    return len(tokenizer.encode(head).ids)


def check(name: str, folder: Path, sessions: int = 200, streams: int = 400) -> dict[str, str]:
    """Shares of right messages on the held-out split, as "right/asked"."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, tokenizer = restore(name, folder, device), load()
    tool_call = tokenizer.token_to_id("<tool_call>")
    right: Counter[str] = Counter()
    asked: Counter[str] = Counter()

    def note(key: str, is_right: bool) -> None:
        asked[key] += 1
        right[key] += is_right

    for novel in (False, True):
        wording = "new wording: " if novel else ""
        for index in range(sessions):
            session = make_session(CHECK_SEED, index, "heldout", novel)
            ids = tokenizer.encode(render(session.messages, session.tools)).ids[: model.shape.context]
            wrong = misses(model, ids, device)
            for span in spans(ids, tokenizer):
                if span.role != "assistant":
                    continue
                whole = not bool(wrong[span.start : span.end].any())
                if ids[span.start] == tool_call:
                    end = span.start + _name_tokens(ids[span.start : span.end], tokenizer)
                    note(wording + "call, name", not bool(wrong[span.start : end].any()))
                    note(wording + "call, name and arguments", whole)
                else:
                    note(wording + "text, first token", not bool(wrong[span.start]))
                    note(wording + "text, every token", whole)
    for index in range(streams):
        stream = make_stream(CHECK_SEED, index, "heldout", questions=1)
        ids = tokenizer.encode(render(messages_of(stream))).ids[: model.shape.context]
        # The answer stands before <|im_end|> and the last newline.
        note(f"trend {stream.level}", not bool(misses(model, ids, device)[-3]))
        truth = stream.asked[-1]
        note(f"trend {stream.level}, least squares", truth.answer == truth.fitted)
    return {key: f"{right[key]}/{asked[key]} = {right[key] / asked[key]:.4f}" for key in sorted(asked)}
