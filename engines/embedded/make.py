"""Makes the shipped model, one step a command: data, tokenizer, train, check, export, evaluate, heldout."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"


def _data(args: argparse.Namespace) -> None:
    from desk.render import render
    from desk.session import make_session
    from desk.stream import make_stream, messages_of

    for index in range(args.count):
        session = make_session(args.seed, index, args.split)
        print(render(session.messages, session.tools))
        print(render(messages_of(make_stream(args.seed, index, args.split))))


def _tokenizer(args: argparse.Namespace) -> None:
    from desk import cases, tokenizer

    trained = tokenizer.train()
    trained.save(str(tokenizer.PATH))
    cases.write(trained)
    print(f"{tokenizer.PATH.name}: {trained.get_vocab_size()} tokens")


def _train(args: argparse.Namespace) -> None:
    from train import train

    train(args.model, args.build / args.model, args.steps, args.seconds)


def _check(args: argparse.Namespace) -> None:
    from quickcheck import check

    print(json.dumps(check(args.model, args.build / args.model, args.sessions), indent=1))


def _export(args: argparse.Namespace) -> None:
    from export_gguf import export
    from export_hf import export_hf

    folder = args.build / args.model
    export(args.model, folder, HERE / f"{args.model}.gguf")
    export_hf(args.model, folder, folder / "hf")


def _evaluate(args: argparse.Namespace) -> None:
    from evaluate import evaluate, table

    report = evaluate(HERE / f"{args.model}.gguf", args.sessions, args.streams, args.threads)
    (HERE / f"{args.model}.report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (HERE / f"{args.model}.report.md").write_text(table(report), encoding="utf-8")
    print(table(report))


def _heldout(args: argparse.Namespace) -> None:
    from heldout import OUT, write

    write(OUT)
    print(f"{OUT.name}: {OUT.stat().st_size:,} bytes")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    steps = parser.add_subparsers(required=True)

    data = steps.add_parser("data", help="print generated conversations")
    data.add_argument("--count", type=int, default=1)
    data.add_argument("--seed", type=int, default=1)
    data.add_argument("--split", choices=("train", "heldout"), default="train")
    data.set_defaults(run=_data)

    steps.add_parser("tokenizer", help="train tokenizer.json").set_defaults(run=_tokenizer)

    def with_model(name: str, text: str) -> argparse.ArgumentParser:
        step = steps.add_parser(name, help=text)
        step.add_argument("--model", default="desk", help="an entry of config.py")
        step.add_argument("--build", type=Path, default=BUILD, help="where checkpoints lie")
        return step

    train = with_model("train", "train a model into build/MODEL")
    train.add_argument("--steps", type=int, help="override the run's number of steps")
    train.add_argument("--seconds", type=float, help="end the schedule by wall time")
    train.set_defaults(run=_train)

    check = with_model("check", "teacher-forced check of a checkpoint in PyTorch")
    check.add_argument("--sessions", type=int, default=200)
    check.set_defaults(run=_check)

    with_model("export", "write MODEL.gguf and build/MODEL/hf").set_defaults(run=_export)

    evaluate = with_model("evaluate", "held-out report of MODEL.gguf through llama.cpp")
    evaluate.add_argument("--sessions", type=int, default=150)
    evaluate.add_argument("--streams", type=int, default=100, help="streams a noise level")
    evaluate.add_argument("--threads", type=int, default=2)
    evaluate.set_defaults(run=_evaluate)

    held = steps.add_parser("heldout", help="write the held-out sessions that the demo plays")
    held.set_defaults(run=_heldout)
    return parser


def main() -> None:
    """Run one step."""
    args = _parser().parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
