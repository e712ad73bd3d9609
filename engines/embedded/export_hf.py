"""Checkpoint to a Hugging Face folder (LlamaForCausalLM, float16)."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
from config import SHAPES
from desk.render import TEMPLATE_PATH
from desk.tokenizer import PATH
from export_gguf import weights
from safetensors.numpy import save_file

if TYPE_CHECKING:
    from pathlib import Path

_GROUPS = {
    "q_proj": "self_attn",
    "k_proj": "self_attn",
    "v_proj": "self_attn",
    "o_proj": "self_attn",
    "gate_proj": "mlp",
    "up_proj": "mlp",
    "down_proj": "mlp",
}


def _name(name: str) -> str:
    parts = name.split(".")
    if parts[0] == "layers" and parts[2] in _GROUPS:
        parts.insert(2, _GROUPS[parts[2]])
    return ".".join(["model", *parts])


def export_hf(name: str, folder: Path, out: Path) -> None:
    """Write checkpoint `folder` of model `name` as a folder that transformers loads."""
    shape = SHAPES[name]
    out.mkdir(parents=True, exist_ok=True)
    state = {_name(key): value.astype(np.float16) for key, value in weights(folder).items()}
    save_file(state, out / "model.safetensors", metadata={"format": "pt"})
    vocabulary = json.loads(PATH.read_text(encoding="utf-8"))["added_tokens"]
    ids = {token["content"]: token["id"] for token in vocabulary}
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": shape.width,
        "intermediate_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": shape.context,
        "rope_theta": shape.rope_base,
        "rms_norm_eps": shape.norm_eps,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": None,
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
        "torch_dtype": "float16",
    }
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    tokenizer = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "bos_token": None,
        "model_max_length": shape.context,
        "clean_up_tokenization_spaces": False,
    }
    (out / "tokenizer_config.json").write_text(json.dumps(tokenizer, indent=2) + "\n", encoding="utf-8")
    shutil.copyfile(PATH, out / "tokenizer.json")
    shutil.copyfile(TEMPLATE_PATH, out / "chat_template.jinja")
