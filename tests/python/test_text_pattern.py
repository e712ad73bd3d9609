"""What a template does with contents that are not known yet: followed exactly, or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poise.errors import InvalidArgument
from poise.text.pattern import Trace
from poise.text.template import ChatTemplate

CONTENTS = (
    "plain",
    "",
    " x ",
    "\n",
    "</think>",
    "a</think>b",
    "{",
    '"',
    "é",
    "x" * 500,
    "<tool_response>a</tool_response>",
    "X",
)


def trace(source: str) -> tuple[Trace, object]:
    seen = Trace(["Qx 7"])
    return seen, ChatTemplate(source).trace([{"role": "user", "content": seen.slot(0)}], seen)


FOLLOWED = (
    "<{{ messages[0].content }}>",
    "<{{ '(' + messages[0]['content'] + ')' }}>",
    "<{{ messages[0].content ~ messages[0].role ~ messages[0].content }}>",
    "<{{ messages[0].content | trim }}>",
    "<{{ (' ' + messages[0].content + ' \n') | trim }}>",
    "<{{ messages[0].content.strip() }}|{{ messages[0].content.lstrip('\n') }}>",
    "{% macro say(text) %}[{{ text }}]{% endmacro %}<{{ say(messages[0].content) }}>",
    "{% set ns = namespace(t='') %}{% for m in messages %}{% set ns.t = ns.t + m.content %}{% endfor %}{{ ns.t }}",
    "{% set t %}a{{ messages[0].content }}b{% endset %}{{ t }}",
    "{% if messages[0].content %}+{{ messages[0].content }}{% else %}nothing{% endif %}",
    "{% if '</think>' in messages[0].content %}thought{% else %}{{ messages[0].content }}{% endif %}",
    "{% if '</think>' not in messages[0].content %}{{ messages[0].content }}{% endif %}!",
    "{{ messages[0].content.split('</think>')[-1] }}",
    "{% if messages[0].content.startswith('<tool_response>') and messages[0].content.endswith('</tool_response>') %}t"
    "{% else %}{{ messages[0].content }}{% endif %}",
    "{% if messages[0].content == 'X' %}x{% else %}{{ messages[0].content }}{% endif %}",
    "{% if messages[0].content is string and messages[0].content is iterable %}{{ messages[0].content }}{% endif %}",
    "{% if messages[0].content is mapping %}m{% elif messages[0].content is not none %}{{ messages[0].content }}"
    "{% endif %}",
    "{{ messages[0].content | tojson }}",
    '{"a": {{ messages[0].content | tojson }}}',
    "{{ messages | map(attribute='content') | join(', ') }}",
    "{{ messages[0].content | replace('</think>', '') }}",
    "{{ messages[0].get('content', '') }}{{ messages[0].content | default('none') }}",
    "no content",
)
NOT_FOLLOWED = (
    "{{ messages[0].content | upper }}",
    "{{ messages[0].content | length }}",
    "{{ messages[0].content[0] }}",
    "{{ messages[0].content[1:] }}",
    "{% for c in messages[0].content %}{{ c }}.{% endfor %}",
    "{{ messages | tojson }}",
    "{{ messages[0].content.split() | join('-') }}",
    "{{ '%s' % messages[0].content }}",
    "{{ '%s' | format(messages[0].content) }}",
    "{{ '{}'.format(messages[0].content) }}",
    "{{ messages[0].content * 2 }}",
    "{% if messages[0].content in 'Qx 7 or so' %}in{% endif %}",
    "{{ {'Qx 7': 1}[messages[0].content] }}",
    "{{ messages[0].content.title() }}",
    "{{ 'abc'.replace('b', messages[0].content) }}",
    "{% if messages[0].content < 'a' %}small{% endif %}",
    "{{ messages | map(attribute='content') | map('upper') | join }}",
    "{{ messages[0].content | safe }}",
    "{{ messages[0].content is lower }}",
)


@pytest.mark.parametrize("source", FOLLOWED)
def test_what_is_followed_is_what_rendering_gives(source: str) -> None:
    seen, pattern = trace(source)
    assert seen.opaque is None
    template = ChatTemplate(source)
    held = 0
    for content in CONTENTS:
        if seen.allows([content]):
            held += 1
            assert pattern.fill([content]) == template.render([{"role": "user", "content": content}])  # type: ignore[attr-defined]
    assert held >= 1
    assert seen.allows(["plain"])


@pytest.mark.parametrize("source", NOT_FOLLOWED)
def test_what_looks_into_a_content_is_not_followed(source: str) -> None:
    seen, pattern = trace(source)
    assert seen.opaque is not None
    assert pattern is None


@given(st.text(max_size=30), st.sampled_from(FOLLOWED))
@settings(deadline=None, max_examples=400)
def test_any_content_that_is_allowed_is_filled_rightly(content: str, source: str) -> None:
    seen, pattern = trace(source)
    if seen.allows([content]):
        told = ChatTemplate(source).render([{"role": "user", "content": content}])
        assert pattern.fill([content]) == told  # type: ignore[attr-defined]


def test_a_refusal_is_a_refusal() -> None:
    with pytest.raises(InvalidArgument, match="no"):
        trace("{{ raise_exception('no') }}")
