"""The decoder in plain PyTorch: RMSNorm, rotary positions (half-split, as in Hugging Face), grouped
queries, SwiGLU, embeddings tied to the output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from attention import Mask, attend
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from config import Shape


def rotary(shape: Shape, length: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines, each (length, head_dim), float32."""
    half = torch.arange(0, shape.head_dim, 2, device=device, dtype=torch.float32)
    inverse = shape.rope_base ** (-half / shape.head_dim)
    angles = torch.outer(torch.arange(length, device=device, dtype=torch.float32), inverse)
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply rotary positions to x (b, h, t, d)."""
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((-second, first), dim=-1)
    return (x.float() * cos + turned * sin).to(x.dtype)


class Block(nn.Module):
    """One decoder layer. Parameter names follow Hugging Face's Llama."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        kv = shape.kv_heads * shape.head_dim
        self.input_layernorm = nn.RMSNorm(shape.width, eps=shape.norm_eps)
        self.q_proj = nn.Linear(shape.width, shape.heads * shape.head_dim, bias=False)
        self.k_proj = nn.Linear(shape.width, kv, bias=False)
        self.v_proj = nn.Linear(shape.width, kv, bias=False)
        self.o_proj = nn.Linear(shape.heads * shape.head_dim, shape.width, bias=False)
        self.post_attention_layernorm = nn.RMSNorm(shape.width, eps=shape.norm_eps)
        self.gate_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down_proj = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Mask) -> Tensor:
        """x (b, t, width) -> the same."""
        b, t, _ = x.shape
        h = self.input_layernorm(x)
        q = self.q_proj(h).view(b, t, self.shape.heads, -1).transpose(1, 2)
        k = self.k_proj(h).view(b, t, self.shape.kv_heads, -1).transpose(1, 2)
        v = self.v_proj(h).view(b, t, self.shape.kv_heads, -1).transpose(1, 2)
        mixed = attend(rotate(q, cos, sin), rotate(k, cos, sin), v, mask)
        x = x + self.o_proj(mixed.transpose(1, 2).reshape(b, t, -1))
        h = self.post_attention_layernorm(x)
        out: Tensor = x + self.down_proj(functional.silu(self.gate_proj(h)) * self.up_proj(h))
        return out


class Decoder(nn.Module):
    """Token ids (b, t) to hidden states (b, t, width); `logits` applies the tied output."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, eps=shape.norm_eps)
        self.apply(self._init)
        for name, parameter in self.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                nn.init.normal_(parameter, std=0.02 / (2 * shape.layers) ** 0.5)

    @staticmethod
    def _init(module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)

    def forward(self, ids: Tensor, mask: Mask) -> Tensor:
        """Hidden states after the last norm."""
        cos, sin = rotary(self.shape, ids.shape[1], ids.device)
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x, cos, sin, mask)
        out: Tensor = self.norm(x)
        return out

    def logits(self, hidden: Tensor) -> Tensor:
        """(…, width) -> (…, vocabulary)."""
        return functional.linear(hidden, self.embed_tokens.weight)
