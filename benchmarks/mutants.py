"""Mutation testing: every small change to a module, and whether its tests notice.

    python benchmarks/mutants.py [MODULE ...]      # rounding comparison convention ...

cosmic-ray makes the mutants (``pip install -e '.[dev]'``). Its own runner starts a process for
each, which takes longer to import numpy and scipy than to run the tests. So here each is a fork of
one process that has them already; the mutant takes the module's place there, never on the disk.
Mutants that differ in annotations alone are left out: nothing reads those.
"""

from __future__ import annotations

import ast
import importlib.util
import os
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
IDENTIFY = (
    *("axes", "classes", "fit", "identification", "judges", "nearest", "readings", "samples"),
    "search",
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
            dumped = meaning(text)
            if dumped not in seen:
                seen.add(dumped)
                yield _difference(source, text, name), text


def _difference(before: str, after: str, name: str) -> str:
    for number, (old, new) in enumerate(
        zip(before.splitlines(), after.splitlines(), strict=False), start=1
    ):
        if old != new:
            return f"{number}: {old.strip()}  →  {new.strip()}"
    return name


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
            options = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow and not campaign"]
            options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # warm() was first
            code = int(pytest.main([*options, *tests]))
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return status == 0


def warm() -> None:
    """Import what is slow, and none of what is mutated."""
    import hypothesis.strategies  # noqa: F401
    import jsonschema  # noqa: F401
    import pytest  # noqa: F401
    import scipy.fft
    import scipy.ndimage
    import scipy.signal  # noqa: F401

    sys.dont_write_bytecode = True
    sys.path.insert(0, str(ROOT))
    os.chdir(ROOT)


def main(names: list[str]) -> int:
    """Print the survivors and the counts, module by module."""
    warm()
    for name in names or list(TESTS):
        path = ROOT / "convcheck" / f"{name.replace('.', '/')}.py"
        source = path.read_text(encoding="utf-8")
        tests = [f"tests/{test}.py" for test in TESTS[name].split()]
        if not survives(f"convcheck.{name}", path, source, tests):
            print(f"{name}: its tests fail without any mutation")
            return 1
        started, count, alive = time.monotonic(), 0, 0
        for words, mutated in mutants(source):
            count += 1
            if survives(f"convcheck.{name}", path, mutated, tests):
                alive += 1
                print(f"  survives  {name}.py:{words}", flush=True)
        seconds = time.monotonic() - started
        share = 100 * (count - alive) / max(count, 1)
        print(
            f"{name}: {count} mutants, {alive} survive, {share:.1f} % killed, {seconds:.0f} s",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
