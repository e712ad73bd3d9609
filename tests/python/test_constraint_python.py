"""Constraints written in Python: what they see, and what happens when they do not keep the rules."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from poise import _core
from tests.support.scripted import Scripted
from tests.support.sim_world import SimWorld

if TYPE_CHECKING:
    from numpy.typing import NDArray

VOCAB = 997


class Only(Scripted):
    """Allows id 7 five times, and looks at its mask."""

    seen: list[tuple[np.dtype[Any], int, bool, int]] = []  # noqa: RUF012

    def __init__(self, **kept: Any) -> None:
        super().__init__([(7,)] * 5, **kept)

    def fill_mask(self, mask: NDArray[np.uint32]) -> None:
        self.seen.append((mask.dtype, len(mask), mask.flags.writeable, mask.ctypes.data))
        super().fill_mask(mask)

    def clone(self) -> Only:
        return Only(history=self.accepted)


def end_of(world: SimWorld, constraint: _core.Constraint) -> _core.TurnEnd:
    answer = world.ask(world.open([1, 2, 3]), [4], constraint=constraint)
    assert answer.end is not None
    return answer.end


def test_the_mask_is_the_cores_own_memory() -> None:
    Only.seen.clear()
    end = end_of(SimWorld(), Only())
    assert end.answer == [7] * 5
    assert len(Only.seen) == 5
    assert {(dtype, words, writable) for dtype, words, writable, _ in Only.seen} == {
        (np.dtype(np.uint32), (VOCAB + 31) // 32, True)
    }
    assert len({address for *_, address in Only.seen}) == 1  # not a fresh copy each time


def test_a_mask_that_is_kept_is_an_error() -> None:
    kept: list[NDArray[np.uint32]] = []

    class Keeps(Only):
        def fill_mask(self, mask: NDArray[np.uint32]) -> None:
            super().fill_mask(mask)
            kept.append(mask[1:])

        def clone(self) -> Keeps:
            return Keeps(history=self.accepted)

    end = end_of(SimWorld(), Keeps())
    assert end.reason == _core.FinishReason.error
    assert "kept the mask" in end.error
    kept.clear()


def test_ids_behind_the_vocabulary_do_not_exist() -> None:
    class All(Only):
        def fill_mask(self, mask: NDArray[np.uint32]) -> None:
            mask[:] = 0xFFFFFFFF

        def accept(self, token: int) -> None:
            self.accepted.append(token)

        def clone(self) -> All:
            return All(history=self.accepted)

    world = SimWorld()
    answer = world.ask(world.open([1, 2, 3]), [4], constraint=All())
    assert answer.ids == world.reference([1, 2, 3, 4], max_new_tokens=5)


def test_finished_may_be_a_method_too() -> None:
    class Method(Only):
        def finished(self) -> bool:  # type: ignore[override]
            return len(self.accepted) == 2

        def clone(self) -> Method:
            return Method(history=self.accepted)

    assert end_of(SimWorld(), Method()).answer == [7, 7]


@pytest.mark.parametrize("missing", ["fill_mask", "accept", "finished", "clone"])
def test_missing_methods_are_named(missing: str) -> None:
    methods = {
        "fill_mask": lambda _self, mask: mask.fill(0xFFFFFFFF),
        "accept": lambda _self, _token: None,
        "finished": property(lambda _self: False),
        "clone": lambda self: type(self)(),
    }
    del methods[missing]
    end = end_of(SimWorld(), type("Half", (_core.Constraint,), methods)())
    assert end.reason == _core.FinishReason.error
    assert f"does not implement {missing}" in end.error


@pytest.mark.parametrize("what", ["itself", "nothing", "text"])
def test_a_clone_must_be_another_constraint(what: str) -> None:
    class Bad(Only):
        def clone(self) -> Any:
            return {"itself": self, "nothing": None, "text": "no"}[what]

    end = end_of(SimWorld(), Bad())
    assert end.reason == _core.FinishReason.error
    assert "clone" in end.error


def test_a_wrong_type_is_an_error() -> None:
    class Wrong(Only):
        def forced(self) -> Any:
            return "seven"

        def clone(self) -> Wrong:
            return Wrong(history=self.accepted)

    end = end_of(SimWorld(), Wrong())
    assert end.reason == _core.FinishReason.error
    assert "forced of the Python constraint" in end.error


def test_poise_errors_keep_their_names() -> None:
    with pytest.raises(_core.InvalidArgument, match="not in the script"):
        _core.Constraint.accept(Only(), 8)
    with pytest.raises(_core.InvalidArgument, match="cannot take back"):
        _core.Constraint.rollback(Only(), 1)


def test_the_core_keeps_it_alive_and_lets_it_go() -> None:
    world = SimWorld()
    constraint = Only()
    alive = weakref.ref(constraint)
    request = _core.TurnRequest(tokens=[4], constraint=constraint, sampling=_core.SamplingParams(temperature=0.0))
    del constraint
    gc.collect()
    assert alive() is not None
    stream = world.manager.turn(world.open([1, 2, 3]), request)
    del request
    world.sim.run_until_idle()
    answer = world.drain(stream)
    assert answer.ids == [7] * 5
    del stream
    gc.collect()
    assert alive() is None


def test_constraints_of_the_core_speak_the_same_language() -> None:
    constraint = _core.TokenSetConstraint([3, 40], 2)
    mask = np.full(4, 0xFFFFFFFF, dtype=np.uint32)
    constraint.fill_mask(mask)
    assert mask.tolist() == [1 << 3, 1 << 8, 0, 0]
    assert constraint.forced() == []
    assert Scripted([(5,), 6]).allowed(40) == [5]
    with pytest.raises(TypeError):
        constraint.fill_mask(np.zeros(4, dtype=np.int64))
    mask.setflags(write=False)
    with pytest.raises(_core.InvalidArgument, match="writable"):
        constraint.fill_mask(mask)
