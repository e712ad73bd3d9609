"""Options. Each default stands once: in the C++ struct it configures, or here. CLI flags are derived from
these fields."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from poise import _core
from poise.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

    from poise.constraint.specs import Spec

_LLAMA = _core.LlamaOptions()
_MANAGER = _core.ManagerOptions()
_OPEN = _core.OpenOptions()
_SAMPLING = _core.SamplingParams()
_GATE = _core.GateOptions()
_TURN = _core.TurnRequest()
_THOUGHT = _core.ThoughtOptions()

ANTICIPATIONS = ("turn", "question", "tool_result:declared", "tool_result:learned", "tool_result:model")
LAYOUTS = ("automatic", "streams", "unified")


def option(
    default: Any,
    help: str,  # noqa: A002 - argparse's word
    choices: tuple[str, ...] = (),
    metavar: str = "KIND",
) -> Any:
    """A field that is also a CLI flag. `metavar` names a value of a tuple in the help."""
    return field(default=default, metadata={"help": help, "choices": choices, "metavar": metavar})


def _adapter(given: str) -> _core.AdapterFile:
    """A LoRA file as "name=path", or a path whose name is the file's without its ending."""
    name, equals, path = given.partition("=")
    if not equals:
        name, path = Path(given).stem, given
    if not name or not path:
        raise InvalidArgument(f"adapters: {given!r} is neither NAME=PATH nor a path")
    return _core.AdapterFile(name=name, path=path)


def _size_class(given: str) -> _core.SizeClass:
    """A length and a number of sequences: "4096x6", or "4kx6"."""
    found = re.fullmatch(r"(\d{1,7})(k?)x(\d{1,3})", given.strip().lower())
    if found is None:
        raise InvalidArgument(f"size_classes: {given!r} is not TOKENSxSEQUENCES, such as 4096x6 or 16kx2")
    tokens = int(found.group(1)) * (1024 if found.group(2) else 1)
    return _core.SizeClass(context_tokens=tokens, sequences=int(found.group(3)))


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """How an engine uses the machine, and what it does in its idle time."""

    max_sequences: int = option(_LLAMA.max_sequences, "sessions whose KV is resident at once")
    context_tokens: int = option(_LLAMA.context_tokens, "longest context; 0 = the model's own, at most 8192")
    threads: int = option(_LLAMA.threads, "CPU threads; 0 = physical cores")
    batch_tokens: int = option(_LLAMA.batch_tokens, "prefill tokens of one pass")
    gpu_layers: int = option(_LLAMA.gpu_layers, "layers on the GPU; -1 = all")
    layout: str = option("automatic", "how KV is laid out", LAYOUTS)
    max_idle_step_ms: float = option(_LLAMA.max_idle_step_ms, "longest that a request may wait for idle work")
    park_bytes: int = option(_LLAMA.park_bytes, "host memory for sessions whose KV is not resident")
    max_kv_bytes: int = option(_LLAMA.max_kv_bytes, "refuse a larger KV cache; 0 = what is free")
    adapters: tuple[str, ...] = option((), "LoRA adapters, loaded at start", metavar="NAME=PATH")
    size_classes: tuple[str, ...] = option(
        (),
        "lengths of sequences and how many of each, ascending, in place of max_sequences and context_tokens "
        "(for example 4kx6,16kx2,64kx1)",
        metavar="TOKENSxSEQUENCES",
    )
    max_sessions: int = option(_MANAGER.max_sessions, "open sessions")
    preposition: bool = option(_MANAGER.preposition, "spend idle time on what may come next")
    idle_time_share: float = option(_MANAGER.idle.max_time_share, "share of idle time that may be spent, up to 1")
    continuation_tokens: int = option(_OPEN.continuation_tokens, "answer tokens decoded ahead behind a guess")
    anticipate: tuple[str, ...] = option(ANTICIPATIONS, "what is guessed without being asked", ANTICIPATIONS)
    max_tool_guesses: int = option(4, "likely results prepared for a pending tool call")
    model_guess_tokens: int = option(64, "longest tool result that the model is asked to guess")
    history: Literal["generated", "rendered"] = option(
        "generated",
        "keep answers as generated, or as the template would render them",
        ("generated", "rendered"),
    )
    thought_marks: str = option(
        "auto",
        "what opens and closes a thought, as BEGIN...END; auto = as the chat template has it, none = no thoughts",
    )
    thought_tokens: int = option(_THOUGHT.tokens, "longest thought decoded ahead behind a guess")
    max_chats: int = option(10_000, "conversations of clients that resend everything, kept for their next request")
    seed: int | None = option(_MANAGER.seed, "session ids and fresh sampling seeds; default: the system's randomness")

    def __post_init__(self) -> None:
        unknown = set(self.anticipate) - set(ANTICIPATIONS)
        if unknown:
            raise InvalidArgument(f"anticipate: {sorted(unknown)} is unknown; choose from {list(ANTICIPATIONS)}")
        for given in self.adapters:
            _adapter(given)
        for given in self.size_classes:
            _size_class(given)
        if self.thought_marks not in ("auto", "none"):
            begin, dots, end = self.thought_marks.partition("...")
            if not (begin and dots and end):
                raise InvalidArgument(
                    f"thought_marks is {self.thought_marks!r}; give BEGIN...END, for example <think>...</think>, "
                    "auto or none"
                )
        if self.thought_tokens < 0 or self.max_chats < 1:
            raise InvalidArgument("thought_tokens must be at least 0 and max_chats at least 1")
        for item in fields(self):
            choices = item.metadata["choices"]
            if choices and isinstance(item.default, str) and getattr(self, item.name) not in choices:
                raise InvalidArgument(
                    f"{item.name}: {getattr(self, item.name)!r} is unknown; choose from {list(choices)}"
                )

    @property
    def thought_pair(self) -> tuple[str, ...] | None:
        """The chosen marks; an empty tuple for none, nothing for the template's own."""
        if self.thought_marks == "auto":
            return None
        begin, _, end = self.thought_marks.partition("...")
        return () if self.thought_marks == "none" else (begin, end)

    def llama(self, model_path: str, progress: Any = None) -> _core.LlamaOptions:
        """What the embedded executor is started with."""
        return _core.LlamaOptions(
            model_path=model_path,
            max_sequences=self.max_sequences,
            context_tokens=self.context_tokens,
            threads=self.threads,
            batch_tokens=self.batch_tokens,
            gpu_layers=self.gpu_layers,
            layout=getattr(_core.KvLayout, self.layout),
            max_idle_step_ms=self.max_idle_step_ms,
            park_bytes=self.park_bytes,
            max_kv_bytes=self.max_kv_bytes,
            adapters=[_adapter(given) for given in self.adapters],
            size_classes=[_size_class(given) for given in self.size_classes],
            progress=progress,
        )

    def manager(self) -> _core.ManagerOptions:
        """What the session manager is started with."""
        return _core.ManagerOptions(
            max_sessions=self.max_sessions,
            preposition=self.preposition,
            idle=_core.IdleOptions(max_time_share=self.idle_time_share),
            seed=self.seed,
        )


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How tokens are chosen. Temperature 0 is greedy."""

    temperature: float = _SAMPLING.temperature
    top_k: int = _SAMPLING.top_k
    top_p: float = _SAMPLING.top_p
    min_p: float = _SAMPLING.min_p
    repetition_penalty: float = _SAMPLING.repetition_penalty
    presence_penalty: float = _SAMPLING.presence_penalty
    frequency_penalty: float = _SAMPLING.frequency_penalty
    bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = _SAMPLING.seed

    def core(self) -> _core.SamplingParams:
        """The parameters as the core takes them."""
        return _core.SamplingParams(
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            bias=[_core.LogitBias(token=token, bias=bias) for token, bias in self.bias.items()],
            seed=self.seed,
        )


GREEDY = Sampling(temperature=0.0)


@dataclass(frozen=True, kw_only=True)
class Window:
    """Keeps a session's log within `max_tokens`: its oldest messages behind the head are dropped, down to
    `keep_tokens`. From half way on the shortened log is prepared in idle time."""

    keep_tokens: int  # length after a drop, head included
    max_tokens: int  # the log never exceeds it
    head_tokens: int | None = None  # stay for ever; None = the system message

    def core(self, head_tokens: int, *, automatic: bool) -> _core.WindowOptions:
        """The window as the core takes it; `head_tokens` where none are given."""
        return _core.WindowOptions(
            head_tokens=head_tokens if self.head_tokens is None else self.head_tokens,
            keep_tokens=self.keep_tokens,
            max_tokens=self.max_tokens,
            automatic=automatic,
        )


@dataclass(frozen=True, kw_only=True)
class Gate:
    """May answer from a ready distribution without a decode: lossy, and always labelled.

    `answers` are texts or token ids, at least two; the gate fires when the logit gap between the
    best two of them reaches `gap_threshold`.
    """

    answers: tuple[str | int, ...]
    gap_threshold: float = _GATE.gap_threshold


@dataclass(frozen=True, kw_only=True)
class Question:
    """Something that is asked again and again over a session's log, and commits nothing."""

    content: str | tuple[int, ...]
    name: str = ""
    max_new_tokens: int = _TURN.max_new_tokens
    gate: Gate | None = None
    constraint: Spec | _core.Constraint | None = None

    @property
    def label(self) -> str:
        """How the question is called in events and in ask()."""
        return self.name or (self.content if isinstance(self.content, str) else "question")


MAX_NEW_TOKENS: int = _TURN.max_new_tokens
