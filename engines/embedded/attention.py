"""Causal attention that stays inside each packed document."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

Mask = BlockMask | Tensor


def dense(documents: Tensor) -> Mask:
    """For the CPU: an explicit mask (b, 1, t, t). `documents` (b, t) numbers each token's document."""
    t = documents.shape[1]
    causal = torch.ones(t, t, dtype=torch.bool, device=documents.device).tril()
    return causal & (documents[:, None, :, None] == documents[:, None, None, :])


@cache
def _compiled() -> Any:
    return torch.compile(create_block_mask)


def blocks(documents: Tensor) -> Mask:
    """For a GPU: a block mask, so that FlexAttention skips what no document touches."""

    def same(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return (q >= k) & (documents[b, q] == documents[b, k])

    b, t = documents.shape
    mask: Mask = _compiled()(same, b, None, t, t, device=documents.device)
    return mask


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Mask) -> Tensor:
    """q (b, heads, t, d), k and v (b, kv_heads, t, d) -> (b, heads, t, d)."""
    if isinstance(mask, BlockMask):
        out = flex_attention(q, k, v, block_mask=mask, enable_gqa=True)
        assert isinstance(out, Tensor)
        return out
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
