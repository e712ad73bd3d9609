"""
Poise's C++ core.
"""

from __future__ import annotations
import collections.abc
import enum
import numpy
import numpy.typing
import typing

__all__: list[str] = [
    "AdapterFile",
    "Anticipation",
    "AnticipationKind",
    "AnticipationSource",
    "AppendResult",
    "Clock",
    "CollectSink",
    "Completion",
    "Conflict",
    "Constraint",
    "ContextOverflow",
    "CostModel",
    "Counters",
    "Device",
    "EntryOutcome",
    "EntryPlacement",
    "EntryState",
    "Error",
    "Executor",
    "ExecutorError",
    "ExecutorInfo",
    "ExecutorStats",
    "FakeClock",
    "FinishReason",
    "GateOptions",
    "GeneratedToken",
    "IdleCandidate",
    "IdleOptions",
    "IdleScheduler",
    "InvalidArgument",
    "Journal",
    "JournalRecord",
    "KvKey",
    "KvLayout",
    "LlamaExecutor",
    "LlamaOptions",
    "LlamaVocab",
    "LoadedAdapter",
    "LogitBias",
    "LogitsView",
    "LogitsWanted",
    "ManagerOptions",
    "MemoryJournal",
    "MessageSpan",
    "ModelError",
    "NO_OWNER",
    "NO_TOKEN",
    "NotFound",
    "OpenOptions",
    "Path",
    "PrefixUse",
    "REQUEST_PRIORITY",
    "ReadyRow",
    "Request",
    "ResourceExhausted",
    "Retention",
    "Reuse",
    "SamplingParams",
    "ScanError",
    "ScanIsa",
    "ScanResult",
    "ScanStatistics",
    "SessionManager",
    "SessionState",
    "SimExecutor",
    "SimOptions",
    "Sink",
    "SizeClass",
    "SizeClassState",
    "SplitEquality",
    "SteadyClock",
    "ThoughtOptions",
    "TokenCount",
    "TokenLogprob",
    "TokenSetConstraint",
    "TurnEnd",
    "TurnRequest",
    "TurnStart",
    "TurnStream",
    "TurnToken",
    "WindowDrop",
    "WindowOptions",
    "count_tokens",
    "load_vocab",
    "scan",
    "scan_isa",
    "scan_many",
    "scan_statistics",
    "scan_uniform",
    "set_scan_isa",
    "top_logprobs",
]

class Error(Exception):
    """
    Root of everything that Poise raises on purpose.
    """

class InvalidArgument(Error, ValueError):
    """
    A value that no state of the system would accept. Nothing was changed.
    """

class ContextOverflow(InvalidArgument):
    """
    The request cannot fit into the context. Raised before KV is touched.
    """

class NotFound(Error, LookupError):
    """
    The session, turn or anticipation is unknown, closed, or another tenant's.
    """

class Conflict(Error):
    """
    A second concurrent writer. The first one goes on undisturbed.
    """

class ResourceExhausted(Error):
    """
    A cap on memory, sessions or sequences was reached; checked before allocation.
    """

class ModelError(Error):
    """
    The model file is missing, damaged or of a kind that the executor cannot serve.
    """

class ScanError(Error):
    """
    A row without an answer: not-a-number logits, or every id masked.
    """

class ExecutorError(Error):
    """
    The executor failed in the middle of a step, or is shut down. The session keeps its log.
    """

class Clock:
    """
    Monotonic time. Thread-safe.
    """

    def now_ms(self) -> float:
        """
        Milliseconds since an arbitrary origin, never decreasing.
        """

class SteadyClock(Clock):
    """
    The machine's monotonic clock.
    """

    def __init__(self) -> None: ...

class FakeClock(Clock):
    """
    Time that moves only when told to; starts at 0 ms.
    """

    def __init__(self) -> None: ...
    def advance_ms(self, by_ms: typing.SupportsFloat | typing.SupportsIndex) -> None:
        """
        Moves the time on. Raises InvalidArgument if by_ms is negative or not finite.
        """

class LogitBias:
    """
    Added to one id's logit after the penalties.
    """

    def __init__(
        self,
        *,
        token: typing.SupportsInt | typing.SupportsIndex = -1,
        bias: typing.SupportsFloat | typing.SupportsIndex = 0.0,
    ) -> None: ...
    def __repr__(self) -> str: ...
    @property
    def bias(self) -> float:
        """
        Finite, or -inf to forbid the id.
        """

    @bias.setter
    def bias(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...
    @property
    def token(self) -> int:
        """
        The id.
        """

    @token.setter
    def token(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...

class SamplingParams:
    """
    How tokens are chosen; every default is neutral.
    """

    def __init__(
        self,
        *,
        temperature: typing.SupportsFloat | typing.SupportsIndex = 1.0,
        top_k: typing.SupportsInt | typing.SupportsIndex = 0,
        top_p: typing.SupportsFloat | typing.SupportsIndex = 1.0,
        min_p: typing.SupportsFloat | typing.SupportsIndex = 0.0,
        repetition_penalty: typing.SupportsFloat | typing.SupportsIndex = 1.0,
        presence_penalty: typing.SupportsFloat | typing.SupportsIndex = 0.0,
        frequency_penalty: typing.SupportsFloat | typing.SupportsIndex = 0.0,
        bias: collections.abc.Sequence[LogitBias] = ...,
        seed: typing.SupportsInt | typing.SupportsIndex | None = None,
        choice_index: typing.SupportsInt | typing.SupportsIndex = 0,
    ) -> None: ...
    def __repr__(self) -> str: ...
    def same_distribution(self, other: SamplingParams) -> bool:
        """
        Equal in everything that decides a draw, the seed left out.
        """

    def validate(self, vocab_size: typing.SupportsInt | typing.SupportsIndex) -> None:
        """
        Raises InvalidArgument naming field, value and range.
        """

    @property
    def bias(self) -> list[LogitBias]:
        """
        At most one term an id.
        """

    @bias.setter
    def bias(self, arg1: collections.abc.Sequence[LogitBias]) -> None: ...
    @property
    def choice_index(self) -> int:
        """
        Which of the n answers to one prompt this is.
        """

    @choice_index.setter
    def choice_index(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def frequency_penalty(self) -> float:
        """
        Subtracted per occurrence among the generated ids.
        """

    @frequency_penalty.setter
    def frequency_penalty(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...
    @property
    def greedy(self) -> bool:
        """
        True at temperature 0.
        """

    @property
    def has_penalties(self) -> bool:
        """
        True if any penalty is not neutral.
        """

    @property
    def min_p(self) -> float:
        """
        Keep ids with p >= min_p * max p; in [0, 1].
        """

    @min_p.setter
    def min_p(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...
    @property
    def presence_penalty(self) -> float:
        """
        Subtracted once from ids already generated.
        """

    @presence_penalty.setter
    def presence_penalty(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...
    @property
    def repetition_penalty(self) -> float:
        """
        Over all ids of the context; 1 = none.
        """

    @repetition_penalty.setter
    def repetition_penalty(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...
    @property
    def seed(self) -> int | None:
        """
        Key of the draws; None = adopted or fresh.
        """

    @seed.setter
    def seed(self, arg1: typing.SupportsInt | typing.SupportsIndex | None) -> None: ...
    @property
    def temperature(self) -> float:
        """
        0 = greedy; in [0, 100].
        """

    @temperature.setter
    def temperature(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...
    @property
    def top_k(self) -> int:
        """
        Keep the k best ids; 0 = all.
        """

    @top_k.setter
    def top_k(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def top_p(self) -> float:
        """
        Keep the smallest best-first set with this mass; in (0, 1].
        """

    @top_p.setter
    def top_p(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...

class ScanIsa(enum.Enum):
    """
    The instruction set of the CPU scan.
    """

    avx2 = ...
    avx512 = ...
    portable = ...

class TokenCount:
    """
    How often an id occurs: input of the penalties.
    """

    def __init__(
        self,
        *,
        token: typing.SupportsInt | typing.SupportsIndex = -1,
        generated: typing.SupportsInt | typing.SupportsIndex = 0,
        in_context: bool = True,
    ) -> None: ...
    def __repr__(self) -> str: ...
    @property
    def generated(self) -> int:
        """
        Occurrences at or behind output_start.
        """

    @generated.setter
    def generated(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def in_context(self) -> bool:
        """
        Occurs anywhere in the context.
        """

    @in_context.setter
    def in_context(self, arg1: bool) -> None: ...
    @property
    def token(self) -> int:
        """
        The id.
        """

    @token.setter
    def token(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...

class ScanStatistics:
    """
    After penalties, bias and mask, at temperature 1.
    """

    def __repr__(self) -> str: ...
    @property
    def entropy(self) -> float:
        """
        Nats.
        """

    @property
    def gap(self) -> float:
        """
        top1_logit - top2_logit.
        """

    @property
    def log_sum_exp(self) -> float:
        """
        Of the allowed logits.
        """

    @property
    def top1(self) -> int:
        """
        The best id.
        """

    @property
    def top1_logit(self) -> float:
        """
        Natural-log units.
        """

    @property
    def top2(self) -> int:
        """
        The next, or -1.
        """

    @property
    def top2_logit(self) -> float:
        """
        -inf if there is no second.
        """

class ScanResult:
    """
    A token and the statistics of its row.
    """

    def __repr__(self) -> str: ...
    @property
    def from_head(self) -> bool:
        """
        Answered by a kept head, the whole row untouched.
        """

    @property
    def logprob(self) -> float:
        """
        Under the statistics' distribution.
        """

    @property
    def stats(self) -> ScanStatistics:
        """
        See ScanStatistics.
        """

    @property
    def token(self) -> int:
        """
        The chosen id.
        """

class TokenLogprob:
    """
    An id and its natural log-probability.
    """

    def __repr__(self) -> str: ...
    @property
    def logprob(self) -> float:
        """
        <= 0.
        """

    @property
    def token(self) -> int:
        """
        The id.
        """

class ReadyRow:
    """
    A row kept with everything that does not depend on a request.
    """

    def __init__(self, logits: numpy.ndarray, head_size: typing.SupportsInt | typing.SupportsIndex = 256) -> None: ...
    def scan(
        self,
        params: SamplingParams,
        *,
        mask: numpy.ndarray | None = None,
        counts: collections.abc.Sequence[TokenCount] = [],
        position: typing.SupportsInt | typing.SupportsIndex = 0,
    ) -> ScanResult:
        """
        What `scan` gives on this row, from the head where it proves the outcome.
        """

    def scan_many(
        self,
        params: SamplingParams,
        positions: numpy.ndarray,
        *,
        mask: numpy.ndarray | None = None,
        counts: collections.abc.Sequence[TokenCount] = [],
    ) -> tuple[typing.Any, ...]:
        """
        The tokens at each position, and how many of them the head answered.
        """

    @property
    def head(self) -> list[TokenLogprob]:
        """
        The best ids of the neutral row, best first.
        """

    @property
    def logits(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        The raw row, read-only.
        """

    @property
    def size_bytes(self) -> int: ...
    @property
    def statistics(self) -> ScanStatistics:
        """
        Of the neutral row.
        """

class Constraint:
    """
    A state machine over generated ids: which may come next. Subclass it and override fill_mask, accept, rollback, finished and clone, and forced where there are ids without a choice. An exception ends the request with reason error.
    """

    def __init__(self) -> None: ...
    def accept(self, token: typing.SupportsInt | typing.SupportsIndex) -> None:
        """
        Moves on by one id; raises InvalidArgument if not allowed.
        """

    def allowed(self, vocab_size: typing.SupportsInt | typing.SupportsIndex) -> list[int]:
        """
        The ids allowed next, ascending.
        """

    def clone(self) -> Constraint:
        """
        An independent copy in the same state.
        """

    def fill_mask(self, mask: numpy.typing.NDArray[numpy.uint32]) -> None:
        """
        Sets the bits of the ids allowed next and clears all others: bit i % 32 of word i / 32 is id i. The mask is the core's own memory: it must not be kept.
        """

    def forced(self) -> list[int]:
        """
        Ids that must come next whatever the logits say; empty if there is a choice. The same state gives the same ids.
        """

    def rollback(self, count: typing.SupportsInt | typing.SupportsIndex) -> None:
        """
        Takes back the last accepted ids.
        """

    @property
    def finished(self) -> bool:
        """
        Nothing more may be generated.
        """

class TokenSetConstraint(Constraint):
    """
    Allows one fixed set of ids at each of the next `steps` positions.
    """

    def __init__(
        self,
        allowed: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer],
        steps: typing.SupportsInt | typing.SupportsIndex,
    ) -> None: ...

class KvKey:
    """
    What must be equal for two contexts to share KV.
    """

    def __eq__(self, arg0: object) -> bool: ...
    def __init__(
        self,
        *,
        tenant_salt: typing.SupportsInt | typing.SupportsIndex = 0,
        adapter_id: typing.SupportsInt | typing.SupportsIndex = 0,
        adapter_scale: typing.SupportsFloat | typing.SupportsIndex = 0.0,
        text_salt: typing.SupportsInt | typing.SupportsIndex = 0,
    ) -> None: ...
    def __repr__(self) -> str: ...
    @property
    def adapter_id(self) -> int:
        """
        0 = no LoRA adapter.
        """

    @adapter_id.setter
    def adapter_id(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def adapter_scale(self) -> float:
        """
        The adapter's scale.
        """

    @adapter_scale.setter
    def adapter_scale(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...
    @property
    def tenant_salt(self) -> int:
        """
        One value a tenant, set by the server.
        """

    @tenant_salt.setter
    def tenant_salt(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def text_salt(self) -> int:
        """
        A digest of template arguments and tools.
        """

    @text_salt.setter
    def text_salt(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...

class Retention:
    """
    How much a range's KV is worth after the request has ended.
    """

    def __init__(
        self,
        *,
        begin: typing.SupportsInt | typing.SupportsIndex = 0,
        end: typing.SupportsInt | typing.SupportsIndex = -1,
        priority: typing.SupportsInt | typing.SupportsIndex = 35,
        time_to_live_ms: typing.SupportsFloat | typing.SupportsIndex | None = None,
    ) -> None: ...
    def __repr__(self) -> str: ...
    @property
    def begin(self) -> int:
        """
        First position.
        """

    @begin.setter
    def begin(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def end(self) -> int:
        """
        Behind the last position; -1 = the end of the sequence.
        """

    @end.setter
    def end(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def priority(self) -> int:
        """
        0 (first to go) to 100.
        """

    @priority.setter
    def priority(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def time_to_live_ms(self) -> float | None:
        """
        Falls back to priority 35 this long after the request's end; None = never.
        """

    @time_to_live_ms.setter
    def time_to_live_ms(self, arg1: typing.SupportsFloat | typing.SupportsIndex | None) -> None: ...

class LogitsWanted:
    """
    Which raw logits a request returns.
    """

    def __init__(
        self,
        *,
        context_positions: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer] = ...,
        generated: bool = False,
    ) -> None: ...
    def __repr__(self) -> str: ...
    @property
    def context_positions(self) -> list[int]:
        """
        Return the row behind each; ascending.
        """

    @context_positions.setter
    def context_positions(self, arg1: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer]) -> None: ...
    @property
    def generated(self) -> bool:
        """
        Return the row from which each generated token was chosen.
        """

    @generated.setter
    def generated(self, arg1: bool) -> None: ...

class Request:
    """
    One request to an executor.
    """

    def __init__(
        self,
        *,
        context: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer] = ...,
        output_start: typing.SupportsInt | typing.SupportsIndex = -1,
        max_new_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        sampling: SamplingParams = ...,
        stop_tokens: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer] = ...,
        constraint: Constraint | None = None,
        priority: typing.SupportsFloat | typing.SupportsIndex = 0.5,
        key: KvKey = ...,
        owner: typing.SupportsInt | typing.SupportsIndex = 0,
        retention: collections.abc.Sequence[Retention] = ...,
        logits: LogitsWanted = ...,
        top_logprobs: typing.SupportsInt | typing.SupportsIndex = 0,
    ) -> None: ...
    def __repr__(self) -> str: ...
    @property
    def constraint(self) -> Constraint:
        """
        State before context[output_start]; the executor clones it.
        """

    @constraint.setter
    def constraint(self, arg1: Constraint) -> None: ...
    @property
    def context(self) -> list[int]:
        """
        The whole context; the executor reuses what is resident.
        """

    @context.setter
    def context(self, arg1: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer]) -> None: ...
    @property
    def key(self) -> KvKey:
        """
        Whose KV may be reused.
        """

    @key.setter
    def key(self, arg1: KvKey) -> None: ...
    @property
    def logits(self) -> LogitsWanted:
        """
        Which raw logits to return.
        """

    @logits.setter
    def logits(self, arg1: LogitsWanted) -> None: ...
    @property
    def max_new_tokens(self) -> int:
        """
        0 = prefill only.
        """

    @max_new_tokens.setter
    def max_new_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def output_start(self) -> int:
        """
        Where generated text began; -1 = the context's end.
        """

    @output_start.setter
    def output_start(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def owner(self) -> int:
        """
        Who keeps the KV alive; NO_OWNER = nobody.
        """

    @owner.setter
    def owner(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def priority(self) -> float:
        """
        In [0, 1]; below REQUEST_PRIORITY is idle work.
        """

    @priority.setter
    def priority(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...
    @property
    def retention(self) -> list[Retention]:
        """
        Empty = priority 35 for everything.
        """

    @retention.setter
    def retention(self, arg1: collections.abc.Sequence[Retention]) -> None: ...
    @property
    def sampling(self) -> SamplingParams:
        """
        How tokens are chosen.
        """

    @sampling.setter
    def sampling(self, arg1: SamplingParams) -> None: ...
    @property
    def stop_tokens(self) -> list[int]:
        """
        Generation ends with, and includes, the first of these.
        """

    @stop_tokens.setter
    def stop_tokens(self, arg1: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer]) -> None: ...
    @property
    def top_logprobs(self) -> int:
        """
        The n best ids with each generated token, 0..20.
        """

    @top_logprobs.setter
    def top_logprobs(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...

class FinishReason(enum.Enum):
    """
    Why a request ended.
    """

    cancelled = ...
    constraint = ...
    error = ...
    length = ...
    prefilled = ...
    stop = ...

class Reuse(enum.Enum):
    """
    How much of an equal context an executor reuses.
    """

    exact = ...
    one_token_short = ...

class Device(enum.Enum):
    """
    Where logits lie.
    """

    device = ...
    host = ...

class GeneratedToken:
    """
    One token of an answer.
    """

    def __init__(
        self,
        *,
        token: typing.SupportsInt | typing.SupportsIndex = -1,
        position: typing.SupportsInt | typing.SupportsIndex = 0,
        logprob: typing.SupportsFloat | typing.SupportsIndex = 0.0,
        stats: ScanStatistics = ...,
        top_logprobs: collections.abc.Sequence[TokenLogprob] = ...,
        forced: bool = False,
    ) -> None: ...
    def __repr__(self) -> str: ...
    @property
    def forced(self) -> bool:
        """
        The constraint left no choice: no row, no draw.
        """

    @forced.setter
    def forced(self, arg1: bool) -> None: ...
    @property
    def logprob(self) -> float:
        """
        Natural log-probability.
        """

    @logprob.setter
    def logprob(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...
    @property
    def position(self) -> int:
        """
        Absolute.
        """

    @position.setter
    def position(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def stats(self) -> ScanStatistics:
        """
        Statistics of the row it was chosen from.
        """

    @stats.setter
    def stats(self, arg1: ScanStatistics) -> None: ...
    @property
    def token(self) -> int:
        """
        The id.
        """

    @token.setter
    def token(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def top_logprobs(self) -> list[TokenLogprob]:
        """
        The best ids, best first.
        """

    @top_logprobs.setter
    def top_logprobs(self, arg1: collections.abc.Sequence[TokenLogprob]) -> None: ...

class Completion:
    """
    Why an ended request ended, and what it cost.
    """

    def __init__(
        self,
        *,
        reason: FinishReason = ...,
        error: str = "",
        reused_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        copied_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        restored_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        prefilled_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        generated_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        resident_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        queued_ms: typing.SupportsFloat | typing.SupportsIndex = 0.0,
        prefill_ms: typing.SupportsFloat | typing.SupportsIndex = 0.0,
        decode_ms: typing.SupportsFloat | typing.SupportsIndex = 0.0,
    ) -> None: ...
    def __repr__(self) -> str: ...
    @property
    def copied_tokens(self) -> int:
        """
        Of those: copied from another sequence.
        """

    @copied_tokens.setter
    def copied_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def decode_ms(self) -> float:
        """
        Executor time of its decode steps.
        """

    @decode_ms.setter
    def decode_ms(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...
    @property
    def error(self) -> str:
        """
        Set on error.
        """

    @error.setter
    def error(self, arg1: str) -> None: ...
    @property
    def generated_tokens(self) -> int:
        """
        Tokens of the answer.
        """

    @generated_tokens.setter
    def generated_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def prefill_ms(self) -> float:
        """
        Executor time of its prefill steps.
        """

    @prefill_ms.setter
    def prefill_ms(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...
    @property
    def prefilled_tokens(self) -> int:
        """
        Context tokens computed for this request.
        """

    @prefilled_tokens.setter
    def prefilled_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def queued_ms(self) -> float:
        """
        Enqueue to first step.
        """

    @queued_ms.setter
    def queued_ms(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...
    @property
    def reason(self) -> FinishReason:
        """
        Why it ended.
        """

    @reason.setter
    def reason(self, arg1: FinishReason) -> None: ...
    @property
    def resident_tokens(self) -> int:
        """
        Length of the owner's resident sequence afterwards.
        """

    @resident_tokens.setter
    def resident_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def restored_tokens(self) -> int:
        """
        Of those: read back from where they were parked.
        """

    @restored_tokens.setter
    def restored_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def reused_tokens(self) -> int:
        """
        Context tokens whose KV was resident.
        """

    @reused_tokens.setter
    def reused_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...

class SplitEquality:
    """
    For each option: does a split continuation equal an unsplit one?
    """

    bias: bool
    constraint: bool
    greedy: bool
    logprobs: bool
    penalties: bool
    seeded_sampling: bool
    stop_tokens: bool

    def __init__(
        self,
        *,
        greedy: bool = False,
        seeded_sampling: bool = False,
        penalties: bool = False,
        bias: bool = False,
        constraint: bool = False,
        stop_tokens: bool = False,
        logprobs: bool = False,
    ) -> None: ...
    def __repr__(self) -> str: ...

class ExecutorInfo:
    """
    Facts that do not change while the executor lives.
    """

    def __init__(
        self,
        *,
        name: str = "",
        model_name: str = "",
        model_fingerprint: str = "",
        vocab_size: typing.SupportsInt | typing.SupportsIndex = 0,
        end_tokens: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer] = ...,
        block_tokens: typing.SupportsInt | typing.SupportsIndex = 1,
        max_sequences: typing.SupportsInt | typing.SupportsIndex = 0,
        max_context_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        idle_quantum_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        reuse: Reuse = ...,
        logits_device: Device = ...,
        can_roll_back: bool = True,
        split: SplitEquality = ...,
        kv_bytes: typing.SupportsInt | typing.SupportsIndex = 0,
        kv_bytes_per_token: typing.SupportsInt | typing.SupportsIndex = 0,
        memory_plan: str = "",
    ) -> None: ...
    def __repr__(self) -> str: ...
    @property
    def block_tokens(self) -> int:
        """
        Granularity of reuse.
        """

    @block_tokens.setter
    def block_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def can_roll_back(self) -> bool:
        """
        False: a mismatch prefills anew.
        """

    @can_roll_back.setter
    def can_roll_back(self, arg1: bool) -> None: ...
    @property
    def end_tokens(self) -> list[int]:
        """
        Ids that end generation by the model's own declaration.
        """

    @end_tokens.setter
    def end_tokens(self, arg1: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer]) -> None: ...
    @property
    def idle_quantum_tokens(self) -> int:
        """
        Prefill tokens that one idle step may compute.
        """

    @idle_quantum_tokens.setter
    def idle_quantum_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def kv_bytes(self) -> int:
        """
        Allocated for KV.
        """

    @kv_bytes.setter
    def kv_bytes(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def kv_bytes_per_token(self) -> int:
        """
        KV of one token.
        """

    @kv_bytes_per_token.setter
    def kv_bytes_per_token(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def logits_device(self) -> Device:
        """
        Where logits lie.
        """

    @logits_device.setter
    def logits_device(self, arg1: Device) -> None: ...
    @property
    def max_context_tokens(self) -> int:
        """
        Of one sequence, generated tokens included.
        """

    @max_context_tokens.setter
    def max_context_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def max_sequences(self) -> int:
        """
        Sequences resident at once.
        """

    @max_sequences.setter
    def max_sequences(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def memory_plan(self) -> str:
        """
        One line for people.
        """

    @memory_plan.setter
    def memory_plan(self, arg1: str) -> None: ...
    @property
    def model_fingerprint(self) -> str:
        """
        Hex digest over what decides the logits.
        """

    @model_fingerprint.setter
    def model_fingerprint(self, arg1: str) -> None: ...
    @property
    def model_name(self) -> str:
        """
        For people.
        """

    @model_name.setter
    def model_name(self, arg1: str) -> None: ...
    @property
    def name(self) -> str:
        """
        "llama", "sim", "trtllm".
        """

    @name.setter
    def name(self, arg1: str) -> None: ...
    @property
    def reuse(self) -> Reuse:
        """
        How much of an equal context is reused.
        """

    @reuse.setter
    def reuse(self, arg1: Reuse) -> None: ...
    @property
    def split(self) -> SplitEquality:
        """
        What survives a split continuation.
        """

    @split.setter
    def split(self, arg1: SplitEquality) -> None: ...
    @property
    def vocab_size(self) -> int:
        """
        Ids are in [0, vocab_size).
        """

    @vocab_size.setter
    def vocab_size(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...

class ExecutorStats:
    """
    Monotonic counters and current values.
    """

    def __init__(
        self,
        *,
        running_requests: typing.SupportsInt | typing.SupportsIndex = 0,
        waiting_requests: typing.SupportsInt | typing.SupportsIndex = 0,
        running_idle: typing.SupportsInt | typing.SupportsIndex = 0,
        waiting_idle: typing.SupportsInt | typing.SupportsIndex = 0,
        sequences_used: typing.SupportsInt | typing.SupportsIndex = 0,
        resident_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        parked_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        parked_bytes: typing.SupportsInt | typing.SupportsIndex = 0,
        steps: typing.SupportsInt | typing.SupportsIndex = 0,
        idle_steps: typing.SupportsInt | typing.SupportsIndex = 0,
        interrupted_steps: typing.SupportsInt | typing.SupportsIndex = 0,
        prefilled_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        decoded_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        idle_prefilled_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        idle_decoded_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        hole_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        copies: typing.SupportsInt | typing.SupportsIndex = 0,
        parks: typing.SupportsInt | typing.SupportsIndex = 0,
        restores: typing.SupportsInt | typing.SupportsIndex = 0,
        evictions: typing.SupportsInt | typing.SupportsIndex = 0,
        rollbacks: typing.SupportsInt | typing.SupportsIndex = 0,
        busy_ms: typing.SupportsFloat | typing.SupportsIndex = 0.0,
        idle_busy_ms: typing.SupportsFloat | typing.SupportsIndex = 0.0,
        prefill_us_per_token: typing.SupportsFloat | typing.SupportsIndex = 0.0,
        decode_us_per_step: typing.SupportsFloat | typing.SupportsIndex = 0.0,
        copy_us: typing.SupportsFloat | typing.SupportsIndex = 0.0,
    ) -> None: ...
    def __repr__(self) -> str: ...
    @property
    def busy_ms(self) -> float:
        """
        In request steps.
        """

    @busy_ms.setter
    def busy_ms(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...
    @property
    def copies(self) -> int:
        """
        Prefixes copied from another sequence.
        """

    @copies.setter
    def copies(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def copy_us(self) -> float:
        """
        Of one prefix to another sequence, measured; 0 = not told.
        """

    @copy_us.setter
    def copy_us(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...
    @property
    def decode_us_per_step(self) -> float:
        """
        Measured, averaged.
        """

    @decode_us_per_step.setter
    def decode_us_per_step(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...
    @property
    def decoded_tokens(self) -> int:
        """
        For requests.
        """

    @decoded_tokens.setter
    def decoded_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def evictions(self) -> int:
        """
        KV thrown away under pressure.
        """

    @evictions.setter
    def evictions(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def hole_tokens(self) -> int:
        """
        Throwaway tokens that filled holes of a batch.
        """

    @hole_tokens.setter
    def hole_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def idle_busy_ms(self) -> float:
        """
        In idle steps.
        """

    @idle_busy_ms.setter
    def idle_busy_ms(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...
    @property
    def idle_decoded_tokens(self) -> int:
        """
        For idle work.
        """

    @idle_decoded_tokens.setter
    def idle_decoded_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def idle_prefilled_tokens(self) -> int:
        """
        For idle work.
        """

    @idle_prefilled_tokens.setter
    def idle_prefilled_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def idle_steps(self) -> int:
        """
        For idle work.
        """

    @idle_steps.setter
    def idle_steps(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def interrupted_steps(self) -> int:
        """
        Idle steps that a request broke off.
        """

    @interrupted_steps.setter
    def interrupted_steps(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def parked_bytes(self) -> int:
        """
        Now.
        """

    @parked_bytes.setter
    def parked_bytes(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def parked_tokens(self) -> int:
        """
        Now.
        """

    @parked_tokens.setter
    def parked_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def parks(self) -> int:
        """
        Sequences moved to where they wait without a sequence.
        """

    @parks.setter
    def parks(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def prefill_us_per_token(self) -> float:
        """
        Measured, averaged.
        """

    @prefill_us_per_token.setter
    def prefill_us_per_token(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...
    @property
    def prefilled_tokens(self) -> int:
        """
        For requests.
        """

    @prefilled_tokens.setter
    def prefilled_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def resident_tokens(self) -> int:
        """
        Now.
        """

    @resident_tokens.setter
    def resident_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def restores(self) -> int:
        """
        Parked sequences read back.
        """

    @restores.setter
    def restores(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def rollbacks(self) -> int:
        """
        Sequences cut in place.
        """

    @rollbacks.setter
    def rollbacks(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def running_idle(self) -> int:
        """
        Now.
        """

    @running_idle.setter
    def running_idle(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def running_requests(self) -> int:
        """
        Now.
        """

    @running_requests.setter
    def running_requests(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def sequences_used(self) -> int:
        """
        Now.
        """

    @sequences_used.setter
    def sequences_used(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def steps(self) -> int:
        """
        For requests.
        """

    @steps.setter
    def steps(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def waiting_idle(self) -> int:
        """
        Now.
        """

    @waiting_idle.setter
    def waiting_idle(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def waiting_requests(self) -> int:
        """
        Now.
        """

    @waiting_requests.setter
    def waiting_requests(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...

class LogitsView:
    """
    One raw row, shape [vocab_size].
    """

    def __init__(
        self,
        *,
        position: typing.SupportsInt | typing.SupportsIndex,
        row: typing.Annotated[numpy.typing.ArrayLike, numpy.float32],
    ) -> None: ...
    @property
    def position(self) -> int:
        """
        The row is the distribution of the token at this position.
        """

    @property
    def row(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        float32.
        """

class Sink:
    """
    Receives one request's results on the executor's thread. Must not block; may call enqueue, cancel and stats. An exception in it is printed and ends the request with reason error.
    """

    def __init__(self) -> None: ...
    def on_finish(self, id: typing.SupportsInt | typing.SupportsIndex, completion: Completion) -> None:
        """
        Called exactly once. Override it.
        """

    def on_logits(self, id: typing.SupportsInt | typing.SupportsIndex, logits: LogitsView) -> None:
        """
        A row that was asked for.
        """

    def on_start(
        self, id: typing.SupportsInt | typing.SupportsIndex, reused_tokens: typing.SupportsInt | typing.SupportsIndex
    ) -> None:
        """
        The request left the queue; so many tokens of its context are resident.
        """

    def on_token(self, id: typing.SupportsInt | typing.SupportsIndex, token: GeneratedToken) -> None:
        """
        A token was chosen.
        """

class CollectSink(Sink):
    """
    Keeps everything that one request returns. Thread-safe.
    """

    def __init__(self) -> None: ...
    def wait(self, timeout_s: typing.SupportsFloat | typing.SupportsIndex) -> bool:
        """
        Waits for the end of the request; False if the time ran out.
        """

    @property
    def completion(self) -> Completion | None:
        """
        None before the end.
        """

    @property
    def finishes(self) -> int:
        """
        How often on_finish was called.
        """

    @property
    def generated(self) -> list[GeneratedToken]:
        """
        The tokens so far, with their statistics.
        """

    @property
    def logits(self) -> dict[int, numpy.typing.NDArray[numpy.float32]]:
        """
        The rows so far, float32 of shape [vocab_size], by the position whose distribution they are.
        """

    @property
    def logits_positions(self) -> list[int]:
        """
        The positions of the rows in the order in which they came.
        """

    @property
    def reused_tokens(self) -> int | None:
        """
        None before the request has started.
        """

    @property
    def tokens(self) -> list[int]:
        """
        The ids generated so far.
        """

class Executor:
    """
    The seam to an inference engine. Subclass it and override every method to write one in Python.
    """

    def __init__(self) -> None: ...
    def cancel(self, id: typing.SupportsInt | typing.SupportsIndex) -> None:
        """
        Ends a request at the next step boundary.
        """

    def check_integrity(self) -> None:
        """
        Raises ExecutorError if the books do not agree. Call while no request runs.
        """

    def enqueue(self, request: Request, sink: Sink) -> int:
        """
        Queues a request. Raises InvalidArgument, ContextOverflow or ExecutorError; nothing was changed then.
        """

    def info(self) -> ExecutorInfo:
        """
        Facts that do not change.
        """

    def on_idle(self, listener: collections.abc.Callable[[], None] | None) -> None:
        """
        Called when the executor becomes idle and when idle work ends.
        """

    def release(
        self,
        owner: typing.SupportsInt | typing.SupportsIndex,
        keep_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
    ) -> None:
        """
        Gives up an owner's KV behind the first tokens; 0 forgets the owner and cancels its requests.
        """

    def resident_prefix(
        self,
        context: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer],
        key: KvKey = ...,
        owner: typing.SupportsInt | typing.SupportsIndex = 0,
    ) -> int:
        """
        Tokens of the context that the owner's request would reuse without copy or restore.
        """

    def shutdown(self) -> None:
        """
        Ends all requests and the thread. Idempotent.
        """

    def stats(self) -> ExecutorStats:
        """
        Counters and current values.
        """

class SimOptions:
    """
    A toy model and the simulated machine under it.
    """

    def __init__(
        self,
        *,
        vocab_size: typing.SupportsInt | typing.SupportsIndex = 997,
        max_sequences: typing.SupportsInt | typing.SupportsIndex = 8,
        max_context_tokens: typing.SupportsInt | typing.SupportsIndex = 4096,
        step_tokens: typing.SupportsInt | typing.SupportsIndex = 64,
        idle_quantum_tokens: typing.SupportsInt | typing.SupportsIndex = 16,
        model_seed: typing.SupportsInt | typing.SupportsIndex = 1,
        sharpness: typing.SupportsFloat | typing.SupportsIndex = 4.0,
        end_bias: typing.SupportsFloat | typing.SupportsIndex = 0.0,
        prefill_per_token_ms: typing.SupportsFloat | typing.SupportsIndex = 0.05,
        decode_step_ms: typing.SupportsFloat | typing.SupportsIndex = 1.0,
        park_bytes: typing.SupportsInt | typing.SupportsIndex = 1048576,
        threaded: bool = False,
    ) -> None: ...
    def __repr__(self) -> str: ...
    @property
    def decode_step_ms(self) -> float:
        """
        Simulated cost.
        """

    @decode_step_ms.setter
    def decode_step_ms(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...
    @property
    def end_bias(self) -> float:
        """
        Added to the logit of end token 0 at every position.
        """

    @end_bias.setter
    def end_bias(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...
    @property
    def idle_quantum_tokens(self) -> int:
        """
        Prefill tokens of one idle step.
        """

    @idle_quantum_tokens.setter
    def idle_quantum_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def max_context_tokens(self) -> int:
        """
        Of one sequence.
        """

    @max_context_tokens.setter
    def max_context_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def max_sequences(self) -> int:
        """
        Sequences resident at once.
        """

    @max_sequences.setter
    def max_sequences(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def model_seed(self) -> int:
        """
        Another seed is another model.
        """

    @model_seed.setter
    def model_seed(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def park_bytes(self) -> int:
        """
        Host memory for parked sequences, 4 bytes a token.
        """

    @park_bytes.setter
    def park_bytes(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def prefill_per_token_ms(self) -> float:
        """
        Simulated cost.
        """

    @prefill_per_token_ms.setter
    def prefill_per_token_ms(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...
    @property
    def sharpness(self) -> float:
        """
        Standard deviation of the toy logits.
        """

    @sharpness.setter
    def sharpness(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...
    @property
    def step_tokens(self) -> int:
        """
        Prefill tokens of one step.
        """

    @step_tokens.setter
    def step_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def threaded(self) -> bool:
        """
        False: work happens in step(), on the caller's thread.
        """

    @threaded.setter
    def threaded(self, arg1: bool) -> None: ...
    @property
    def vocab_size(self) -> int:
        """
        Ids are in [0, vocab_size).
        """

    @vocab_size.setter
    def vocab_size(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...

class SimExecutor(Executor):
    """
    A deterministic executor in memory with a toy model.
    """

    def __init__(self, options: SimOptions = ..., clock: Clock | None = None) -> None:
        """
        clock None means the system's; a FakeClock is advanced by the simulated costs.
        """

    def fail_next_step(self) -> None:
        """
        Makes the next step fail.
        """

    def reference_logits(
        self, context: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer]
    ) -> numpy.typing.NDArray[numpy.float32]:
        """
        The toy model's row behind a context, computed from scratch.
        """

    def run_until_idle(self) -> None:
        """
        Steps until nothing is left.
        """

    def step(self) -> bool:
        """
        Runs one step; False if there was nothing to do.
        """

class Path(enum.Enum):
    """
    How a first token was produced, cheapest first.
    """

    cold = ...
    entry = ...
    gate = ...
    prefix = ...
    ready = ...

class AnticipationKind(enum.Enum):
    """
    What is guessed about the next request.
    """

    hint = ...
    partial = ...
    question = ...
    tool_result = ...
    turn = ...

class AnticipationSource(enum.Enum):
    """
    Where a guess comes from.
    """

    client = ...
    declared = ...
    learned = ...
    model = ...
    none = ...

class EntryPlacement(enum.Enum):
    """
    Where an entry's KV is.
    """

    branch = ...
    detached = ...
    resident = ...

class EntryOutcome(enum.Enum):
    """
    How an entry ended.
    """

    cancelled = ...
    evicted = ...
    stale = ...
    used = ...

class IdleOptions:
    """
    Budgets of idle work.
    """

    def __init__(
        self,
        *,
        max_time_share: typing.SupportsFloat | typing.SupportsIndex = 1.0,
        max_tenant_time_share: typing.SupportsFloat | typing.SupportsIndex = 1.0,
        budget_window_ms: typing.SupportsFloat | typing.SupportsIndex = 10000.0,
        min_hit_rate: typing.SupportsFloat | typing.SupportsIndex = 0.05,
        hit_rate_samples: typing.SupportsInt | typing.SupportsIndex = 32,
        back_off_ms: typing.SupportsFloat | typing.SupportsIndex = 5000.0,
        continuation_agreement: typing.SupportsFloat | typing.SupportsIndex = 0.9,
    ) -> None: ...
    def __repr__(self) -> str: ...
    @property
    def back_off_ms(self) -> float:
        """
        First pause; doubles while the rate stays low, up to 64 x.
        """

    @back_off_ms.setter
    def back_off_ms(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...
    @property
    def budget_window_ms(self) -> float:
        """
        How much unspent share may be saved up.
        """

    @budget_window_ms.setter
    def budget_window_ms(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...
    @property
    def continuation_agreement(self) -> float:
        """
        Probability that a request agrees with one more pre-decoded token, (0, 1].
        """

    @continuation_agreement.setter
    def continuation_agreement(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...
    @property
    def hit_rate_samples(self) -> int:
        """
        Outcomes that a verdict on the hit rate needs.
        """

    @hit_rate_samples.setter
    def hit_rate_samples(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def max_tenant_time_share(self) -> float:
        """
        The same for one tenant.
        """

    @max_tenant_time_share.setter
    def max_tenant_time_share(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...
    @property
    def max_time_share(self) -> float:
        """
        Share of wall time for idle work of all tenants, (0, 1].
        """

    @max_time_share.setter
    def max_time_share(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...
    @property
    def min_hit_rate(self) -> float:
        """
        A tenant below this share of used entries pauses, [0, 1].
        """

    @min_hit_rate.setter
    def min_hit_rate(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...

class IdleCandidate:
    """
    Work that an idle step could do for an anticipation.
    """

    def __init__(
        self,
        *,
        session: typing.SupportsInt | typing.SupportsIndex = 0,
        anticipation: typing.SupportsInt | typing.SupportsIndex = 0,
        tenant: typing.SupportsInt | typing.SupportsIndex = 0,
        kind: AnticipationKind = ...,
        prefill_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        completion_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        decode_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        decoded_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        decides: bool = True,
        weight: typing.SupportsFloat | typing.SupportsIndex = 1.0,
    ) -> None: ...
    def __repr__(self) -> str: ...
    @property
    def anticipation(self) -> int:
        """
        0 = bringing the log itself up to date.
        """

    @anticipation.setter
    def anticipation(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def completion_tokens(self) -> int:
        """
        Of the guess: still to be written by the model.
        """

    @completion_tokens.setter
    def completion_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def decides(self) -> bool:
        """
        Ends at a decision point.
        """

    @decides.setter
    def decides(self, arg1: bool) -> None: ...
    @property
    def decode_tokens(self) -> int:
        """
        Still to pre-decode behind the decision point.
        """

    @decode_tokens.setter
    def decode_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def decoded_tokens(self) -> int:
        """
        Pre-decoded behind it already.
        """

    @decoded_tokens.setter
    def decoded_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def kind(self) -> AnticipationKind:
        """
        What is guessed.
        """

    @kind.setter
    def kind(self, arg1: AnticipationKind) -> None: ...
    @property
    def prefill_tokens(self) -> int:
        """
        Still to compute before the decision point.
        """

    @prefill_tokens.setter
    def prefill_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def session(self) -> int:
        """
        The session's number.
        """

    @session.setter
    def session(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def tenant(self) -> int:
        """
        The tenant's number.
        """

    @tenant.setter
    def tenant(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def weight(self) -> float:
        """
        Share among its kind in its session, [0, 1].
        """

    @weight.setter
    def weight(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...

class CostModel:
    """
    Measured cost of the executor's steps.
    """

    def __repr__(self) -> str: ...
    @property
    def decode_us_per_step(self) -> float:
        """
        Microseconds a decode step.
        """

    @property
    def prefill_us_per_token(self) -> float:
        """
        Microseconds a prefilled token.
        """

class IdleScheduler:
    """
    Which anticipation deserves the next idle step: P(consumed) x milliseconds saved / milliseconds spent, within budgets. Not thread-safe.
    """

    def __init__(self, options: IdleOptions, clock: Clock | None = None) -> None:
        """
        clock None means the system's. Raises InvalidArgument for an option out of its range.
        """

    def __len__(self) -> int:
        """
        Candidates in the queue.
        """

    def __repr__(self) -> str: ...
    def next(self) -> IdleCandidate | None:
        """
        The most valuable candidate that the budgets allow now, or None. It stays in the queue.
        """

    def offer(self, candidate: IdleCandidate) -> None:
        """
        Inserts the candidate or replaces the one with the same (session, anticipation); one without work or weight is withdrawn. Raises InvalidArgument, nothing changed.
        """

    def on_outcome(
        self,
        session: typing.SupportsInt | typing.SupportsIndex,
        tenant: typing.SupportsInt | typing.SupportsIndex,
        kind: AnticipationKind,
        outcome: EntryOutcome,
        weight: typing.SupportsFloat | typing.SupportsIndex = 1.0,
    ) -> None:
        """
        An entry's end: used and stale are learned from.
        """

    def on_request_work(
        self,
        *,
        prefilled_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        prefill_ms: typing.SupportsFloat | typing.SupportsIndex = 0.0,
        decoded_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        decode_ms: typing.SupportsFloat | typing.SupportsIndex = 0.0,
    ) -> None:
        """
        Learns the costs from a request's work; charges nothing.
        """

    def on_work(
        self,
        tenant: typing.SupportsInt | typing.SupportsIndex,
        *,
        prefilled_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        prefill_ms: typing.SupportsFloat | typing.SupportsIndex = 0.0,
        decoded_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        decode_ms: typing.SupportsFloat | typing.SupportsIndex = 0.0,
    ) -> None:
        """
        Charges the budgets and learns the costs from finished idle work.
        """

    def probability(self, session: typing.SupportsInt | typing.SupportsIndex, kind: AnticipationKind) -> float:
        """
        Learned probability that the next request consumes an entry of this kind, per unit of weight.
        """

    def retry_at_ms(self) -> float | None:
        """
        When next() may return something, on the clock; None if the queue is empty.
        """

    def value(self, candidate: IdleCandidate) -> float:
        """
        What the candidate is worth now.
        """

    def withdraw(
        self,
        session: typing.SupportsInt | typing.SupportsIndex,
        anticipation: typing.SupportsInt | typing.SupportsIndex,
    ) -> None:
        """
        Unknown candidates are ignored.
        """

    def withdraw_session(self, session: typing.SupportsInt | typing.SupportsIndex, forget_history: bool) -> None:
        """
        Forgets a session's candidates, and everything learned about it if it was closed.
        """

    @property
    def costs(self) -> CostModel:
        """
        A copy of the measured costs.
        """

    @property
    def sessions_known(self) -> int:
        """
        Sessions something is remembered about.
        """

    @property
    def tenants_known(self) -> int:
        """
        Tenants something is remembered about.
        """

class ThoughtOptions:
    """
    How a model marks its thoughts, and how far they are decoded ahead.
    """

    def __init__(
        self,
        *,
        begin: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer] = ...,
        end: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer] = ...,
        tokens: typing.SupportsInt | typing.SupportsIndex = 256,
    ) -> None: ...
    def __repr__(self) -> str: ...
    @property
    def begin(self) -> list[int]:
        """
        Ids that open a thought.
        """

    @begin.setter
    def begin(self, arg1: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer]) -> None: ...
    @property
    def end(self) -> list[int]:
        """
        Ids that close it.
        """

    @end.setter
    def end(self, arg1: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer]) -> None: ...
    @property
    def tokens(self) -> int:
        """
        Cap of thought decoded ahead, at least 0.
        """

    @tokens.setter
    def tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...

class WindowOptions:
    """
    Keeps a log within a length by dropping its oldest data.
    """

    def __init__(
        self,
        *,
        head_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        keep_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        max_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        automatic: bool = True,
    ) -> None: ...
    def __repr__(self) -> str: ...
    @property
    def automatic(self) -> bool:
        """
        append and turn call slide() by themselves.
        """

    @automatic.setter
    def automatic(self, arg1: bool) -> None: ...
    @property
    def head_tokens(self) -> int:
        """
        Stay for ever; widened to the end of a message.
        """

    @head_tokens.setter
    def head_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def keep_tokens(self) -> int:
        """
        Length after a drop, head included.
        """

    @keep_tokens.setter
    def keep_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def max_tokens(self) -> int:
        """
        The log never exceeds it.
        """

    @max_tokens.setter
    def max_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...

class WindowDrop:
    """
    What a slide has taken out of the log: tokens [begin, end).
    """

    def __repr__(self) -> str: ...
    @property
    def begin(self) -> int:
        """
        First token that was dropped.
        """

    @property
    def end(self) -> int:
        """
        First token behind them that stayed.
        """

    @property
    def first_message(self) -> int:
        """
        Index of the first message that was dropped.
        """

    @property
    def message_count(self) -> int:
        """
        How many messages were dropped.
        """

    @property
    def prepared(self) -> bool:
        """
        Its KV was ready: nothing is left to prefill.
        """

class MessageSpan:
    """
    One message of a log: tokens [begin, end).
    """

    def __init__(
        self,
        *,
        role: str = "",
        digest: str = "",
        begin: typing.SupportsInt | typing.SupportsIndex = 0,
        end: typing.SupportsInt | typing.SupportsIndex = 0,
    ) -> None: ...
    def __repr__(self) -> str: ...
    @property
    def begin(self) -> int:
        """
        In a request or append: relative to its tokens; in a session: absolute.
        """

    @begin.setter
    def begin(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def digest(self) -> str:
        """
        Canonical digest that recognises it when it is resent; may be empty.
        """

    @digest.setter
    def digest(self, arg1: str) -> None: ...
    @property
    def end(self) -> int:
        """
        Half open.
        """

    @end.setter
    def end(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def role(self) -> str:
        """
        Who said it.
        """

    @role.setter
    def role(self, arg1: str) -> None: ...

class OpenOptions:
    """
    How a session starts.
    """

    def __init__(
        self,
        *,
        tenant: str = "default",
        adapter_id: typing.SupportsInt | typing.SupportsIndex = 0,
        adapter_scale: typing.SupportsFloat | typing.SupportsIndex = 0.0,
        text_salt: typing.SupportsInt | typing.SupportsIndex = 0,
        tokens: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer] = ...,
        messages: collections.abc.Sequence[MessageSpan] = ...,
        retention_priority: typing.SupportsInt | typing.SupportsIndex = 80,
        time_to_live_ms: typing.SupportsFloat | typing.SupportsIndex | None = None,
        preposition: bool = True,
        base_prefix: bool = False,
        continuation_tokens: typing.SupportsInt | typing.SupportsIndex = 16,
        sampling: SamplingParams = ...,
        stop_tokens: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer] = ...,
        thought: ThoughtOptions | None = None,
        window: WindowOptions | None = None,
    ) -> None: ...
    def __repr__(self) -> str: ...
    @property
    def adapter_id(self) -> int:
        """
        LoRA adapter; 0 = none.
        """

    @adapter_id.setter
    def adapter_id(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def adapter_scale(self) -> float:
        """
        Scale of the adapter.
        """

    @adapter_scale.setter
    def adapter_scale(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...
    @property
    def base_prefix(self) -> bool:
        """
        A declared beginning: hidden, prefilled once for its tenant.
        """

    @base_prefix.setter
    def base_prefix(self, arg1: bool) -> None: ...
    @property
    def continuation_tokens(self) -> int:
        """
        Tokens that entries are decoded ahead.
        """

    @continuation_tokens.setter
    def continuation_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def messages(self) -> list[MessageSpan]:
        """
        Message spans inside `tokens`.
        """

    @messages.setter
    def messages(self, arg1: collections.abc.Sequence[MessageSpan]) -> None: ...
    @property
    def preposition(self) -> bool:
        """
        False: idle time is never spent on this session.
        """

    @preposition.setter
    def preposition(self, arg1: bool) -> None: ...
    @property
    def retention_priority(self) -> int:
        """
        Of the log's KV, 36 to 100.
        """

    @retention_priority.setter
    def retention_priority(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def sampling(self) -> SamplingParams:
        """
        The sampling that entries expect.
        """

    @sampling.setter
    def sampling(self, arg1: SamplingParams) -> None: ...
    @property
    def stop_tokens(self) -> list[int]:
        """
        Where a continuation ends; empty = the model's end tokens.
        """

    @stop_tokens.setter
    def stop_tokens(self, arg1: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer]) -> None: ...
    @property
    def tenant(self) -> str:
        """
        Who owns it. Tenants share nothing.
        """

    @tenant.setter
    def tenant(self, arg1: str) -> None: ...
    @property
    def text_salt(self) -> int:
        """
        Sessions that differ in it share no KV.
        """

    @text_salt.setter
    def text_salt(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def thought(self) -> ThoughtOptions | None:
        """
        None: thoughts are decoded ahead like any other text.
        """

    @thought.setter
    def thought(self, arg1: ThoughtOptions | None) -> None: ...
    @property
    def time_to_live_ms(self) -> float | None:
        """
        Of the log's KV after the last use; None = no limit.
        """

    @time_to_live_ms.setter
    def time_to_live_ms(self, arg1: typing.SupportsFloat | typing.SupportsIndex | None) -> None: ...
    @property
    def tokens(self) -> list[int]:
        """
        First content of the log; may be empty.
        """

    @tokens.setter
    def tokens(self, arg1: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer]) -> None: ...
    @property
    def window(self) -> WindowOptions | None:
        """
        None: the log grows until the context is full.
        """

    @window.setter
    def window(self, arg1: WindowOptions | None) -> None: ...

class Anticipation:
    """
    A guess at what the next request adds, as token ids.
    """

    def __init__(
        self,
        *,
        kind: AnticipationKind = ...,
        source: AnticipationSource = ...,
        tokens: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer] = ...,
        decides: bool = True,
        completion_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        completion_stops: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer] = ...,
        suffix: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer] = ...,
        constraint: Constraint | None = None,
        weight: typing.SupportsFloat | typing.SupportsIndex = 1.0,
        persistent: bool = False,
        may_branch: bool = False,
        replaces: typing.SupportsInt | typing.SupportsIndex = 0,
        label: str = "",
    ) -> None: ...
    def __repr__(self) -> str: ...
    @property
    def completion_stops(self) -> list[int]:
        """
        Ids that end the model's part.
        """

    @completion_stops.setter
    def completion_stops(self, arg1: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer]) -> None: ...
    @property
    def completion_tokens(self) -> int:
        """
        At most this many tokens of the guess are written by the model.
        """

    @completion_tokens.setter
    def completion_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def constraint(self) -> Constraint:
        """
        Of the answer: it is decoded ahead under it; None = all allowed.
        """

    @constraint.setter
    def constraint(self, arg1: Constraint) -> None: ...
    @property
    def decides(self) -> bool:
        """
        Ends at the decision point; False: framing that is prefilled only.
        """

    @decides.setter
    def decides(self, arg1: bool) -> None: ...
    @property
    def kind(self) -> AnticipationKind:
        """
        What is guessed.
        """

    @kind.setter
    def kind(self, arg1: AnticipationKind) -> None: ...
    @property
    def label(self) -> str:
        """
        Free text that comes back in events.
        """

    @label.setter
    def label(self, arg1: str) -> None: ...
    @property
    def may_branch(self) -> bool:
        """
        May use a sequence of its own if that pays.
        """

    @may_branch.setter
    def may_branch(self, arg1: bool) -> None: ...
    @property
    def persistent(self) -> bool:
        """
        Computed again behind each new version (a registered question).
        """

    @persistent.setter
    def persistent(self, arg1: bool) -> None: ...
    @property
    def replaces(self) -> int:
        """
        Takes the place of this anticipation; 0 = of none.
        """

    @replaces.setter
    def replaces(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def source(self) -> AnticipationSource:
        """
        Where the guess comes from.
        """

    @source.setter
    def source(self, arg1: AnticipationSource) -> None: ...
    @property
    def suffix(self) -> list[int]:
        """
        Follows the model's part, up to the decision point.
        """

    @suffix.setter
    def suffix(self, arg1: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer]) -> None: ...
    @property
    def tokens(self) -> list[int]:
        """
        What would follow the log; at least one id.
        """

    @tokens.setter
    def tokens(self, arg1: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer]) -> None: ...
    @property
    def weight(self) -> float:
        """
        The caller's belief among guesses of this kind, [0, 1].
        """

    @weight.setter
    def weight(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...

class GateOptions:
    """
    The gate, uncertified: threshold and answers named by the caller.
    """

    def __init__(
        self,
        *,
        gap_threshold: typing.SupportsFloat | typing.SupportsIndex = 2.0,
        answer_set: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer] = ...,
    ) -> None: ...
    def __repr__(self) -> str: ...
    @property
    def answer_set(self) -> list[int]:
        """
        At least two ids.
        """

    @answer_set.setter
    def answer_set(self, arg1: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer]) -> None: ...
    @property
    def gap_threshold(self) -> float:
        """
        Logits; finite, at least 0.
        """

    @gap_threshold.setter
    def gap_threshold(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...

class TurnRequest:
    """
    A request for tokens.
    """

    def __init__(
        self,
        *,
        tokens: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer] = ...,
        messages: collections.abc.Sequence[MessageSpan] = ...,
        rebase_to: typing.SupportsInt | typing.SupportsIndex | None = None,
        durable: bool = True,
        max_new_tokens: typing.SupportsInt | typing.SupportsIndex = 256,
        sampling: SamplingParams = ...,
        stop_tokens: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer] = ...,
        constraint: Constraint | None = None,
        top_logprobs: typing.SupportsInt | typing.SupportsIndex = 0,
        gate: GateOptions | None = None,
        keep_partial: bool = False,
        use_entries: bool = True,
        answer_role: str = "assistant",
    ) -> None: ...
    def __repr__(self) -> str: ...
    @property
    def answer_role(self) -> str:
        """
        Role of the committed answer.
        """

    @answer_role.setter
    def answer_role(self, arg1: str) -> None: ...
    @property
    def constraint(self) -> Constraint:
        """
        Which ids are allowed, in its initial state; None = all.
        """

    @constraint.setter
    def constraint(self, arg1: Constraint) -> None: ...
    @property
    def durable(self) -> bool:
        """
        False: commits nothing.
        """

    @durable.setter
    def durable(self, arg1: bool) -> None: ...
    @property
    def gate(self) -> GateOptions | None:
        """
        Lets the gate answer; None: it never does.
        """

    @gate.setter
    def gate(self, arg1: GateOptions | None) -> None: ...
    @property
    def keep_partial(self) -> bool:
        """
        A cancelled durable turn commits what it has.
        """

    @keep_partial.setter
    def keep_partial(self, arg1: bool) -> None: ...
    @property
    def max_new_tokens(self) -> int:
        """
        Upper bound of the answer's length.
        """

    @max_new_tokens.setter
    def max_new_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def messages(self) -> list[MessageSpan]:
        """
        Message spans inside `tokens`.
        """

    @messages.setter
    def messages(self, arg1: collections.abc.Sequence[MessageSpan]) -> None: ...
    @property
    def rebase_to(self) -> int | None:
        """
        Replaces the log from this position on; None: extends it.
        """

    @rebase_to.setter
    def rebase_to(self, arg1: typing.SupportsInt | typing.SupportsIndex | None) -> None: ...
    @property
    def sampling(self) -> SamplingParams:
        """
        How tokens are chosen.
        """

    @sampling.setter
    def sampling(self, arg1: SamplingParams) -> None: ...
    @property
    def stop_tokens(self) -> list[int]:
        """
        End the answer; empty = the model's end tokens.
        """

    @stop_tokens.setter
    def stop_tokens(self, arg1: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer]) -> None: ...
    @property
    def tokens(self) -> list[int]:
        """
        What the request adds behind the log, or behind `rebase_to`.
        """

    @tokens.setter
    def tokens(self, arg1: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer]) -> None: ...
    @property
    def top_logprobs(self) -> int:
        """
        The n best ids with each token, 0 to 20.
        """

    @top_logprobs.setter
    def top_logprobs(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def use_entries(self) -> bool:
        """
        False: answers as plain prefix caching would.
        """

    @use_entries.setter
    def use_entries(self, arg1: bool) -> None: ...

class TurnStart:
    """
    First event of a turn: how its first token is produced.
    """

    def __repr__(self) -> str: ...
    @property
    def continuation_tokens(self) -> int:
        """
        Answer tokens that were already there.
        """

    @property
    def data_version(self) -> int:
        """
        The version that the answer saw.
        """

    @property
    def delta_tokens(self) -> int:
        """
        Of the request's tokens: new.
        """

    @property
    def entry_age_ms(self) -> float:
        """
        Age of the consumed entry.
        """

    @property
    def gap(self) -> float | None:
        """
        Logit gap of the ready distribution, on ready and gate.
        """

    @property
    def gap_threshold(self) -> float | None:
        """
        On gate.
        """

    @property
    def kind(self) -> AnticipationKind | None:
        """
        Of the consumed entry, or None.
        """

    @property
    def label(self) -> str:
        """
        Of the consumed entry.
        """

    @property
    def path(self) -> Path:
        """
        How.
        """

    @property
    def placement(self) -> EntryPlacement:
        """
        Of the consumed entry.
        """

    @property
    def prepositioned_tokens(self) -> int:
        """
        Of the request's tokens: prepaid by an entry.
        """

    @property
    def source(self) -> AnticipationSource:
        """
        Where the consumed entry came from.
        """

    @property
    def thought_tokens(self) -> int:
        """
        Of the continuation: inside a thought.
        """

    @property
    def turn(self) -> int:
        """
        The turn's number.
        """

class TurnToken:
    """
    One token of an answer.
    """

    def __repr__(self) -> str: ...
    @property
    def forced(self) -> bool:
        """
        The constraint left no choice.
        """

    @property
    def index(self) -> int:
        """
        0-based among the answer's tokens.
        """

    @property
    def logprob(self) -> float:
        """
        Natural log-probability.
        """

    @property
    def prepositioned(self) -> bool:
        """
        Came from an entry.
        """

    @property
    def token(self) -> int:
        """
        The id.
        """

    @property
    def top_logprobs(self) -> list[TokenLogprob]:
        """
        The best ids, best first.
        """

class TurnEnd:
    """
    Last event of a turn: why it ended, and what it cost.
    """

    def __repr__(self) -> str: ...
    @property
    def answer(self) -> list[int]:
        """
        With the completing stop token, as committed.
        """

    @property
    def context_tokens(self) -> int:
        """
        Log and request.
        """

    @property
    def data_version(self) -> int:
        """
        After the commit.
        """

    @property
    def decoded_tokens(self) -> int:
        """
        Answer tokens decoded for this turn.
        """

    @property
    def error(self) -> str:
        """
        Set if reason is error.
        """

    @property
    def first_token_ms(self) -> float:
        """
        Request to first token.
        """

    @property
    def prefilled_tokens(self) -> int:
        """
        Computed before the first token.
        """

    @property
    def reason(self) -> FinishReason:
        """
        Why it ended.
        """

    @property
    def reprefilled_tokens(self) -> int:
        """
        Computed again after the first token was out.
        """

    @property
    def reused_tokens(self) -> int:
        """
        Of the context: resident.
        """

    @property
    def total_ms(self) -> float:
        """
        Request to end.
        """

class AppendResult:
    """
    An acknowledged append.
    """

    def __repr__(self) -> str: ...
    @property
    def advanced_entries(self) -> int:
        """
        Guesses that this append has confirmed so far.
        """

    @property
    def data_version(self) -> int:
        """
        After the append.
        """

    @property
    def queued(self) -> bool:
        """
        A durable turn runs: joins the log when it has committed.
        """

class EntryState:
    """
    An entry, as it stands.
    """

    def __repr__(self) -> str: ...
    @property
    def continuation_tokens(self) -> int:
        """
        Pre-decoded.
        """

    @property
    def data_version(self) -> int:
        """
        The version that it stands behind.
        """

    @property
    def decides(self) -> bool:
        """
        Ends at a decision point.
        """

    @property
    def gap(self) -> float:
        """
        Logits, best to second best.
        """

    @property
    def id(self) -> int:
        """
        Of the anticipation.
        """

    @property
    def kind(self) -> AnticipationKind:
        """
        What is guessed.
        """

    @property
    def label(self) -> str:
        """
        The caller's.
        """

    @property
    def placement(self) -> EntryPlacement:
        """
        Where its KV is.
        """

    @property
    def ready(self) -> bool:
        """
        Has its distribution.
        """

    @property
    def source(self) -> AnticipationSource:
        """
        Where the guess comes from.
        """

    @property
    def thought_tokens(self) -> int:
        """
        Of the continuation: inside a thought.
        """

    @property
    def tokens(self) -> int:
        """
        How many stand behind the log.
        """

    @property
    def top1(self) -> int:
        """
        The best id; -1 if none.
        """

class PrefixUse:
    """
    What a base prefix has spared the sessions that began with it.
    """

    def __repr__(self) -> str: ...
    @property
    def estimated(self) -> bool:
        """
        The executor does not tell one of these costs.
        """

    @property
    def sessions_started(self) -> int:
        """
        Sessions that found it resident.
        """

    @property
    def time_saved_ms(self) -> float:
        """
        Measured prefill cost, less that of the copies.
        """

    @property
    def tokens_saved(self) -> int:
        """
        Found resident where they would have been prefilled.
        """

class SessionState:
    """
    A session, as it stands.
    """

    def __repr__(self) -> str: ...
    @property
    def base_prefix(self) -> bool:
        """
        A declared beginning.
        """

    @property
    def busy(self) -> bool:
        """
        A durable turn runs.
        """

    @property
    def data_version(self) -> int:
        """
        Counts commits.
        """

    @property
    def entries(self) -> list[EntryState]:
        """
        Its entries.
        """

    @property
    def id(self) -> str:
        """
        32 hexadecimal digits.
        """

    @property
    def idle_error(self) -> str:
        """
        Why idle work on it stopped; empty if it did not.
        """

    @property
    def log(self) -> list[int]:
        """
        The committed ids.
        """

    @property
    def messages(self) -> list[MessageSpan]:
        """
        Absolute spans of the log.
        """

    @property
    def prefix_use(self) -> PrefixUse:
        """
        Of a base prefix.
        """

    @property
    def resident_tokens(self) -> int:
        """
        Of the log, in KV.
        """

    @property
    def resident_version(self) -> int:
        """
        Newest version whose whole log is in KV.
        """

    @property
    def tenant(self) -> str:
        """
        Who owns it.
        """

    @property
    def window_dropped_tokens(self) -> int:
        """
        By all slides so far.
        """

    @property
    def window_prepared(self) -> bool:
        """
        The next slide has its KV.
        """

class JournalRecord:
    """
    One commit to one session's log.
    """

    class Kind(enum.Enum):
        """
        What was committed.
        """

        append = ...
        close = ...
        open = ...
        rebase = ...
        turn = ...

    def __init__(
        self,
        *,
        kind: JournalRecord.Kind = ...,
        session: str = "",
        tenant: str = "",
        data_version: typing.SupportsInt | typing.SupportsIndex = 0,
        base: typing.SupportsInt | typing.SupportsIndex = 0,
        tokens: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer] = ...,
        messages: collections.abc.Sequence[MessageSpan] = ...,
    ) -> None: ...
    def __repr__(self) -> str: ...
    @property
    def base(self) -> int:
        """
        The log is cut to this length, then `tokens` follow.
        """

    @base.setter
    def base(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def data_version(self) -> int:
        """
        After this record.
        """

    @data_version.setter
    def data_version(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def kind(self) -> JournalRecord.Kind:
        """
        What was committed.
        """

    @kind.setter
    def kind(self, arg1: JournalRecord.Kind) -> None: ...
    @property
    def messages(self) -> list[MessageSpan]:
        """
        Absolute spans inside the log.
        """

    @messages.setter
    def messages(self, arg1: collections.abc.Sequence[MessageSpan]) -> None: ...
    @property
    def session(self) -> str:
        """
        Its id.
        """

    @session.setter
    def session(self, arg1: str) -> None: ...
    @property
    def tenant(self) -> str:
        """
        Who owns it.
        """

    @tenant.setter
    def tenant(self, arg1: str) -> None: ...
    @property
    def tokens(self) -> list[int]:
        """
        What was committed.
        """

    @tokens.setter
    def tokens(self, arg1: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer]) -> None: ...

class Journal:
    """
    What is written before it is acknowledged. Subclass it and override write().
    """

    def __init__(self) -> None: ...
    def write(self, record: JournalRecord) -> None:
        """
        Returns when the record is as durable as promised; if it raises, the commit does not happen. Called from any thread; must not call the session manager.
        """

class MemoryJournal(Journal):
    """
    Keeps all records in memory.
    """

    def __init__(self) -> None: ...
    def records(self) -> list[JournalRecord]:
        """
        All records, in order.
        """

    def replay(self, session: str) -> list[int] | None:
        """
        The log of a session as its records rebuild it; None if unknown or closed.
        """

class Counters:
    """
    What a SessionManager counts: monotonic unless it says "now".
    """

    def __repr__(self) -> str: ...
    def as_dict(self) -> dict[str, typing.Any]:
        """
        Everything, as nested dictionaries of names.
        """

    def turns(self, path: Path) -> int:
        """
        Started turns of one path.
        """

    @property
    def appends(self) -> int:
        """
        Acknowledged appends.
        """

    @property
    def base_prefixes(self) -> int:
        """
        Now.
        """

    @property
    def commits(self) -> int:
        """
        Commits to logs.
        """

    @property
    def conflicts(self) -> int:
        """
        Refused second writers.
        """

    @property
    def entries(self) -> int:
        """
        Now.
        """

    @property
    def entries_advanced(self) -> int:
        """
        Guesses that an append has confirmed.
        """

    @property
    def entry_bytes(self) -> int:
        """
        Now: distributions and continuations.
        """

    @property
    def entry_outcomes(self) -> dict[str, dict[str, int]]:
        """
        Ended entries, by outcome, then by kind.
        """

    @property
    def forks(self) -> int:
        """
        Sessions made from another one.
        """

    @property
    def gate_asked(self) -> int:
        """
        Turns that allowed the gate.
        """

    @property
    def gate_fired(self) -> int:
        """
        Turns that the gate answered.
        """

    @property
    def gate_refused(self) -> int:
        """
        Turns on which it had an entry and did not fire.
        """

    @property
    def idle_decoded_tokens(self) -> int:
        """
        Prepaid.
        """

    @property
    def idle_jobs(self) -> int:
        """
        Idle jobs started.
        """

    @property
    def idle_jobs_cancelled(self) -> int:
        """
        Idle jobs that a request ended.
        """

    @property
    def idle_jobs_failed(self) -> int:
        """
        Idle jobs that the executor failed.
        """

    @property
    def idle_prefilled_tokens(self) -> int:
        """
        Prepaid.
        """

    @property
    def idle_thought_tokens(self) -> int:
        """
        Of the decoded ones: inside a thought.
        """

    @property
    def idle_time_ms(self) -> float:
        """
        Executor time of idle work.
        """

    @property
    def prefix_sessions_started(self) -> int:
        """
        Sessions that began with a base prefix.
        """

    @property
    def prefix_tokens_saved(self) -> int:
        """
        Of them: tokens found resident in place of a prefill.
        """

    @property
    def rebases(self) -> int:
        """
        Commits that replaced a log's tail.
        """

    @property
    def request_decoded_tokens(self) -> int:
        """
        Computed while a client waited.
        """

    @property
    def request_prefilled_tokens(self) -> int:
        """
        Computed while a client waited.
        """

    @property
    def scans_full(self) -> int:
        """
        Scans of a whole row.
        """

    @property
    def scans_head(self) -> int:
        """
        Scans answered by a kept head.
        """

    @property
    def sessions_open(self) -> int:
        """
        Now.
        """

    @property
    def turns_by_path(self) -> dict[str, int]:
        """
        Started turns, by the name of their path.
        """

    @property
    def turns_cancelled(self) -> int:
        """
        Turns ended by cancel.
        """

    @property
    def turns_durable(self) -> int:
        """
        Turns that commit.
        """

    @property
    def turns_ephemeral(self) -> int:
        """
        Turns that commit nothing.
        """

    @property
    def turns_failed(self) -> int:
        """
        Turns ended by an error.
        """

    @property
    def used_decoded_tokens(self) -> int:
        """
        Of the prepaid tokens: used by requests.
        """

    @property
    def used_prefilled_tokens(self) -> int:
        """
        Of the prepaid tokens: used by requests.
        """

    @property
    def window_dropped_tokens(self) -> int:
        """
        Tokens that slides took out of logs.
        """

    @property
    def window_slides(self) -> int:
        """
        Drops of a window session's oldest data.
        """

    @property
    def window_slides_unprepared(self) -> int:
        """
        Of those: a request had to prefill.
        """

class TurnStream:
    """
    The events of one turn: a TurnStart, TurnTokens, a TurnEnd. Made by SessionManager.turn(). A stream that is dropped before its end cancels its turn.
    """

    def __iter__(self) -> typing.Any: ...
    def __next__(self) -> TurnStart | TurnToken | TurnEnd: ...
    def __repr__(self) -> str: ...
    def cancel(self) -> None:
        """
        Discards the turn; it ends with reason cancelled.
        """

    def drain(self) -> list[TurnStart | TurnToken | TurnEnd]:
        """
        All queued events. Never waits.
        """

    def fileno(self) -> int:
        """
        A descriptor that is readable while next_event() would not wait: for loop.add_reader() and select. It belongs to the stream. Raises Error on systems without POSIX descriptors.
        """

    def next_event(
        self, timeout_s: typing.SupportsFloat | typing.SupportsIndex | None = None
    ) -> TurnStart | TurnToken | TurnEnd | None:
        """
        Waits for the next event; None once TurnEnd was returned. Raises TimeoutError after timeout_s seconds; the turn goes on then.
        """

    def stop_at(self, answer_tokens: typing.SupportsInt | typing.SupportsIndex) -> None:
        """
        Ends the turn as stopped after its first answer_tokens tokens and commits those. Raises InvalidArgument if fewer were emitted.
        """

    def try_next(self) -> TurnStart | TurnToken | TurnEnd | None:
        """
        The next event if one is queued, else None. Never waits.
        """

    @property
    def ended(self) -> bool:
        """
        Whether the turn has ended; its last events may still be queued.
        """

    @property
    def turn_id(self) -> int:
        """
        The turn's number.
        """

class ManagerOptions:
    """
    Caps and switches of a SessionManager.
    """

    def __init__(
        self,
        *,
        max_sessions: typing.SupportsInt | typing.SupportsIndex = 100000,
        max_sessions_per_tenant: typing.SupportsInt | typing.SupportsIndex = 100000,
        max_base_prefixes_per_tenant: typing.SupportsInt | typing.SupportsIndex = 16,
        max_entries_per_session: typing.SupportsInt | typing.SupportsIndex = 64,
        max_entry_bytes: typing.SupportsInt | typing.SupportsIndex = 268435456,
        preposition: bool = True,
        idle_thread: bool = True,
        idle: IdleOptions = ...,
        seed: typing.SupportsInt | typing.SupportsIndex | None = None,
    ) -> None: ...
    def __repr__(self) -> str: ...
    @property
    def idle(self) -> IdleOptions:
        """
        Budgets of idle work.
        """

    @idle.setter
    def idle(self, arg1: IdleOptions) -> None: ...
    @property
    def idle_thread(self) -> bool:
        """
        False: idle work starts only in run_idle().
        """

    @idle_thread.setter
    def idle_thread(self, arg1: bool) -> None: ...
    @property
    def max_base_prefixes_per_tenant(self) -> int:
        """
        Declared by one tenant.
        """

    @max_base_prefixes_per_tenant.setter
    def max_base_prefixes_per_tenant(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def max_entries_per_session(self) -> int:
        """
        Anticipations of one session.
        """

    @max_entries_per_session.setter
    def max_entries_per_session(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def max_entry_bytes(self) -> int:
        """
        Distributions and continuations of all sessions.
        """

    @max_entry_bytes.setter
    def max_entry_bytes(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def max_sessions(self) -> int:
        """
        Of all tenants.
        """

    @max_sessions.setter
    def max_sessions(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def max_sessions_per_tenant(self) -> int:
        """
        Of one tenant.
        """

    @max_sessions_per_tenant.setter
    def max_sessions_per_tenant(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def preposition(self) -> bool:
        """
        False: a plain prefix-caching session store.
        """

    @preposition.setter
    def preposition(self, arg1: bool) -> None: ...
    @property
    def seed(self) -> int | None:
        """
        Of ids and fresh seeds; None = the system's randomness.
        """

    @seed.setter
    def seed(self, arg1: typing.SupportsInt | typing.SupportsIndex | None) -> None: ...

class SessionManager:
    """
    Tokens in, tokens out: keeps sessions alive on an executor and spends its idle time so that the next request finds its first token already there. Thread-safe. Methods raise NotFound for a session that is unknown or closed.
    """

    def __init__(
        self,
        executor: Executor,
        options: ManagerOptions = ...,
        journal: Journal | None = None,
        clock: Clock | None = None,
    ) -> None:
        """
        journal None: nothing is written; clock None: the machine's. Raises InvalidArgument.
        """

    def anticipate(self, session: str, anticipation: Anticipation) -> int:
        """
        Declares a guess and returns its id; equal guesses share one. Raises InvalidArgument, ContextOverflow, ResourceExhausted.
        """

    def append(
        self,
        session: str,
        tokens: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer],
        messages: collections.abc.Sequence[MessageSpan] = [],
    ) -> AppendResult:
        """
        Adds data that asks nothing; acknowledged when it returns. Raises InvalidArgument or ContextOverflow, the session unchanged.
        """

    def cancel(self, turn: typing.SupportsInt | typing.SupportsIndex) -> None:
        """
        Discards a running turn. Ended turns are ignored.
        """

    def close(self, session: str) -> None:
        """
        Cancels its work, drops its entries, frees its KV.
        """

    def counters(self) -> Counters:
        """
        A copy of the counters.
        """

    def fork(self, session: str, tokens: typing.SupportsInt | typing.SupportsIndex | None = None) -> str:
        """
        A new session whose log starts as the first `tokens` ids of this one's, or all of them.
        """

    def open(self, options: OpenOptions = ...) -> str:
        """
        Opens a session and returns its id. Raises ContextOverflow, ResourceExhausted, InvalidArgument.
        """

    def rebase(
        self,
        session: str,
        base: typing.SupportsInt | typing.SupportsIndex,
        tokens: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer],
        messages: collections.abc.Sequence[MessageSpan] = [],
    ) -> AppendResult:
        """
        Replaces the log from `base` on; what is new is prefilled in idle time. Raises InvalidArgument, ContextOverflow or Conflict (a durable turn runs), the session unchanged.
        """

    def retract(self, session: str, anticipation: typing.SupportsInt | typing.SupportsIndex) -> None:
        """
        Takes a guess back. Unknown ids are ignored.
        """

    def run_idle(self) -> bool:
        """
        Starts at most one idle job now. False if none is affordable or the executor is busy.
        """

    def sessions(self, tenant: str = "default") -> list[str]:
        """
        Ids of a tenant's open sessions.
        """

    def slide(self, session: str, room: typing.SupportsInt | typing.SupportsIndex = 0) -> WindowDrop | None:
        """
        Drops a window session's oldest data if the shortened log is prepared, or if log + `room` tokens would exceed max_tokens; None if there was nothing to do. Raises Conflict while a durable turn runs.
        """

    def state(self, session: str) -> SessionState:
        """
        A copy of the session's state.
        """

    def stop_at(
        self, turn: typing.SupportsInt | typing.SupportsIndex, answer_tokens: typing.SupportsInt | typing.SupportsIndex
    ) -> None:
        """
        Ends a running turn as stopped after its first tokens and commits those. Raises InvalidArgument if fewer were emitted.
        """

    def turn(self, session: str, request: TurnRequest) -> TurnStream:
        """
        Asks for tokens. Raises Conflict, ContextOverflow, InvalidArgument before anything is emitted; later failures are a TurnEnd with reason error.
        """

    def wait_prepositioned(self, timeout_ms: typing.SupportsFloat | typing.SupportsIndex) -> bool:
        """
        Waits until entries are as ready as they get, or the timeout; returns whether they are. Needs the idle thread.
        """

    @property
    def executor(self) -> Executor:
        """
        The executor below.
        """

class KvLayout(enum.Enum):
    """
    How sequences share the KV buffers.
    """

    automatic = ...
    streams = ...
    unified = ...

class AdapterFile:
    """
    A LoRA adapter; its id is its place in the list, from 1.
    """

    def __init__(self, *, name: str = "", path: str = "") -> None: ...
    def __repr__(self) -> str: ...
    @property
    def name(self) -> str:
        """
        How people call it.
        """

    @name.setter
    def name(self, arg1: str) -> None: ...
    @property
    def path(self) -> str:
        """
        A GGUF file.
        """

    @path.setter
    def path(self, arg1: str) -> None: ...

class SizeClass:
    """
    Sequences of one length over the same weights.
    """

    def __init__(
        self,
        *,
        context_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        sequences: typing.SupportsInt | typing.SupportsIndex = 0,
    ) -> None: ...
    def __repr__(self) -> str: ...
    @property
    def context_tokens(self) -> int:
        """
        Of each sequence.
        """

    @context_tokens.setter
    def context_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def sequences(self) -> int:
        """
        How many.
        """

    @sequences.setter
    def sequences(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...

class LoadedAdapter:
    """
    A LoRA adapter that an executor has loaded.
    """

    def __repr__(self) -> str: ...
    @property
    def fingerprint(self) -> str:
        """
        SHA-256 in hex, by the model's rule.
        """

    @property
    def id(self) -> int:
        """
        What KvKey.adapter_id calls it, from 1.
        """

    @property
    def name(self) -> str:
        """
        How people call it.
        """

    @property
    def path(self) -> str:
        """
        Its file.
        """

    @property
    def size_bytes(self) -> int:
        """
        Of the file.
        """

class SizeClassState:
    """
    What a size class holds now.
    """

    def __repr__(self) -> str: ...
    @property
    def kv_bytes(self) -> int:
        """
        Allocated.
        """

    @property
    def promotions(self) -> int:
        """
        Since start: owners that came from a smaller class.
        """

    @property
    def resident_tokens(self) -> int:
        """
        In its sequences.
        """

    @property
    def sequences_used(self) -> int:
        """
        Of its sequences.
        """

    @property
    def size(self) -> SizeClass:
        """
        Length and number of its sequences.
        """

class LlamaOptions:
    """
    What the embedded executor is started with.
    """

    def __init__(
        self,
        *,
        model_path: str = "",
        max_sequences: typing.SupportsInt | typing.SupportsIndex = 8,
        context_tokens: typing.SupportsInt | typing.SupportsIndex = 0,
        threads: typing.SupportsInt | typing.SupportsIndex = 0,
        batch_tokens: typing.SupportsInt | typing.SupportsIndex = 512,
        layout: KvLayout = ...,
        gpu_layers: typing.SupportsInt | typing.SupportsIndex = -1,
        max_idle_step_ms: typing.SupportsFloat | typing.SupportsIndex = 10.0,
        park_bytes: typing.SupportsInt | typing.SupportsIndex = 268435456,
        max_kv_bytes: typing.SupportsInt | typing.SupportsIndex = 0,
        adapters: collections.abc.Sequence[AdapterFile] = ...,
        size_classes: collections.abc.Sequence[SizeClass] = ...,
        debug_checks: bool = False,
        progress: collections.abc.Callable[[float], None] | None = None,
    ) -> None: ...
    def __repr__(self) -> str: ...
    @property
    def adapters(self) -> list[AdapterFile]:
        """
        LoRA adapters, loaded at start.
        """

    @adapters.setter
    def adapters(self, arg1: collections.abc.Sequence[AdapterFile]) -> None: ...
    @property
    def batch_tokens(self) -> int:
        """
        Prefill tokens of one pass.
        """

    @batch_tokens.setter
    def batch_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def context_tokens(self) -> int:
        """
        Of one sequence; 0 = as trained, capped at 8192.
        """

    @context_tokens.setter
    def context_tokens(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def debug_checks(self) -> bool:
        """
        Check the books whenever the executor becomes idle.
        """

    @debug_checks.setter
    def debug_checks(self, arg1: bool) -> None: ...
    @property
    def gpu_layers(self) -> int:
        """
        -1 = all, where the build has a GPU backend.
        """

    @gpu_layers.setter
    def gpu_layers(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def layout(self) -> KvLayout:
        """
        How sequences share the KV buffers.
        """

    @layout.setter
    def layout(self, arg1: KvLayout) -> None: ...
    @property
    def max_idle_step_ms(self) -> float:
        """
        Bounds the idle quantum.
        """

    @max_idle_step_ms.setter
    def max_idle_step_ms(self, arg1: typing.SupportsFloat | typing.SupportsIndex) -> None: ...
    @property
    def max_kv_bytes(self) -> int:
        """
        Refuse a larger KV cache; 0 = what the machine has free.
        """

    @max_kv_bytes.setter
    def max_kv_bytes(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def max_sequences(self) -> int:
        """
        Sessions and branches resident at once, 1..256.
        """

    @max_sequences.setter
    def max_sequences(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def model_path(self) -> str:
        """
        A GGUF file.
        """

    @model_path.setter
    def model_path(self, arg1: str) -> None: ...
    @property
    def park_bytes(self) -> int:
        """
        Host memory for parked sequences.
        """

    @park_bytes.setter
    def park_bytes(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    @property
    def progress(self) -> collections.abc.Callable[[typing.SupportsFloat | typing.SupportsIndex], None]:
        """
        Called with 0..1 while the model loads.
        """

    @progress.setter
    def progress(self, arg1: collections.abc.Callable[[float], None]) -> None: ...
    @property
    def size_classes(self) -> list[SizeClass]:
        """
        Several lengths of sequence, ascending; empty = one.
        """

    @size_classes.setter
    def size_classes(self, arg1: collections.abc.Sequence[SizeClass]) -> None: ...
    @property
    def threads(self) -> int:
        """
        0 = physical cores.
        """

    @threads.setter
    def threads(self, arg1: typing.SupportsInt | typing.SupportsIndex) -> None: ...

class LlamaVocab:
    """
    Text side of the model file. Immutable and thread-safe.
    """

    def __len__(self) -> int:
        """
        Number of ids.
        """

    def chat_template(self) -> str:
        """
        Empty if the file has none.
        """

    def detokenize(
        self, tokens: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer], *, render_special: bool
    ) -> bytes:
        """
        UTF-8 bytes of the ids; they may end inside a character.
        """

    def is_control(self, token: typing.SupportsInt | typing.SupportsIndex) -> bool:
        """
        A token that stands for no text.
        """

    def is_end_of_generation(self, token: typing.SupportsInt | typing.SupportsIndex) -> bool:
        """
        The model ends with it.
        """

    def metadata(self, key: str) -> str:
        """
        Empty if absent.
        """

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """
        Text to ids. parse_special: control tokens in the text become their ids.
        """

    @property
    def adds_bos(self) -> bool:
        """
        The model expects bos in front.
        """

    @property
    def bos(self) -> int:
        """
        NO_TOKEN if none.
        """

    @property
    def eos(self) -> int:
        """
        NO_TOKEN if none.
        """

class LlamaExecutor(Executor):
    """
    The embedded executor: libllama behind its own thread.
    """

    def __init__(self, options: LlamaOptions) -> None:
        """
        Raises ModelError, ResourceExhausted or InvalidArgument.
        """

    def vocab(self) -> LlamaVocab:
        """
        Tokenizer and template of the model file.
        """

    @property
    def adapters(self) -> list[LoadedAdapter]:
        """
        The loaded adapters, by id - 1.
        """

    @property
    def classes(self) -> list[SizeClassState]:
        """
        The size classes now, ascending; at least one.
        """

    @property
    def options(self) -> LlamaOptions:
        """
        The options as resolved.
        """

def _philox4x32_10(
    counter: typing.Annotated[collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], "FixedSize(4)"],
    key: typing.Annotated[collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], "FixedSize(2)"],
) -> typing.Annotated[list[int], "FixedSize(4)"]: ...
def _scan_exp(
    x: numpy.ndarray, inverse_temperature: typing.SupportsFloat | typing.SupportsIndex = 1.0
) -> numpy.typing.NDArray[numpy.float64]:
    """
    exp(x * inverse_temperature) as the kernels compute it.
    """

def count_tokens(
    context: collections.abc.Sequence[int] | numpy.typing.NDArray[numpy.integer],
    output_start: typing.SupportsInt | typing.SupportsIndex,
) -> list[TokenCount]:
    """
    The counts of a context, ascending by token.
    """

def load_vocab(path: str) -> LlamaVocab:
    """
    Tokenizer and template of a GGUF file, with or without weights. Raises ModelError.
    """

def scan(
    logits: numpy.ndarray,
    params: SamplingParams,
    *,
    mask: numpy.ndarray | None = None,
    counts: collections.abc.Sequence[TokenCount] = [],
    position: typing.SupportsInt | typing.SupportsIndex = 0,
) -> ScanResult:
    """
    One row of raw logits to a token and its statistics.
    """

def scan_isa() -> ScanIsa:
    """
    The instruction set in use.
    """

def scan_many(
    logits: numpy.ndarray,
    params: SamplingParams,
    positions: numpy.ndarray,
    *,
    mask: numpy.ndarray | None = None,
    counts: collections.abc.Sequence[TokenCount] = [],
) -> typing.Any:
    """
    The tokens that `scan` chooses at each position.
    """

def scan_statistics(
    logits: numpy.ndarray,
    params: SamplingParams = ...,
    *,
    mask: numpy.ndarray | None = None,
    counts: collections.abc.Sequence[TokenCount] = [],
) -> ScanStatistics:
    """
    Statistics without a token.
    """

def scan_uniform(
    seed: typing.SupportsInt | typing.SupportsIndex,
    choice_index: typing.SupportsInt | typing.SupportsIndex,
    position: typing.SupportsInt | typing.SupportsIndex,
) -> float:
    """
    The number in (0, 1) that a draw uses.
    """

def set_scan_isa(isa: ScanIsa) -> None:
    """
    Forces an instruction set, for tests and benchmarks. Not thread-safe.
    """

def top_logprobs(
    logits: numpy.ndarray,
    n: typing.SupportsInt | typing.SupportsIndex,
    params: SamplingParams = ...,
    *,
    mask: numpy.ndarray | None = None,
    counts: collections.abc.Sequence[TokenCount] = [],
) -> list[TokenLogprob]:
    """
    The n best ids, best first.
    """

NO_OWNER: int = 0
NO_TOKEN: int = -1
REQUEST_PRIORITY: float = 0.5
__version__: str = "0.1.0"
