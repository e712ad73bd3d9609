"""A constraint that follows a script: at each position one forced id, or a set of ids to choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poise import _core

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

Step = int | tuple[int, ...]


class Scripted(_core.Constraint):
    """`piece`: how many forced ids are told at once; a run may be longer."""

    def __init__(self, script: Sequence[Step], *, piece: int = 1000, history: Sequence[int] = ()) -> None:
        super().__init__()
        self.script = list(script)
        self.piece = piece
        self.accepted = list(history)

    def _here(self) -> tuple[int, ...]:
        if len(self.accepted) == len(self.script):
            return ()
        step = self.script[len(self.accepted)]
        return (step,) if isinstance(step, int) else step

    def fill_mask(self, mask: NDArray[np.uint32]) -> None:
        mask[:] = 0
        for token in self._here():
            if token < 32 * len(mask):
                mask[token // 32] |= 1 << (token % 32)

    def forced(self) -> list[int]:
        run: list[int] = []
        for step in self.script[len(self.accepted) :]:
            if not isinstance(step, int) or len(run) == self.piece:
                break
            run.append(step)
        return run

    def accept(self, token: int) -> None:
        if token not in self._here():
            raise _core.InvalidArgument(f"id {token} is not in the script here")
        self.accepted.append(token)

    def rollback(self, count: int) -> None:
        if count > len(self.accepted):
            raise _core.InvalidArgument(f"cannot take back {count} of {len(self.accepted)} ids")
        del self.accepted[len(self.accepted) - count :]

    @property
    def finished(self) -> bool:
        return len(self.accepted) == len(self.script)

    def clone(self) -> Scripted:
        return Scripted(self.script, piece=self.piece, history=self.accepted)
