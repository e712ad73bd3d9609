"""What tools returned is remembered within a tenant and within bounds."""

from __future__ import annotations

from poise.tools.memory import ToolResultMemory


def results(memory: ToolResultMemory, tenant: str, name: str, **arguments: object) -> list[str]:
    return [result for result, _ in memory.likely(tenant, name, arguments, 8)]


def test_most_frequent_first_and_the_exact_call_counts_more() -> None:
    memory = ToolResultMemory()
    for _ in range(3):
        memory.record("t", "stock", {"sku": "A"}, "yes")
    memory.record("t", "stock", {"sku": "B"}, "no")
    assert results(memory, "t", "stock", sku="C") == ["yes", "no"]
    assert results(memory, "t", "stock", sku="B") == ["no", "yes"]


def test_beliefs_are_a_share_that_leaves_room_for_the_unseen() -> None:
    memory = ToolResultMemory()
    memory.record("t", "stock", {}, "yes")
    memory.record("t", "stock", {}, "no")
    beliefs = [belief for _, belief in memory.likely("t", "stock", {}, 8)]
    assert all(belief > 0 for belief in beliefs)
    assert sum(beliefs) < 1


def test_tenants_do_not_learn_from_each_other() -> None:
    memory = ToolResultMemory()
    memory.record("a", "stock", {}, "yes")
    assert results(memory, "b", "stock") == []


def test_argument_order_does_not_matter() -> None:
    memory = ToolResultMemory()
    memory.record("t", "f", {"a": 1, "b": 2}, "x")
    memory.record("t", "f", {"a": 9, "b": 9}, "y")
    memory.record("t", "f", {"a": 9, "b": 9}, "y")
    assert results(memory, "t", "f", b=2, a=1)[0] == "x"


def test_bounds_hold() -> None:
    memory = ToolResultMemory(max_keys=4, max_results_per_key=2, max_result_chars=5)
    memory.record("t", "f", {}, "too long")
    assert results(memory, "t", "f") == []
    for number in range(10):
        memory.record("t", f"g{number}", {}, "r")
    assert results(memory, "t", "g0") == []
    assert results(memory, "t", "g9") == ["r"]
    for number in range(5):
        memory.record("t", "g9", {}, str(number))
    assert len(results(memory, "t", "g9")) <= 2
