"""What the commands share: help that opens with examples, output options, and the way out."""

from __future__ import annotations

import os
import select
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

import click

from convcheck.used import is_read
from convcheck.visible import visible, visible_report

if TYPE_CHECKING:
    from convcheck.render.report import Report, Style
    from convcheck.tensors import Tensor

FORMATS = ("table", "json", "markdown", "junit", "html", "svg")
EXTENSIONS = {
    ".json": "json",
    ".md": "markdown",
    ".xml": "junit",
    ".html": "html",
    ".htm": "html",
    ".svg": "svg",
}
"""The format of ``-o FILE`` where none is asked for by name."""
CLAIM = ("the claim holds", "it does not; with --strict also: the data could not have told")
"""What exit codes 0 and 1 mean; each command says it of its own claim."""
OTHER_CODES = (
    ("2", "it could not be judged: usage, unreadable or unfit input"),
    ("3", "a bug of convcheck's own"),
    ("130", "interrupted"),
)
Example = tuple[str, str]
F = TypeVar("F", bound=Callable[..., Any])


def shows(said: Callable[[click.Context], str]) -> Callable[..., None]:
    """The callback of an option that shows a text and ends."""

    def show(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            write_stdout(said(ctx) + "\n")
            ctx.exit()

    return show


class _Examples:
    """Help that opens with examples and closes with the exit codes."""

    examples: Sequence[Example] = ()
    claim: Sequence[str] = CLAIM

    def get_help_option(self: Any, ctx: click.Context) -> click.Option | None:
        """--help, written as a report is: where that fails it is no bug of ours."""
        option: click.Option | None = super().get_help_option(ctx)  # type: ignore[misc]
        if option is not None:
            option.callback = shows(click.Context.get_help)
        return option

    def format_help(self: Any, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.width = max(formatter.width, 40)
        with formatter.section("Examples"):
            for what, command in self.examples:
                # Never wrapped: it is there to be copied.
                indent = f"{'':{formatter.current_indent}}"
                formatter.write(f"{indent}# {what}\n{indent}{command}\n")
        formatter.write_paragraph()
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        self.format_options(ctx, formatter)
        with formatter.section("Exit codes"):
            formatter.write_dl([*zip("01", self.claim, strict=False), *OTHER_CODES])


class ExamplesCommand(_Examples, click.Command):
    """A command with examples; ``claim`` is what its exit codes 0 and, where it has it, 1 mean."""

    def __init__(
        self,
        *args: Any,
        examples: Sequence[Example] = (),
        claim: Sequence[str] = CLAIM,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples
        self.claim = claim


class ExamplesGroup(_Examples, click.Group):
    """A group with examples, which suggests a command where none has the name."""

    def __init__(self, *args: Any, examples: Sequence[Example] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command, or say which name comes close."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            known = self.list_commands(ctx)
            close = get_close_matches(name, known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            ctx.fail(f"No such command {name!r}.{hint} The commands are: {', '.join(known)}.")
        return super().resolve_command(ctx, args)


def with_options(function: F, options: Sequence[Callable[[F], F]]) -> F:
    """A command with these options, in the order in which its help shows them."""
    for option in reversed(options):
        function = option(function)
    return function


def output_options(function: F) -> F:
    """--json, --format, -o, -q, -v, --color."""
    return with_options(
        function,
        [
            click.option(
                *("--format", "fmt"),
                type=click.Choice(FORMATS),
                help="What the report is written as; by default as FILE is named, or a table.",
            ),
            click.option("--json", "fmt", flag_value="json", help="Short for --format json."),
            click.option(
                *("-o", "--output"),
                metavar="FILE",
                help="Write the report to FILE (whole or not at all), not to stdout.",
            ),
            click.option("-q", "--quiet", is_flag=True, help="The verdict's line only."),
            click.option("-v", "--verbose", is_flag=True, help="Say on stderr how it was done."),
            click.option(
                "--color",
                type=click.Choice(["auto", "always", "never"]),
                default="auto",
                help="auto: as NO_COLOR, FORCE_COLOR and the terminal say.",
            ),
        ],
    )


def load_operands(*named: tuple[str, str]) -> list[Tensor]:
    """The arrays of (operand, file) pairs; at most one of them may be stdin."""
    if sum(spec == "-" for _, spec in named) > 1:
        operands = " and ".join(name for name, spec in named if spec == "-")
        both = "both" if operands.count(" and ") == 1 else "all"
        raise click.UsageError(f"Only one array can come from stdin: {operands} are {both} '-'.")
    from convcheck.mapping import outlive_faults
    from convcheck.tensors import load

    outlive_faults()
    return [load(name, spec) for name, spec in named]


def again(command: str, options: Sequence[str], *files: str) -> str:
    """The command that judges these files again."""
    dashes = ["--"] if any(file.startswith("-") and file != "-" for file in files) else []
    return shlex.join(["convcheck", command, *options, *dashes, *files])


def check_output(output: str | None) -> None:
    """Raise before any work where the report could not be written; from now on it is no input."""
    if output is not None:
        from convcheck.writing import check_writable

        check_writable(output)


def check_inputs() -> None:
    """Raise if a file of an array is no longer what it was: nothing can be said about it."""
    if "convcheck.mapping" in sys.modules:
        from convcheck.mapping import check_unchanged

        check_unchanged()


def emit(report: Report, options: dict[str, Any]) -> int:
    """Render the report, write it to its place, and give the exit code."""
    check_inputs()
    if not options["quiet"]:
        for warning in report.warnings:
            write_stderr(f"convcheck: warning: {warning}\n")
    if options["verbose"]:
        from convcheck.render.how import how

        write_stderr("".join(f"convcheck: {line}\n" for line in how(report)))
    look = style(options)
    rendered = _render(report, chosen_format(options), look)
    rendered = visible_report(rendered) if look.color else visible(rendered)
    if options["output"] is not None:
        from convcheck.writing import write_text

        write_text(options["output"], rendered)
    else:
        write_stdout(rendered)
    return report.exit_code


def chosen_format(options: dict[str, Any]) -> str:
    """The format that was asked for, by name or by the name of the file."""
    if options["fmt"] is not None:
        return str(options["fmt"])
    ending = os.path.splitext(options["output"] or "")[1].lower()  # noqa: PTH122 - no import
    return EXTENSIONS.get(ending, "table")


def _render(report: Report, fmt: str, look: Style) -> str:
    if fmt == "json":
        from convcheck.render import json_report

        return json_report.render(report)
    if fmt == "junit":
        from convcheck.render import junit

        return junit.render(report)
    if fmt == "markdown":
        from convcheck.render import markdown

        return markdown.render(report, look.quiet)
    if fmt in {"html", "svg"}:
        from convcheck.render import export

        made = export.html if fmt == "html" else export.svg
        return made(report, look.quiet)
    from convcheck.render import table

    return table.render(report, look)


def style(options: dict[str, Any]) -> Style:
    """How the report is to look, from the options, the environment and the terminal."""
    from convcheck.render.report import Style

    if options["output"] is not None:
        return Style(color=options["color"] == "always", quiet=options["quiet"])
    terminal = _is_terminal(sys.stdout)
    return Style(
        width=_terminal_width() if terminal else None,
        color=wants_color(options["color"], terminal),
        unicode=_speaks_unicode(),
        quiet=options["quiet"],
    )


def wants_color(asked: str, terminal: bool) -> bool:
    """Whether to colour: as was asked for, else as the environment and the terminal say."""
    if asked != "auto":
        return asked == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return terminal and os.environ.get("TERM") != "dumb"


def _is_terminal(stream: Any) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def stderr_is_terminal() -> bool:
    """Whether a progress bar has somebody to look at it."""
    return _is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"


def _terminal_width() -> int:
    from shutil import get_terminal_size

    return max(get_terminal_size().columns, 10)


_SIGNS = "Σ─│█×"


def _speaks_unicode() -> bool:
    asked = os.environ.get
    # Python makes the C locale speak UTF-8 and says so in LC_CTYPE; its user asked for plain ASCII.
    ctype = asked("LC_CTYPE")
    locale = asked("LC_ALL") or (ctype if ctype not in {"C.UTF-8", "C.utf8", "UTF-8"} else None)
    if (locale or asked("LANG")) in {"C", "POSIX"} and not asked("PYTHONUTF8"):
        return False
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    try:
        return _SIGNS.encode(encoding).decode(encoding) == _SIGNS
    except (UnicodeError, LookupError):
        return False


def write_stdout(text: str) -> None:
    """Write text to stdout; a reader who has gone is no error of ours."""
    if sys.stdout is None:
        return
    from convcheck.errors import OutputError

    try:
        if (number := _descriptor(sys.stdout)) is not None and is_read(number):
            raise OutputError("stdout is an input, which would be written over")
        _write(sys.stdout, text)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        raise OutputError("stdout could not be written", got=error.strerror) from None


def write_stderr(text: str) -> None:
    """Write text to stderr, where there is one."""
    if sys.stderr is None:
        return
    text = visible(text)
    if not text.isascii() and not _speaks_unicode():
        from convcheck.render.plain import plain

        text = plain(text)
    with suppress(OSError, ValueError):
        _write(sys.stderr, text)


def _write(stream: Any, text: str) -> None:
    """All of a text, however slowly it is read; in ASCII where the encoding is none for texts."""
    stream.flush()
    number = _descriptor(stream)
    try:
        data = text.encode(getattr(stream, "encoding", None) or "ascii", "backslashreplace")
    except (UnicodeError, LookupError):
        data = text.encode("ascii", "backslashreplace")
    if number is None:  # of a test, or a notebook
        stream.write(data.decode(getattr(stream, "encoding", None) or "ascii"))
        stream.flush()
        return
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(number, rest) :]
        except BlockingIOError:  # its reader is slow, and has it so that nobody waits: we do
            select.select([], [number], [])


def _descriptor(stream: Any) -> int | None:
    """The number of a stream that is one of the system's."""
    with suppress(OSError, ValueError, AttributeError):
        return int(stream.fileno())
    return None
