"""Writes tiny GGUF models with random weights, for tests of the embedded executor. Standard library only.

    python tiny_gguf.py ARCHITECTURE PATH

Architectures: `llama` (full attention), `gemma2` (every second layer attends to a sliding window of 16 tokens) and
`mamba` (a recurrent state instead of KV). `lora` and `lora2` are LoRA adapters for `llama`. Same architecture and seed,
same file. The vocabulary has 300 ids: unknown, begin, end, the 256 bytes, two ChatML control tokens, and pieces of
letters.
"""

from __future__ import annotations

import random
import struct
import sys
from array import array
from dataclasses import dataclass, field
from pathlib import Path

VOCAB = 300
EMBEDDING = 64
LAYERS = 2
HEADS = 4
KV_HEADS = 2
HEAD_LENGTH = EMBEDDING // HEADS
FEED_FORWARD = 128
WINDOW = 16
CONTEXT = 2048
BEGIN, END, IM_START, IM_END = 1, 2, 259, 260

CHATML = (
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)

_U32, _F32, _BOOL, _STRING, _ARRAY, _I32 = 4, 6, 7, 8, 9, 5
_ALIGNMENT = 32


def _string(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def _array(kind: int, items: list[bytes]) -> bytes:
    return struct.pack("<IQ", kind, len(items)) + b"".join(items)


@dataclass
class Gguf:
    """Metadata and float tensors of one file, in writing order."""

    seed: int
    metadata: list[bytes] = field(default_factory=list)
    tensors: list[tuple[str, tuple[int, ...], array[float]]] = field(default_factory=list)

    def _put(self, key: str, kind: int, value: bytes) -> None:
        self.metadata.append(_string(key) + struct.pack("<I", kind) + value)

    def string(self, key: str, value: str) -> None:
        self._put(key, _STRING, _string(value))

    def integer(self, key: str, value: int) -> None:
        self._put(key, _U32, struct.pack("<I", value))

    def number(self, key: str, value: float) -> None:
        self._put(key, _F32, struct.pack("<f", value))

    def boolean(self, key: str, *, value: bool) -> None:
        self._put(key, _BOOL, struct.pack("<?", value))

    def strings(self, key: str, values: list[str]) -> None:
        self._put(key, _ARRAY, _array(_STRING, [_string(v) for v in values]))

    def numbers(self, key: str, values: list[float]) -> None:
        self._put(key, _ARRAY, _array(_F32, [struct.pack("<f", v) for v in values]))

    def integers(self, key: str, values: list[int]) -> None:
        self._put(key, _ARRAY, _array(_I32, [struct.pack("<i", v) for v in values]))

    def tensor(self, name: str, *shape: int, mean: float = 0.0, spread: float = 0.2) -> None:
        """A float tensor; `shape` starts with the contiguous dimension. Each tensor has its own stream of numbers."""
        draw = random.Random(f"{self.seed} {name}")
        count = 1
        for length in shape:
            count *= length
        self.tensors.append((name, shape, array("f", (draw.gauss(mean, spread) for _ in range(count)))))

    def write(self, path: Path) -> None:
        infos, blobs, offset = [], [], 0
        for name, shape, values in self.tensors:
            infos.append(_string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, offset))
            blob = values.tobytes()
            blob += b"\0" * (-len(blob) % _ALIGNMENT)
            blobs.append(blob)
            offset += len(blob)
        head = b"GGUF" + struct.pack("<IQQ", 3, len(self.tensors), len(self.metadata))
        head += b"".join(self.metadata) + b"".join(infos)
        head += b"\0" * (-len(head) % _ALIGNMENT)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_bytes(head + b"".join(blobs))
        partial.replace(path)


def _vocabulary(gguf: Gguf) -> None:
    unknown, control, normal, byte = 2, 3, 1, 6
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + ["<|im_start|>", "<|im_end|>"]
    kinds = [unknown, control, control] + [byte] * 256 + [control, control]
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = [*letters, "\u2581", "th", "he", "in", "er", "an", "re", "on", "at", "en", "nd", "ti", "es"]
    tokens += pieces[: VOCAB - len(tokens)]
    kinds += [normal] * (VOCAB - len(kinds))
    gguf.string("tokenizer.ggml.model", "llama")
    gguf.strings("tokenizer.ggml.tokens", tokens)
    gguf.numbers("tokenizer.ggml.scores", [-float(i) for i in range(VOCAB)])
    gguf.integers("tokenizer.ggml.token_type", kinds)
    gguf.integer("tokenizer.ggml.bos_token_id", BEGIN)
    gguf.integer("tokenizer.ggml.eos_token_id", IM_END)
    gguf.boolean("tokenizer.ggml.add_bos_token", value=False)
    gguf.boolean("tokenizer.ggml.add_space_prefix", value=False)
    gguf.string("tokenizer.chat_template", CHATML)


def _common(gguf: Gguf, architecture: str) -> None:
    gguf.string("general.architecture", architecture)
    gguf.string("general.name", f"tiny {architecture}")
    gguf.integer(f"{architecture}.block_count", LAYERS)
    gguf.integer(f"{architecture}.context_length", CONTEXT)
    gguf.integer(f"{architecture}.embedding_length", EMBEDDING)
    gguf.number(f"{architecture}.attention.layer_norm_rms_epsilon", 1e-5)
    _vocabulary(gguf)
    gguf.tensor("token_embd.weight", EMBEDDING, VOCAB, spread=0.5)
    gguf.tensor("output_norm.weight", EMBEDDING, mean=1.0, spread=0.05)


def _attention(gguf: Gguf, architecture: str) -> None:
    gguf.integer(f"{architecture}.feed_forward_length", FEED_FORWARD)
    gguf.integer(f"{architecture}.attention.head_count", HEADS)
    gguf.integer(f"{architecture}.attention.head_count_kv", KV_HEADS)
    gguf.integer(f"{architecture}.attention.key_length", HEAD_LENGTH)
    gguf.integer(f"{architecture}.attention.value_length", HEAD_LENGTH)
    for layer in range(LAYERS):
        at = f"blk.{layer}."
        for norm in ("attn_norm", "ffn_norm"):
            gguf.tensor(f"{at}{norm}.weight", EMBEDDING, mean=1.0, spread=0.05)
        gguf.tensor(f"{at}attn_q.weight", EMBEDDING, EMBEDDING)
        gguf.tensor(f"{at}attn_k.weight", EMBEDDING, KV_HEADS * HEAD_LENGTH)
        gguf.tensor(f"{at}attn_v.weight", EMBEDDING, KV_HEADS * HEAD_LENGTH)
        gguf.tensor(f"{at}attn_output.weight", EMBEDDING, EMBEDDING)
        gguf.tensor(f"{at}ffn_gate.weight", EMBEDDING, FEED_FORWARD)
        gguf.tensor(f"{at}ffn_up.weight", EMBEDDING, FEED_FORWARD)
        gguf.tensor(f"{at}ffn_down.weight", FEED_FORWARD, EMBEDDING)


def llama(seed: int = 1) -> Gguf:
    gguf = Gguf(seed)
    _common(gguf, "llama")
    _attention(gguf, "llama")
    gguf.integer("llama.rope.dimension_count", HEAD_LENGTH)
    gguf.tensor("output.weight", EMBEDDING, VOCAB, spread=0.5)
    return gguf


def gemma2(seed: int = 1) -> Gguf:
    gguf = Gguf(seed)
    _common(gguf, "gemma2")
    _attention(gguf, "gemma2")
    gguf.integer("gemma2.attention.sliding_window", WINDOW)
    gguf.number("gemma2.attn_logit_softcapping", 50.0)
    gguf.number("gemma2.final_logit_softcapping", 30.0)
    for layer in range(LAYERS):
        for norm in ("post_attention_norm", "post_ffw_norm"):
            gguf.tensor(f"blk.{layer}.{norm}.weight", EMBEDDING, mean=1.0, spread=0.05)
    return gguf


def mamba(seed: int = 1) -> Gguf:
    inner, state, convolution, rank = 2 * EMBEDDING, 16, 4, 4
    gguf = Gguf(seed)
    _common(gguf, "mamba")
    gguf.integer("mamba.feed_forward_length", 0)
    gguf.integer("mamba.attention.head_count", 0)
    gguf.integer("mamba.ssm.conv_kernel", convolution)
    gguf.integer("mamba.ssm.inner_size", inner)
    gguf.integer("mamba.ssm.state_size", state)
    gguf.integer("mamba.ssm.time_step_rank", rank)
    for layer in range(LAYERS):
        at = f"blk.{layer}."
        gguf.tensor(f"{at}attn_norm.weight", EMBEDDING, mean=1.0, spread=0.05)
        gguf.tensor(f"{at}ssm_in.weight", EMBEDDING, 2 * inner)
        gguf.tensor(f"{at}ssm_conv1d.weight", convolution, inner)
        gguf.tensor(f"{at}ssm_conv1d.bias", inner, spread=0.05)
        gguf.tensor(f"{at}ssm_x.weight", inner, rank + 2 * state)
        gguf.tensor(f"{at}ssm_dt.weight", rank, inner)
        gguf.tensor(f"{at}ssm_dt.bias", inner, spread=0.05)
        gguf.tensor(f"{at}ssm_a", state, inner, mean=-1.0, spread=0.2)
        gguf.tensor(f"{at}ssm_d", inner, mean=1.0, spread=0.05)
        gguf.tensor(f"{at}ssm_out.weight", inner, EMBEDDING)
    return gguf


def lora(
    seed: int = 1, *, architecture: str = "llama", rank: int = 4, alpha: float = 8.0, embedding: int = EMBEDDING
) -> Gguf:
    """A LoRA adapter of the query and value projections; strong enough to change what is answered."""
    gguf = Gguf(seed)
    gguf.string("general.type", "adapter")
    gguf.string("general.architecture", architecture)
    gguf.string("general.name", f"tiny lora {seed}")
    gguf.string("adapter.type", "lora")
    gguf.number("adapter.lora.alpha", alpha)
    for layer in range(LAYERS):
        for target, outputs in (("attn_q", HEADS * HEAD_LENGTH), ("attn_v", KV_HEADS * HEAD_LENGTH)):
            at = f"blk.{layer}.{target}.weight"
            gguf.tensor(f"{at}.lora_a", embedding, rank)
            gguf.tensor(f"{at}.lora_b", rank, outputs)
    return gguf


ARCHITECTURES = {"llama": llama, "gemma2": gemma2, "mamba": mamba}
ADAPTERS = {"lora": lora, "lora2": lambda: lora(2)}


def main() -> int:
    kinds = {**ARCHITECTURES, **ADAPTERS}
    if len(sys.argv) != 3 or sys.argv[1] not in kinds:
        print(__doc__, file=sys.stderr)
        return 2
    kinds[sys.argv[1]]().write(Path(sys.argv[2]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
