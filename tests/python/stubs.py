"""The type stubs of ``poise._core``: ``python tests/python/stubs.py --write`` renews them (``make stubs``)."""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
import tempfile
from pathlib import Path

STUB = Path(__file__).resolve().parents[2] / "python" / "poise" / "_core.pyi"


class _Repair(ast.NodeTransformer):
    """Says what the generator leaves out or says wrongly.

    An enumeration's members, a default of None that makes a type optional, a bare tuple, and equality, which takes
    any object (and leaves a class with no hash).
    """

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        self.generic_visit(node)
        if any(ast.unparse(base) == "enum.Enum" for base in node.bases):
            node.body = [self._member(item) for item in node.body if getattr(item, "name", "") != "__new__"]
        node.body = [item for item in node.body if not ast.unparse(item).startswith("__hash__")]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        arguments = node.args
        positional = arguments.posonlyargs + arguments.args
        defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
        pairs = zip(positional + arguments.kwonlyargs, defaults + arguments.kw_defaults, strict=True)
        for argument, default in pairs:
            if isinstance(default, ast.Constant) and default.value is None and argument.annotation is not None:
                annotation = ast.unparse(argument.annotation)
                if not annotation.endswith("| None"):
                    argument.annotation = ast.parse(f"{annotation} | None", mode="eval").body
            elif isinstance(argument.annotation, ast.Name) and argument.annotation.id == "tuple":
                argument.annotation = ast.parse("tuple[typing.Any, ...]", mode="eval").body
        if isinstance(node.returns, ast.Name) and node.returns.id == "tuple":
            node.returns = ast.parse("tuple[typing.Any, ...]", mode="eval").body
        if node.name == "__eq__":
            arguments.args[-1].annotation = ast.Name("object")
        return node

    @staticmethod
    def _member(item: ast.stmt) -> ast.stmt:
        if isinstance(item, ast.AnnAssign) and "ClassVar" in ast.unparse(item.annotation):
            return ast.copy_location(ast.Assign([item.target], ast.Constant(...)), item)
        return item


def generate() -> str:
    """Return the stubs that the built extension asks for, formatted as the repository is."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pybind11_stubgen", "poise._core", "-o", folder, "--exit-code"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"pybind11-stubgen failed:\n{done.stdout}{done.stderr}")
        text = (Path(folder) / "poise" / "_core.pyi").read_text(encoding="utf-8")
    text = ast.unparse(ast.fix_missing_locations(_Repair().visit(ast.parse(text))))
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(STUB), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write python/poise/_core.pyi")
    text = generate()
    if parser.parse_args().write:
        STUB.write_text(text, encoding="utf-8")
        print(f"wrote {STUB}")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
