"""Mutation testing: every small change to a module, and whether its tests notice.

    python benchmarks/mutants.py [--sample N] [--seconds S] [MODULE ...]    # comparison engine ...

cosmic-ray makes the mutants (``pip install -e '.[dev]'``). Its own runner starts a process for
each, which takes longer to import and to collect than to run the tests. So here each is a fork of
one process that has the tests collected already; the mutant takes the module's place there, never
on the disk. Tests that killed many mutants in little time run first, up to the first that fails.
Mutants that differ in annotations alone are left out: nothing reads those. ``equivalent.txt``
beside this file lists those that no test can tell from the original, each with the reason; any
other that survives is printed, and the exit code is 1. ``--sample`` tries that many, drawn with a
fixed seed. ``--seconds`` gives each mutant so much of the tests' time and no more, so that some
survive that the other tests would kill.
"""

from __future__ import annotations

import argparse
import ast
import math
import mmap
import os
import random
import signal
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
LISTED = Path(__file__).with_name("equivalent.txt")
TESTS = {
    # The tests that are about it; that others would notice too is no reason not to test it here.
    "convention.record": "convention/test_record",
    "convention.vocabulary": "convention/test_record",
    "convention.axis": "convention/test_axis",
    "convention.channels": "convention/test_channels",
    "convention.multiplier": "convention/test_multiplier",
    "convention.usual": "convention/test_deviations",
    "convention.preprocessing": "convention/test_preprocessing",
    "convention.steps": "convention/test_steps",
    "convention.storage": "convention/test_storage",
    "convention.deviations": "convention/test_deviations",
    "engine": "test_engine test_fourier",
    "fourier": "test_fourier",
    "rounding": "test_rounding",
    "comparison": "test_comparison",
    "reference": "checks/test_compare",
    "checks.one_tile": "checks/test_one_tile checks/test_compare checks/test_tiles test_lies",
    "mapping": "test_mapping",
    "score": "test_score",
    "noise": "test_noise",
    "check": "test_check",
    "traits": "test_traits",
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


def put_in_place(module: ModuleType, source: str) -> None:
    """Give a module another source, here and wherever its names were imported to."""
    old = dict(vars(module))
    exec(compile(source, str(module.__file__), "exec"), vars(module))
    for other in [m for m in sys.modules.values() if _is_ours(m)]:
        for name, value in list(vars(other).items()):
            if name in old and value is old[name] and not name.startswith("__"):
                setattr(other, name, getattr(module, name, value))


def _is_ours(module: ModuleType) -> bool:
    return str(getattr(module, "__file__", None)).startswith(str(ROOT))


class Runner:
    """A plugin of pytest that runs its tests on mutants in the place of running them.

    It learns which of them are worth running first.
    """

    def __init__(self, names: list[str], sample: int | None, budget: float) -> None:
        self.names, self.sample, self.budget = names, sample, budget
        self.good = False

    def pytest_runtestloop(self, session: Any) -> bool:
        """Judge the modules that are asked for."""
        import numpy as np

        self.items = session.items
        # Memory that is shared with the forks: how long each test takes, and which one runs.
        self.taken = np.frombuffer(mmap.mmap(-1, 8 * len(self.items)), np.float64)
        self.at = np.frombuffer(mmap.mmap(-1, 8), np.int64)
        modules = {name: sys.modules[f"convcheck.{name}"] for name in self.names}
        module = next(iter(modules.values()))
        if self.survives(module, _source(module), list(range(len(self.items)))):
            judged = [self.judge(*each) for each in modules.items()]
            self.good = all(judged)
        else:
            print(f"{self.items[self.at[0]].nodeid} fails without any mutation")
        return True

    def pytest_runtest_logreport(self, report: Any) -> None:
        """End the fork where a test fails."""
        if report.failed:
            os._exit(1)

    def survives(self, module: ModuleType, source: str, order: list[int]) -> bool:
        """Whether the tests pass, in this order, with this source in the module's place."""
        child = os.fork()
        if child == 0:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            code = 1
            try:
                # An endless loop is noticed too: by the processor's time, whoever else is running.
                signal.setitimer(signal.ITIMER_PROF, 60)
                self.at[0] = order[0]
                put_in_place(module, source)
                for index in order:
                    self.run(index)
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        return status == 0

    def run(self, index: int) -> None:
        """One test; what fails or takes much longer than it should ends the process."""
        item, usual = self.items[index], float(self.taken[index])
        signal.setitimer(signal.ITIMER_PROF, 5 + 10 * usual if usual else 600)
        self.at[0], started = index, time.process_time()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        if not usual:
            self.taken[index] = max(time.process_time() - started, 0.001)

    def judge(self, name: str, module: ModuleType) -> bool:
        """Print a module's survivors and counts; whether all that survive are listed."""
        source, known, started = _source(module), listed(name), time.monotonic()
        every = list(mutants(source))
        tried = every
        if self.sample is not None and self.sample < len(every):
            tried = random.Random(0).sample(every, self.sample)
        equivalent, surviving = 0, 0
        kills, runs = [0] * len(self.items), [0] * len(self.items)
        for words, mutated in tried:
            order = sorted(
                range(len(self.items)),
                key=lambda i: -(kills[i] + 1) / (runs[i] + 1) / float(self.taken[i]),
            )
            if self.budget < math.inf:
                spent = 0.0
                order = [i for i in order if (spent := spent + self.taken[i]) <= self.budget]
            if self.survives(module, mutated, order):
                if words.partition(": ")[2] in known:
                    equivalent += 1
                else:
                    surviving += 1
                    print(f"  survives  {name}: {words}", flush=True)
                continue
            killer = int(self.at[0])
            kills[killer] += 1
            for index in order[: order.index(killer) + 1]:
                runs[index] += 1
        killed = len(tried) - equivalent - surviving
        print(
            f"{name}: {len(every)} mutants, {len(tried)} tried, {killed} killed,",
            f"{equivalent} equivalent, {surviving} surviving, {time.monotonic() - started:.0f} s",
            flush=True,
        )
        return surviving == 0


def _source(module: ModuleType) -> str:
    return Path(str(module.__file__)).read_text(encoding="utf-8")


def warm() -> None:
    """Set up what the forks share."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(ROOT))
    os.chdir(ROOT)
    import hypothesis

    # One example is enough: none need be made small to be shown.
    phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    hypothesis.settings.register_profile("mutants", phases=phases, database=None, derandomize=True)
    hypothesis.settings.load_profile("mutants")


def main() -> int:
    """Judge the modules that are asked for, or all."""
    parser = argparse.ArgumentParser(description="Small changes that no test notices.")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=", ".join(TESTS))
    parser.add_argument("--sample", type=int, metavar="N", help="try N mutants of each")
    parser.add_argument(
        "--seconds", type=float, metavar="S", default=math.inf, help="of tests for each mutant"
    )
    asked = parser.parse_args()
    if unknown := set(asked.modules) - set(TESTS):
        parser.error(f"no such module: {', '.join(sorted(unknown))}")
    warm()
    import pytest

    good = True
    modules = asked.modules or list(TESTS)
    for tests in dict.fromkeys(TESTS[name] for name in modules):
        runner = Runner(
            [name for name in modules if TESTS[name] == tests], asked.sample, asked.seconds
        )
        options = ["-qqs", "--assert=plain", "--no-header", "-p", "no:cacheprovider"]
        options += ["-m", "not slow and not campaign"]
        pytest.main([*options, *(f"tests/{test}.py" for test in tests.split())], [runner])
        good &= runner.good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
