"""An engine with LoRA adapters, and one with several lengths of sequence, on tiny models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from poise import GREEDY, Engine, InvalidArgument, ModelError, _core
from poise.options import EngineOptions
from tests.support import tiny_gguf

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not hasattr(_core, "LlamaExecutor"), reason="built without POISE_LLAMA")

LOG = [3 + (7 * n) % 250 for n in range(40)]
NEXT = [12, 13, 14]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    tiny_gguf.llama().write(folder / "model.gguf")
    tiny_gguf.lora(1).write(folder / "polite.gguf")
    tiny_gguf.lora(2).write(folder / "second.gguf")
    tiny_gguf.lora(1, embedding=2 * tiny_gguf.EMBEDDING).write(folder / "wide.gguf")
    return folder


def load(files: Path, **options: object) -> Engine:
    options = {"context_tokens": 512, "threads": 1, "gpu_layers": 0, **options}
    return Engine.load(files / "model.gguf", **options)


def bare(files: Path, adapter: str | None, scale: float, context: list[int]) -> list[int]:
    """The answer of an executor that knows one adapter and computes nothing else."""
    adapters = [_core.AdapterFile(name="only", path=str(files / f"{adapter}.gguf"))] if adapter else []
    options = _core.LlamaOptions(
        model_path=str(files / "model.gguf"), max_sequences=1, context_tokens=512, threads=1, adapters=adapters
    )
    executor = _core.LlamaExecutor(options)
    sink = _core.CollectSink()
    key = _core.KvKey(adapter_id=1 if adapter else 0, adapter_scale=scale)
    request = _core.Request(context=context, max_new_tokens=8, key=key, sampling=_core.SamplingParams(temperature=0.0))
    executor.enqueue(request, sink)
    assert sink.wait(60)
    executor.shutdown()
    return sink.tokens


def test_sessions_choose_an_adapter_by_name_and_share_nothing(files: Path) -> None:
    cases = [(None, 0.0), ("polite", 1.0), ("polite", 0.25), ("kind", 1.0)]
    with load(files, adapters=(str(files / "polite.gguf"), f"kind={files / 'second.gguf'}")) as engine:
        assert [(item.id, item.name) for item in engine.adapters] == [(1, "polite"), (2, "kind")]
        assert len({item.fingerprint for item in engine.adapters}) == 2
        answers = []
        for name, scale in cases:
            session = engine.open_session(
                history=LOG, adapter=name, adapter_scale=scale, sampling=GREEDY, preposition=False
            )
            result = session.turn(NEXT, max_new_tokens=8).result()
            assert result.path == "cold"
            assert result.end.usage.prefilled_tokens == len(LOG) + len(NEXT)
            file = {"kind": "second"}.get(str(name), name)
            assert list(result.tokens) == bare(files, file, scale, LOG + NEXT)
            answers.append(result.tokens)
        assert len(set(answers)) == len(cases)


def test_prepared_answers_of_an_adapter_are_its_own(files: Path) -> None:
    with load(files, adapters=(str(files / "polite.gguf"),)) as engine:
        plain = engine.open_session(history=LOG, sampling=GREEDY)
        polite = engine.open_session(history=LOG, adapter=1, sampling=GREEDY)
        for session in (plain, polite):
            engine.manager.anticipate(session.id, _core.Anticipation(tokens=NEXT))
        assert engine.wait_prepositioned(60)
        for session, adapter, scale in ((plain, None, 0.0), (polite, "polite", 1.0)):
            result = session.turn(NEXT, max_new_tokens=8).result()
            assert result.path == "ready"
            assert list(result.tokens) == bare(files, adapter, scale, LOG + NEXT)


def test_an_unknown_adapter_is_refused_with_what_is_loaded(files: Path) -> None:
    with load(files, adapters=(str(files / "polite.gguf"),)) as engine:
        with pytest.raises(InvalidArgument, match=r"'rude' is not loaded; loaded are: 'polite'"):
            engine.open_session(adapter="rude")
        with pytest.raises(InvalidArgument, match="2 is not loaded"):
            engine.open_session(adapter=2)
    with load(files) as engine, pytest.raises(InvalidArgument, match="loaded are: none"):
        engine.open_session(adapter="polite")


def test_files_that_do_not_fit_are_named(files: Path) -> None:
    with pytest.raises(ModelError, match=r"wide\.gguf' does not fit the model .*incorrect shape"):
        load(files, adapters=(str(files / "wide.gguf"),))
    with pytest.raises(ModelError, match=r"nowhere\.gguf' does not exist"):
        load(files, adapters=("x=" + str(files / "nowhere.gguf"),))
    with pytest.raises(InvalidArgument, match="neither NAME=PATH nor a path"):
        EngineOptions(adapters=("=x.gguf",))


def test_a_session_moves_to_a_larger_class_and_keeps_its_answers(files: Path) -> None:
    with load(files, size_classes=("256x2", "1kx1")) as engine:
        executor = engine.executor
        assert isinstance(executor, _core.LlamaExecutor)
        assert [(c.size.context_tokens, c.size.sequences) for c in executor.classes] == [(256, 2), (1024, 1)]
        assert "2 sequences x 256 tokens + 1 sequences x 1024 tokens" in engine.info.memory_plan
        session = engine.open_session(history=LOG * 5, sampling=GREEDY, preposition=False)
        session.turn(NEXT, max_new_tokens=8).result()
        assert [c.sequences_used for c in executor.classes] == [1, 0]
        result = session.turn(LOG * 2, max_new_tokens=8).result()
        assert result.path == "prefix"
        # the last token of the answer before has no KV yet
        assert result.end.usage.prefilled_tokens == len(LOG * 2) + 1
        assert [c.sequences_used for c in executor.classes] == [0, 1]
        assert [c.promotions for c in executor.classes] == [0, 1]
        log = list(session.state.log)
    assert bare(files, None, 0.0, log[:-8]) == log[-8:]


@pytest.mark.parametrize("given", ["256", "x2", "256x", "256x0x1", "-1x2", "axb"])
def test_a_size_class_that_cannot_be_read_is_named(given: str) -> None:
    with pytest.raises(InvalidArgument, match="TOKENSxSEQUENCES"):
        EngineOptions(size_classes=(given,))


def test_classes_out_of_order_are_refused(files: Path) -> None:
    with pytest.raises(InvalidArgument, match="a class of 256 tokens follows one of 1024"):
        load(files, size_classes=("1kx1", "256x2"))
