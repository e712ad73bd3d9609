"""Checkpoint to GGUF: Q8_0 matrices, float32 norms, tokenizer, chat template and provenance."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import gguf
import numpy as np
import numpy.typing as npt
from config import SHAPES, Shape
from desk.render import TEMPLATE_PATH
from desk.tokenizer import CONTROL, PATH, TAGS
from safetensors.numpy import load_file

if TYPE_CHECKING:
    from pathlib import Path

Array = npt.NDArray[np.float32]

_NAMES = {
    "input_layernorm": "attn_norm",
    "q_proj": "attn_q",
    "k_proj": "attn_k",
    "v_proj": "attn_v",
    "o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "gate_proj": "ffn_gate",
    "up_proj": "ffn_up",
    "down_proj": "ffn_down",
}


def weights(folder: Path) -> dict[str, Array]:
    """All weights of a checkpoint, float32."""
    state: dict[str, Array] = {}
    for part in sorted(folder.glob("weights-*.safetensors")):
        state |= {name: value.astype(np.float32) for name, value in load_file(part).items()}
    return state


def interleave(matrix: Array, heads: int) -> Array:
    """Rows of q or k from half-split rotary order to llama.cpp's pairs (as its converter does)."""
    rows, columns = matrix.shape
    split = matrix.reshape(heads, 2, rows // heads // 2, columns)
    return np.ascontiguousarray(split.swapaxes(1, 2).reshape(rows, columns))


def tensors(state: dict[str, Array], shape: Shape) -> dict[str, Array]:
    """The same weights under llama.cpp's names and rotary order."""
    out = {"token_embd.weight": state["embed_tokens.weight"], "output_norm.weight": state["norm.weight"]}
    for name, value in state.items():
        if not name.startswith("layers."):
            continue
        _, layer, part, _ = name.split(".")
        if part in ("q_proj", "k_proj"):
            value = interleave(value, shape.heads if part == "q_proj" else shape.kv_heads)
        out[f"blk.{layer}.{_NAMES[part]}.weight"] = value
    return out


def _vocabulary(writer: gguf.GGUFWriter) -> None:
    data: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
    ids: dict[str, int] = data["model"]["vocab"] | {t["content"]: t["id"] for t in data["added_tokens"]}
    tokens = sorted(ids, key=lambda token: ids[token])
    types = []
    for token in tokens:
        if token in CONTROL:
            types.append(gguf.TokenType.CONTROL)
        elif token in TAGS:
            types.append(gguf.TokenType.USER_DEFINED)
        else:
            types.append(gguf.TokenType.NORMAL)
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in data["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_eos_token_id(ids["<|im_end|>"])
    writer.add_eot_token_id(ids["<|im_end|>"])
    writer.add_pad_token_id(ids["<|endoftext|>"])
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE_PATH.read_text(encoding="utf-8"))


def export(name: str, folder: Path, out: Path) -> None:
    """Write checkpoint `folder` of model `name` to the GGUF file `out`."""
    shape = SHAPES[name]
    log = json.loads((folder / "train.json").read_text(encoding="utf-8"))
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_name(f"Poise {name}")
    writer.add_author("The Poise authors")
    writer.add_license("apache-2.0")
    writer.add_description(
        "A tiny support-desk model for Poise's demo and tests, trained from scratch on generated "
        f"conversations: {log['tokens']:,} tokens, {log['run']['steps']} steps, seed {log['run']['seed']}. "
        "Made by engines/embedded of the Poise repository."
    )
    writer.add_type("model")
    writer.add_size_label(f"{log['parameters'] / 1e6:.1f}M")
    writer.add_languages(["en"])
    writer.add_tags(["tool-use", "demo", "synthetic-data"])
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    _vocabulary(writer)
    for tensor, value in tensors(weights(folder), shape).items():
        if value.ndim == 2:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(tensor, gguf.quants.quantize(value, kind), raw_dtype=kind)
        else:
            writer.add_tensor(tensor, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{out.name}: {out.stat().st_size:,} bytes")
