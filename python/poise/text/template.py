"""The model's chat template, run as Hugging Face transformers runs it: Jinja2 in a sandbox with bounds."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import jinja2

from poise.errors import InvalidArgument
from poise.text.pattern import Pattern, Slotted, Trace
from poise.text.sandbox import BoundedEnvironment, Budget
from poise.text.tracing import TracingEnvironment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Message = dict[str, Any]

CHATML = (
    "{%- for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content']"
    " + '<|im_end|>' + '\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{%- endif %}"
)


class ChatTemplate:
    """One compiled template. Thread-safe.

    `now` is what strftime_now() tells; it stands still, so that a conversation does not change at midnight.
    """

    def __init__(self, source: str, *, bos_token: str = "", eos_token: str = "") -> None:
        self.source = source
        self.renderings = 0  # how often render() ran; what matched or was prepared does not need it
        self._special = {"bos_token": bos_token, "eos_token": eos_token}
        self._environment = BoundedEnvironment()
        self._template = self._compile(self._environment)

    def render(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        add_generation_prompt: bool = False,
        now: datetime | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> str:
        """The whole conversation as text. Raises InvalidArgument with what the template says about it."""
        self.renderings += 1
        variables = self._variables(messages, tools, add_generation_prompt, now, arguments)
        return self._run(self._environment, self._template, variables)

    def trace(
        self,
        messages: Sequence[Message],
        trace: Trace,
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        add_generation_prompt: bool = False,
        now: datetime | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> Pattern | None:
        """`render` of messages with slots in their contents: the text around the slots. Nothing if the template does
        more with them than a pattern can say. What it asked about them is in `trace`, also when it refuses."""
        environment, template = self._tracing
        variables = self._variables(messages, tools, add_generation_prompt, now, arguments)
        text = self._run(environment, template, variables)
        if trace.opaque is not None:
            return None
        return text.pattern if isinstance(text, Slotted) else Pattern((text,))

    @cached_property
    def _tracing(self) -> tuple[TracingEnvironment, jinja2.Template]:
        environment = TracingEnvironment()
        return environment, self._compile(environment)

    def _compile(self, environment: jinja2.Environment) -> jinja2.Template:
        try:
            return environment.from_string(self.source)
        except (jinja2.TemplateError, RecursionError) as error:
            raise InvalidArgument(f"the model's chat template does not compile: {error}") from error

    def _variables(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]],
        add_generation_prompt: bool,
        now: datetime | None,
        arguments: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        when = now or datetime.now()

        def strftime_now(form: str) -> str:
            if len(form) > 100 or any(part[:4].isdigit() for part in form.split("%")):
                raise jinja2.TemplateError("strftime_now with a width")
            return when.strftime(form)

        return {
            **self._special,
            **(arguments or {}),
            "messages": messages,
            "tools": list(tools) or None,
            "documents": None,
            "add_generation_prompt": add_generation_prompt,
            "strftime_now": strftime_now,
        }

    @staticmethod
    def _run(environment: BoundedEnvironment, template: jinja2.Template, variables: dict[str, Any]) -> str:
        messages = variables["messages"]
        size = sum(str.__len__(content) for message in messages if isinstance(content := message.get("content"), str))
        environment.spend(Budget(len(messages), size))
        try:
            return template.render(variables)
        except jinja2.TemplateError as error:
            raise InvalidArgument(f"the chat template refuses this conversation: {error}") from error
        except Exception as error:  # whatever a template stumbles over, the session goes on
            reason = str(error) or type(error).__name__
            raise InvalidArgument(f"the chat template cannot render this conversation: {reason}") from error
        finally:
            environment.spend(None)
