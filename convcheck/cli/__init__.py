"""The command line: parse, load, check, render, exit code; no numerics, nothing slow to import."""

from __future__ import annotations

import os
import re
import signal
import sys
from contextlib import nullcontext, suppress
from difflib import get_close_matches
from typing import TYPE_CHECKING, NoReturn

import click

from convcheck._version import __version__
from convcheck.cli.audit import audit
from convcheck.cli.base import ExamplesGroup, check_inputs, shows, write_stderr
from convcheck.cli.compare import compare
from convcheck.cli.diff import diff
from convcheck.cli.identify import identify
from convcheck.cli.inspect import inspect
from convcheck.cli.merge import merge
from convcheck.cli.model import model
from convcheck.cli.random import random
from convcheck.cli.verify import verify
from convcheck.errors import ConvcheckError, ExitCode
from convcheck.pool import one_blas_thread
from convcheck.used import one_run

if TYPE_CHECKING:
    from collections.abc import Sequence


_OUTPUT = re.compile(r"-[qv]*o(.*)|--output(?:=(.*))?", re.DOTALL)


@click.group(
    cls=ExamplesGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    examples=[
        ("compare an image and a filter bank", "convcheck compare img.npy w.npy"),
        ("try it without any data", "convcheck random --shape 3x5x5"),
        ("which convolution made this output?", "convcheck identify img.npy w.npy out.npy"),
        ("how does my output differ from the right one?", "convcheck diff ref.npy mine.npy"),
        ("what could a test with this data not see?", "convcheck audit img.npy w.npy"),
        ("what does this file hold?", "convcheck inspect model.safetensors"),
        ("which layer of my port is wrong?", "convcheck model ref.onnx port.onnx"),
        ("is my own implementation right?", "convcheck verify package.module:conv"),
        ("one report of verify's shards", "convcheck merge 1.json 2.json"),
    ],
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=shows(lambda _: f"convcheck {__version__}"),
    help="Show the version and exit.",
)
@click.pass_context
def cli(context: click.Context) -> int:
    """Say which convolution this is, and prove it.

    Two results of a convolution differ: convcheck says why, and proves whether it is rounding.
    'convcheck COMMAND --help' shows a command's examples and every option.
    """
    if context.invoked_subcommand is None:
        write_stderr(context.get_help() + "\n")
    return ExitCode.NOT_JUDGED  # of no command; that of a command takes its place


cli.add_command(compare)
cli.add_command(random)
cli.add_command(diff)
cli.add_command(identify)
cli.add_command(audit)
cli.add_command(inspect)
cli.add_command(model)
cli.add_command(verify)
cli.add_command(merge)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command; every ending is one of :class:`ExitCode`."""
    _end_in_order()
    code = run(argv)
    _flush()
    for number in _ended_by:  # now as it would have ended: whoever waits for it sees why
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    sys.exit(code)


_ended_by: list[int] = []


def _end_in_order() -> None:
    """SIGTERM and SIGHUP end a run as Ctrl-C does: its workers and its files go with it."""

    def end(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_IGN)  # once is enough
        _ended_by.append(number)
        raise KeyboardInterrupt

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # Who had it ignored, as nohup does, wants it so. It may be another thread than the first.
        with suppress(ValueError):
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, end)


def run(argv: Sequence[str] | None = None) -> int:
    """The exit code of one command line; whatever goes wrong is said on stderr."""
    try:
        int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    except ValueError:  # a module of numpy would fail to load; it is for those who build packages
        del os.environ["SOURCE_DATE_EPOCH"]
    with one_run():
        code, judged = _run(argv)
        if not judged:
            _discard_report(sys.argv[1:] if argv is None else argv)
    return code


def _run(argv: Sequence[str] | None) -> tuple[int, bool]:
    """The exit code, and whether there is a report."""
    if "convcheck.mapping" in sys.modules:  # an earlier run in this process may still hold arrays
        from convcheck.mapping import forget

        forget()
    try:
        # A report is the same to the byte on any number of cores. BLAS looks when it is loaded.
        with nullcontext() if "numpy" in sys.modules else one_blas_thread():
            code = cli.main(
                args=None if argv is None else list(argv),
                prog_name="convcheck",
                standalone_mode=False,
            )
        return int(code or 0), True
    except click.ClickException as error:
        return _usage_error(error), False
    except (click.Abort, KeyboardInterrupt) as stop:
        # Where an exec() of somebody's was interrupted, as dataclasses have, Python ends by the
        # signal whatever the exit code, until another one has run.
        exec("")  # noqa: S102
        said = str(stop.__cause__ or stop)  # click raises an Abort from it
        write_stderr(f"convcheck: interrupted{f'; {said}' if said else ''}\n")
        return ExitCode.INTERRUPTED, False
    except ConvcheckError as error:
        return _error(_changed() or error), False
    except MemoryError as error:
        write_stderr(
            f"convcheck: error: out of memory{f': {error}' if str(error) else ''}\n"
            "  to do:    use smaller arrays, or a machine with more memory\n"
        )
        return ExitCode.NOT_JUDGED, False
    except SystemExit:
        return ExitCode.OK, True  # click's completion ends so
    except Exception as error:  # noqa: BLE001 - the last resort: it becomes exit code 3
        changed = _changed()
        return _internal_error(error) if changed is None else _error(changed), False


def _discard_report(argv: Sequence[str]) -> None:
    """Leave no report of an earlier run where this one, which has none, was to write its own.

    The words are looked through as they are: click may have refused to read them.
    """
    for place, word in enumerate(argv):
        found = _OUTPUT.fullmatch(word)
        if found is None:
            continue
        output = found[1] or found[2] or "".join(argv[place + 1 : place + 2])
        others = [*argv[:place], *argv[place + (1 if found[1] or found[2] else 2) :]]
        # Of the inputs, none may have been read yet.
        if output and not any(_same_file(output, other) for other in others):
            from convcheck.writing import discard_report

            discard_report(output)


def _same_file(one: str, other: str) -> bool:
    with suppress(OSError, ValueError):
        return os.path.samefile(one, other)  # noqa: PTH121 - no import
    return False


def _error(error: ConvcheckError) -> int:
    write_stderr(f"convcheck: error: {error}\n")
    return error.exit_code


def _changed() -> ConvcheckError | None:
    """That an input changed meanwhile, if it did: no other error about it means anything then."""
    try:
        check_inputs()
    except ConvcheckError as error:
        return error
    return None


def _usage_error(error: click.ClickException) -> int:
    message = error.format_message().replace(" range.", ".")  # 'abc' is not a valid integer range
    context = getattr(error, "ctx", None)
    param = getattr(error, "param", None)
    lines = [f"convcheck: error: {message}"]
    if param is not None and isinstance(param.type, click.Choice):
        given = message.partition(": '")[2].partition("'")[0]
        close = get_close_matches(given, [str(c) for c in param.type.choices], n=1)
        lines.extend(f"  to do:    did you mean '{c}'?" for c in close)
    if context is not None:
        lines.append(f"  usage:    '{context.command_path} --help' shows examples and every option")
    write_stderr("\n".join(lines) + "\n")
    return ExitCode.NOT_JUDGED


def _internal_error(error: Exception) -> int:
    if os.environ.get("CONVCHECK_DEBUG"):
        import traceback

        write_stderr(traceback.format_exc())
    write_stderr(
        f"convcheck: internal error: {type(error).__name__}: {error}\n"
        "  This is a bug of convcheck's own: it says nothing about your data.\n"
        "  to do:    run it again with CONVCHECK_DEBUG=1 and report what it prints\n"
    )
    return ExitCode.INTERNAL


def _flush() -> None:
    """Flush now, so that a reader who has gone cannot change the exit code later."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
