"""Greedy decoding of a GGUF through llama.cpp (package ``llama-cpp-python``, its low-level part)."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import llama_cpp as c  # type: ignore[import-not-found,unused-ignore]
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pathlib import Path


class Llama:
    """One sequence whose longest common prefix with the next call is kept."""

    def __init__(self, path: Path, context: int = 8192, threads: int = 2) -> None:
        c.llama_backend_init()
        self._quiet = c.llama_log_callback(lambda level, text, data: None)
        c.llama_log_set(self._quiet, ctypes.c_void_p(0))
        self._model = c.llama_model_load_from_file(str(path).encode(), c.llama_model_default_params())
        if not self._model:
            raise RuntimeError(f"llama.cpp cannot load {path}")
        params = c.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = context, 512, 512
        params.n_threads = params.n_threads_batch = threads
        self._ctx = c.llama_init_from_model(self._model, params)
        self._vocab = c.llama_model_get_vocab(self._model)
        self._size = c.llama_vocab_n_tokens(self._vocab)
        self._resident: list[int] = []

    def tokenize(self, text: str) -> list[int]:
        """Ids with special tokens recognised and none added."""
        raw = text.encode()
        room = len(raw) + 8
        ids = (c.llama_token * room)()
        count = c.llama_tokenize(self._vocab, raw, len(raw), ids, room, False, True)
        return list(ids[:count])

    def logits(self, ids: list[int]) -> npt.NDArray[np.float32]:
        """Logits (vocabulary,) after `ids`, which must not be empty."""
        keep = 0
        for mine, theirs in zip(self._resident, ids[:-1], strict=False):
            if mine != theirs:
                break
            keep += 1
        c.llama_memory_seq_rm(c.llama_get_memory(self._ctx), 0, keep, -1)
        for start in range(keep, len(ids), 512):
            part = ids[start : start + 512]
            tokens = (c.llama_token * len(part))(*part)  # the batch borrows it
            batch = c.llama_batch_get_one(tokens, len(part))
            if c.llama_decode(self._ctx, batch) != 0:
                raise RuntimeError(f"llama_decode failed at {start} of {len(ids)} tokens")
        self._resident = list(ids)
        pointer = c.llama_get_logits_ith(self._ctx, -1)
        return np.ctypeslib.as_array(pointer, shape=(self._size,)).copy()

    def greedy(self, ids: list[int], stop: int, limit: int = 160) -> list[int]:
        """Greedy continuation of `ids` up to and without `stop`."""
        out: list[int] = []
        while len(out) < limit:
            token = int(self.logits(ids + out).argmax())
            if token == stop:
                break
            out.append(token)
        return out
