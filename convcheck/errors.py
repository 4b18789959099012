"""Every error that a user can meet, and the exit codes of the command line."""

from __future__ import annotations

from enum import IntEnum

from convcheck.visible import visible


class ExitCode(IntEnum):
    """What the exit status of ``convcheck`` means; CI scripts rely on it."""

    OK = 0
    """The claim holds."""
    FAILED = 1
    """The claim does not hold."""
    NOT_JUDGED = 2
    """It could not be judged: usage, unreadable or unfit input, nothing was compared."""
    INTERNAL = 3
    """A bug of convcheck's own."""
    INTERRUPTED = 130
    """Ctrl-C."""


class ConvcheckError(Exception):
    """Something that kept convcheck from judging.

    ``what`` names the operand and the trouble in one clause, ``got`` and ``expected`` say what was
    found and what was wanted, ``hint`` says what to do next. ``str()`` puts each on a line. What
    they quote may be anybody's: control characters in it are spelt out.
    """

    exit_code = ExitCode.NOT_JUDGED

    def __init__(
        self,
        what: str,
        *,
        got: str | None = None,
        expected: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.what = visible(what)
        super().__init__(self.what)
        self.got, self.expected, self.hint = (
            None if part is None else visible(part) for part in (got, expected, hint)
        )

    def __str__(self) -> str:
        lines = [self.what]
        if self.got is not None:
            lines.append(f"  found:    {self.got}")
        if self.expected is not None:
            lines.append(f"  expected: {self.expected}")
        if self.hint is not None:
            lines.append(f"  to do:    {self.hint}")
        return "\n".join(lines)


class InputError(ConvcheckError):
    """An operand or an option that cannot be used: its file, its shape, its dtype, its values."""


class OutputError(ConvcheckError):
    """A report or an array that could not be written."""


class OracleError(ConvcheckError):
    """``scipy.signal.convolve`` itself failed, so there is nothing to judge against."""


class MissingExtraError(ConvcheckError):
    """A feature whose optional dependency is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            what,
            expected=f"the optional extra {extra!r} to be installed",
            hint=f"pip install 'convcheck[{extra}]'",
        )
        self.extra = extra
