"""Mutation testing: every small change to a module, and whether its tests notice.

    python benchmarks/mutants.py [--sample N] [MODULE ...]      # comparison convention ...

cosmic-ray makes the mutants (``pip install -e '.[dev]'``). Its own runner starts a process for
each, which takes longer to import numpy and scipy than to run the tests. So here each is a fork of
one process that has them already; the mutant takes the module's place there, never on the disk.
Mutants that differ in annotations alone are left out: nothing reads those. ``equivalent.txt``
beside this file lists those that no test can tell from the original, each with the reason; any
other that survives is printed, and the exit code is 1. ``--sample`` tries that many, drawn with a
fixed seed.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import os
import random
import signal
import sys
import time
from importlib.abc import Loader, MetaPathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 60
LISTED = Path(__file__).with_name("equivalent.txt")
IDENTIFY = sorted(
    path.stem
    for path in (ROOT / "convcheck" / "checks" / "identify").glob("*.py")
    if path.stem != "__init__"
)
TESTS = {
    # The tests that are about it; that others would notice too is no reason not to test it here.
    "convention": "test_convention",
    "engine": "test_engine",
    "rounding": "test_rounding",
    "comparison": "test_comparison",
    "reference": "test_compare",
    "mapping": "test_mapping",
    **{f"checks.identify.{name}": "test_identify test_identify_report" for name in IDENTIFY},
}
SWAPS = (
    *("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "Mul_Add", "Pow_Mul", "FloorDiv_Mul"),
    *("Mod_FloorDiv", "BitAnd_BitOr", "BitOr_BitAnd", "LShift_RShift"),
)
COMPARISONS = (
    *("Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Lt_GtE", "LtE_Gt", "Gt_LtE", "GtE_Lt"),
    *("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is"),
)
OPERATORS = (
    *("AddNot", "NumberReplacer", "ReplaceAndWithOr", "ReplaceOrWithAnd", "RemoveDecorator"),
    *("ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceBreakWithContinue"),
    *(
        "ReplaceContinueWithBreak",
        "ReplaceUnaryOperator_Delete_Not",
        "ReplaceUnaryOperator_USub_UAdd",
    ),
    *("ZeroIterationForLoop", "ExceptionReplacer"),
    *(f"ReplaceBinaryOperator_{swap}" for swap in SWAPS),
    *(f"ReplaceComparisonOperator_{swap}" for swap in COMPARISONS),
)


class _NoAnnotations(ast.NodeTransformer):
    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> Any:
        node.annotation = None
        return node

    def visit_arguments(self, node: ast.arguments) -> Any:
        # The star of keyword-only arguments, taken for a product: how one may pass them, no more.
        node.args += node.kwonlyargs
        node.defaults += [default for default in node.kw_defaults if default]
        node.args, node.posonlyargs = node.posonlyargs + node.args, []
        node.kwonlyargs, node.kw_defaults = [], []
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        node.returns = None
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> Any:
        return (
            None if ast.unparse(node.test).endswith("TYPE_CHECKING") else self.generic_visit(node)
        )


def meaning(source: str) -> str:
    """What of a source is run."""
    return ast.dump(_NoAnnotations().visit(ast.parse(source)))


def mutants(source: str) -> Iterator[tuple[str, str]]:
    """Every mutant: what was done in words, and its source."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator, operator_names

    known, seen = set(operator_names()), {meaning(source)}
    for name in OPERATORS:
        if f"core/{name}" not in known:
            continue
        operator, occurrence = get_operator(f"core/{name}")(), 0
        while (mutated := mutate_code(source.encode(), operator, occurrence)) is not None:
            occurrence += 1
            text = mutated.decode() if isinstance(mutated, bytes) else mutated
            try:
                dumped = meaning(text)
            except SyntaxError:  # likewise the star, for a sum
                continue
            if dumped not in seen:
                seen.add(dumped)
                yield _difference(source, text, name), text


def _difference(before: str, after: str, name: str) -> str:
    for number, (old, new) in enumerate(
        zip(before.splitlines(), after.splitlines(), strict=False), start=1
    ):
        if old != new:
            return f"{number}: {' '.join(old.split())} → {' '.join(new.split())}"
    return f"0: {name}"


def listed(module: str) -> set[str]:
    """The mutants of a module that are known to be equivalent, without their line numbers."""
    lines = LISTED.read_text(encoding="utf-8").splitlines()
    return {line.removeprefix(f"{module}: ") for line in lines if line.startswith(f"{module}: ")}


class _Mutant(MetaPathFinder, Loader):
    """Gives the module of that name another source."""

    def __init__(self, name: str, path: Path, source: str) -> None:
        self.name, self.path, self.source = name, path, source

    def find_spec(self, fullname: str, *_: Any) -> Any:
        if fullname == self.name:
            return importlib.util.spec_from_file_location(fullname, self.path, loader=self)
        return None

    def exec_module(self, module: Any) -> None:
        exec(compile(self.source, str(self.path), "exec"), module.__dict__)


class _Backwards:
    """Runs the last tests first: to the letter, and quick, they kill most."""

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items.reverse()


def survives(name: str, path: Path, source: str, tests: list[str]) -> bool:
    """Whether all tests pass with this source in the module's place."""
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)  # an endless loop is noticed too
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        code = 1
        try:
            import pytest

            sys.meta_path.insert(0, _Mutant(name, path, source))
            options = ["-x", "-q", "--assert=plain", "-p", "no:cacheprovider"]
            options += ["-m", "not slow and not campaign"]
            code = int(pytest.main([*options, *tests], [_Backwards()]))
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return status == 0


def warm() -> None:
    """Import what is slow, and none of what is mutated."""
    import hypothesis
    import jsonschema  # noqa: F401
    import pytest  # noqa: F401
    import scipy.fft
    import scipy.ndimage
    import scipy.signal  # noqa: F401

    # One example is enough: none need be made small to be shown.
    phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    hypothesis.settings.register_profile("mutants", phases=phases, database=None)
    hypothesis.settings.load_profile("mutants")
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(ROOT))
    os.chdir(ROOT)


def judge(name: str, sample: int | None) -> bool:
    """Print a module's survivors and counts; whether all that survive are listed."""
    path = ROOT / "convcheck" / f"{name.replace('.', '/')}.py"
    source = path.read_text(encoding="utf-8")
    tests = [f"tests/{test}.py" for test in TESTS[name].split()]
    if not survives(f"convcheck.{name}", path, source, tests):
        print(f"{name}: its tests fail without any mutation")
        return False
    started, known = time.monotonic(), listed(name)
    every = list(mutants(source))
    tried = every if sample is None else random.Random(0).sample(every, min(sample, len(every)))
    equivalent, surviving = 0, 0
    for words, mutated in tried:
        if not survives(f"convcheck.{name}", path, mutated, tests):
            continue
        if words.partition(": ")[2] in known:
            equivalent += 1
        else:
            surviving += 1
            print(f"  survives  {name}: {words}", flush=True)
    killed = len(tried) - equivalent - surviving
    print(
        f"{name}: {len(every)} mutants, {len(tried)} tried, {killed} killed,",
        f"{equivalent} equivalent, {surviving} surviving, {time.monotonic() - started:.0f} s",
        flush=True,
    )
    return surviving == 0


def main() -> int:
    """Judge the modules that are asked for, or all."""
    parser = argparse.ArgumentParser(description="Small changes that no test notices.")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=", ".join(TESTS))
    parser.add_argument("--sample", type=int, metavar="N", help="try N mutants of each")
    asked = parser.parse_args()
    if unknown := set(asked.modules) - set(TESTS):
        parser.error(f"no such module: {', '.join(sorted(unknown))}")
    warm()
    good = [judge(name, asked.sample) for name in asked.modules or TESTS]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
