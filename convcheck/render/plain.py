"""Plain characters for those who asked for no others."""

from __future__ import annotations

_PLAIN = str.maketrans(
    {"Σ": "sum", "−": "-", "×": "x", "≥": ">=", "≤": "<=", "→": "->", "…": "...", "·": "*"}
    | {"ε": "eps", "γ": "gamma", "β": "beta"}
)


def plain(text: str) -> str:
    """The text in ASCII."""
    return text.translate(_PLAIN).encode("ascii", "backslashreplace").decode()
