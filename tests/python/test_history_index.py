"""Who a message is, and which session a resent history belongs to."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poise.text import identity
from poise.text.history_index import HistoryIndex
from poise.text.messages import Message, normalize

CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": {}}}]}


def call(arguments: object, **more: object) -> Message:
    function = {"name": "f", "arguments": arguments}
    return normalize({"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "function": function}], **more})


def keys(*messages: Message, tenant: str = "a") -> list[bytes]:
    return identity.chain(identity.root(tenant), identity.digests(map(normalize, messages)))


def user(text: str) -> Message:
    return {"role": "user", "content": text}


@pytest.mark.parametrize(
    "same",
    [
        call('{"b": [1, 2], "a": "x"}'),
        call('{"a":"x","b":[1,2]}'),
        call('{\n  "a": "x",\n  "b": [1, 2]\n}'),
        call({"b": [1, 2], "a": "x"}, content="", refusal=None, annotations=[]),
        call({"b": [1, 2], "a": "x"}, content=[{"type": "text", "text": " "}], reasoning_content="hm"),
        {**call({"b": [1, 2], "a": "x"}), "audio": None},
    ],
)
def test_a_call_is_known_again_in_any_form(same: Message) -> None:
    assert identity.digest(same) == identity.digest(call({"a": "x", "b": [1, 2]}))


@pytest.mark.parametrize(
    "other",
    [
        call({"a": "x", "b": [2, 1]}),
        call({"a": "x"}),
        call({"a": "x", "b": [1, 2]}, content="first"),
        {"role": "assistant", "content": ""},
    ],
)
def test_another_call_is_another_message(other: Message) -> None:
    assert identity.digest(other) != identity.digest(call({"a": "x", "b": [1, 2]}))


def test_parts_are_text_and_users_white_space_counts() -> None:
    whole = identity.digest(normalize(user("ab")))
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert identity.digest(normalize({"role": "user", "content": parts})) == whole
    assert identity.digest(normalize(user("ab "))) != whole
    assert identity.digest(normalize({**user("ab"), "name": "Ann"})) != whole


def test_results_count_by_their_call_not_by_its_id() -> None:
    def history(first: str, second: str, *, swapped: bool = False) -> list[bytes]:
        calls = [{"id": name, "function": {"name": "f", "arguments": {}}} for name in (first, second)]
        results = [{"role": "tool", "tool_call_id": name, "content": name[0]} for name in (first, second)]
        results[0]["content"], results[1]["content"] = "one", "two"
        if swapped:
            results[0]["content"], results[1]["content"] = "two", "one"
        return keys(user("go"), {"role": "assistant", "content": "", "tool_calls": calls}, *results)

    assert history("a1", "b1") == history("x9", "y9")
    assert history("a1", "b1")[-2:] != history("a1", "b1", swapped=True)[-2:]


@given(st.text(), st.text(), st.text(), st.text())
def test_role_and_content_do_not_run_into_each_other(a: str, b: str, c: str, d: str) -> None:
    one, two = {"role": "r" + a, "content": b}, {"role": "r" + c, "content": d}
    if not any("\ud800" <= char <= "\udfff" for char in a + b + c + d):
        assert (identity.digest(one) == identity.digest(two)) == ((a, b) == (c, d))


def test_the_longest_history_wins_and_the_root_parts_tenants() -> None:
    index: HistoryIndex[str] = HistoryIndex()
    index.put("short", keys(user("1"), user("2")))
    index.put("long", keys(user("1"), user("2"), user("3"), user("4")))
    index.put("other", keys(user("1"), user("2"), user("x")))
    found = index.find(keys(user("1"), user("2"), user("3"), user("4"), user("5")))
    assert found is not None
    assert (found.owner, found.messages, found.whole) == ("long", 4, True)
    found = index.find(keys(user("1"), user("2"), user("3"), user("!")))
    assert found is not None
    assert (found.owner, found.messages, found.whole) == ("long", 3, False)
    found = index.find(keys(user("1"), user("2"), user("?")))
    assert found is not None
    assert (found.owner, found.messages, found.whole) == ("short", 2, True)  # the one that can be continued
    assert index.find(keys(user("1"), user("2"), tenant="b")) is None
    index.remove("short")
    index.remove("short")
    found = index.find(keys(user("1"), user("2"), user("?")))
    assert found is not None
    assert not found.whole


def test_a_session_is_found_in_two_lookups_among_a_hundred_thousand() -> None:
    index: HistoryIndex[int] = HistoryIndex()
    shared = identity.digest_bytes(user("the same system prompt"))
    root = identity.root("a")
    for session in range(100_000):
        parts = [shared, *(identity.digest_bytes(user(f"{session}/{turn}")) for turn in range(3))]
        index.put(session, identity.chain(root, parts))
    before = index.lookups
    asked = [{"role": "user", "content": text} for text in ("the same system prompt", *(f"777/{n}" for n in range(3)))]
    found = index.find(identity.chain(root, identity.digests([*asked, user("new")])))
    assert found is not None
    assert (found.owner, found.messages, found.whole) == (777, 4, True)
    assert index.lookups - before == 2  # with the new message, and without
    before = index.lookups
    found = index.find(identity.chain(root, [shared, *identity.digests([user("new"), user("newer")])]))
    assert found is not None
    assert found.messages == 1
    assert index.lookups - before <= 3 + 8  # many share it: only the newest few are looked at
    assert len(index) == 100_000
    for session in range(100_000):
        index.remove(session)
    assert (len(index), index.keys_held) == (0, 0)


def test_memory_is_bounded_and_the_newest_stay_whole() -> None:
    index: HistoryIndex[int] = HistoryIndex(max_keys=50)
    histories = {n: keys(*(user(f"{n}/{turn}") for turn in range(10))) for n in range(60)}
    for n, history in histories.items():
        index.put(n, history)
        assert index.keys_held <= 50
    found = index.find(histories[59][:6])
    assert found is not None
    assert (found.owner, found.messages) == (59, 5)
    found = index.find(histories[50])  # reduced to its whole history: it can be continued...
    assert found is not None
    assert (found.owner, found.messages, found.whole) == (50, 10, True)
    assert index.find(histories[50][:6]) is None  # ...but not be forked any more
    assert index.find(histories[0]) is None


def test_the_books_agree_with_a_plain_search() -> None:
    random.seed(7)
    index: HistoryIndex[int] = HistoryIndex()
    held: dict[int, list[bytes]] = {}
    for step in range(3000):
        owner = random.randrange(12)
        if random.random() < 0.2:
            index.remove(owner)
            held.pop(owner, None)
        else:
            length = random.randrange(1, 6)
            held[owner] = keys(*(user(random.choice("ab")) for _ in range(length)))
            index.put(owner, held[owner])
        asked = keys(*(user(random.choice("ab")) for _ in range(5)))
        best = max((n for k in held.values() for n in range(1, len(k)) if n < 6 and k[n] == asked[n]), default=0)
        found = index.find(asked)
        assert (found.messages if found else 0) == best, step
        if found:
            assert held[found.owner][best] == asked[best]
            assert found.whole == (len(held[found.owner]) == best + 1)
        assert index.keys_held == sum(len(k) - 1 for k in held.values())
