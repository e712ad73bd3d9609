"""A compiled grammar at one point of an answer, as the core sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poise import _core
from poise.errors import ExecutorError, InvalidArgument

if TYPE_CHECKING:
    import llguidance
    import numpy as np
    from numpy.typing import NDArray

_Run = tuple[tuple[int, ...], int]  # forced ids, and how many of them were accepted
_NO_RUN: _Run = ((), 0)


class GrammarConstraint(_core.Constraint):
    """Where the grammar is complete and nothing may follow, the model's end token is forced; where something may,
    the model chooses between it and any end token. The constraint is finished behind an end token.

    A forced run is decided where it begins and then followed: tokenized again from its middle, the same text
    might fall into other ids, and a request that is split there would end differently.
    """

    def __init__(
        self,
        matcher: llguidance.LLMatcher,
        end_token: int,
        end_tokens: frozenset[int],
        history: list[_Run | None] | None = None,
        run: _Run | None = None,
        ended: bool = False,
    ) -> None:
        """`end_token` is the one that is forced, one of `end_tokens`."""
        super().__init__()
        self._matcher = matcher
        self._end_token = end_token
        self._end_tokens = end_tokens
        self._history = history if history is not None else []  # the run before each accepted id
        self._run = run  # None: not asked for yet
        self._ended = ended

    def fill_mask(self, mask: NDArray[np.uint32]) -> None:
        """Straight into the core's memory."""
        if self._ended:
            mask.fill(0)
            return
        address: int = mask.__array_interface__["data"][0]
        self._matcher.unsafe_compute_mask_ptr(address, mask.nbytes)
        self._check()

    def forced(self) -> list[int]:
        """The rest of the run that began here or before."""
        ids, done = self._known_run()
        return list(ids[done:])

    def accept(self, token: int) -> None:  # type: ignore[override]  # the core calls it with an int
        """Moves on by one id."""
        run = self._known_run()
        if self._ended:
            raise InvalidArgument(f"the constraint is finished and cannot accept id {token}")
        if token in self._end_tokens:
            if not self._matcher.is_accepting():
                raise InvalidArgument(f"id {token} ends the answer, but the constraint is not satisfied yet")
            self._ended = True
        elif self._matcher.try_consume_tokens([token]) != 1:
            raise InvalidArgument(f"id {token} is not allowed by the constraint here")
        self._history.append(run)
        ids, done = run
        follows = done < len(ids) and ids[done] == token
        self._run = (ids, done + 1) if follows and done + 1 < len(ids) else None

    def rollback(self, count: int) -> None:  # type: ignore[override]
        """Takes back the last ids."""
        if count > len(self._history):
            raise InvalidArgument(f"cannot take back {count} ids: the constraint has accepted {len(self._history)}")
        if count == 0:
            return
        consumed = count - (1 if self._ended else 0)
        if consumed and not self._matcher.rollback(consumed):
            raise ExecutorError(f"the constraint cannot go back: {self._matcher.get_error()}")
        self._ended = False
        self._run = self._history[-count]
        del self._history[-count:]

    @property
    def finished(self) -> bool:
        """Behind an end token."""
        return self._ended

    def clone(self) -> GrammarConstraint:
        """An independent copy in the same state."""
        return GrammarConstraint(
            self._matcher.deep_copy(), self._end_token, self._end_tokens, list(self._history), self._run, self._ended
        )

    def _known_run(self) -> _Run:
        if self._run is None:
            self._run = self._find_run()
        return self._run

    def _find_run(self) -> _Run:
        if self._ended:
            return _NO_RUN
        if self._matcher.is_stopped():
            self._check()
            return (self._end_token,), 0
        return tuple(self._matcher.compute_ff_tokens()), 0

    def _check(self) -> None:
        """A grammar that became too complex, or a state that nothing leads out of."""
        if self._matcher.is_error():
            raise ExecutorError(f"the constraint failed: {self._matcher.get_error() or self._matcher.stop_reason()}")
