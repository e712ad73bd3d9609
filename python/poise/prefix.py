"""Base prefixes: system prompts and tool lists that are prefilled once for a tenant, before its sessions come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from poise import _core
    from poise.engine import Engine

#: Of the prefix's KV; a session's log has 80.
RETENTION_PRIORITY = 95


@dataclass(frozen=True)
class PrefixSavings:
    """What a prefix, or all of them, have spared the sessions that began with it."""

    sessions: int
    tokens: int
    ms: float
    estimated: bool  # the executor does not tell what a prefill or a copy costs: `ms` lacks it

    def __str__(self) -> str:
        if not self.sessions:
            return "no session has begun with it yet"
        some = "1 session" if self.sessions == 1 else f"{self.sessions} sessions"
        about = "an estimated " if self.estimated else ""
        return f"{some} began with it: {self.tokens} tokens not prefilled again, {about}{self.ms:.1f} ms saved"


class BasePrefix:
    """Made by Engine.declare_prefix. Lives until it is retracted, or the engine is closed."""

    def __init__(self, engine: Engine, session_id: str, tenant: str, tokens: list[int]) -> None:
        self.tenant = tenant
        self.tokens = tuple(tokens)
        self._engine = engine
        self._id = session_id
        self._last: PrefixSavings | None = None  # set when it is retracted

    @property
    def retracted(self) -> bool:
        """New sessions do not begin with it any more."""
        return self._last is not None

    @property
    def resident_tokens(self) -> int:
        """How many of its tokens have their KV already."""
        return 0 if self.retracted else self._engine.manager.state(self._id).resident_tokens

    @property
    def savings(self) -> PrefixSavings:
        """So far; after it was retracted: up to then."""
        return self._last or _savings(self._engine.manager.state(self._id).prefix_use)

    @property
    def sessions_started(self) -> int:
        """Sessions that found their beginning resident."""
        return self.savings.sessions

    @property
    def tokens_saved(self) -> int:
        """Tokens that those sessions did not prefill."""
        return self.savings.tokens

    @property
    def ms_saved(self) -> float:
        """Measured prefill cost of these tokens, less that of the copies; see `savings.estimated`."""
        return self.savings.ms

    def retract(self) -> None:
        """Frees its KV. Sessions that began with it go on. Again is fine."""
        if not self.retracted:
            self._last = self.savings
            self._engine.manager.close(self._id)

    close = retract

    def __enter__(self) -> BasePrefix:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._engine.closed:
            self.retract()


def _savings(use: _core.PrefixUse) -> PrefixSavings:
    return PrefixSavings(use.sessions_started, use.tokens_saved, use.time_saved_ms, use.estimated)
