"""Word counts and lists in messages."""

from collections.abc import Sequence


def counted(n: int, noun: str, plural: str = "") -> str:
    """Return a number with separators and its noun: "1 sample", "2,000 samples".

    Args:
        n: the number.
        noun: the noun in the singular.
        plural: its plural, unless that is the singular and an s.
    """
    return f"{n:,} {noun if n == 1 else plural or f'{noun}s'}"


def briefly(names: Sequence[str], n_shown: int, between: str = ", ") -> str:
    """Return names, and how many more there are than the shown ones: "a, b and 3 more"."""
    more = f" and {len(names) - n_shown:,} more" if len(names) > n_shown else ""
    return between.join(names[:n_shown]) + more


def in_lines(faults: Sequence[str], n_shown: int) -> str:
    """Return faults below each other, indented, and how many more there are than the shown ones."""
    more = [f"and {len(faults) - n_shown:,} more"] if len(faults) > n_shown else []
    return "\n".join(f"  {text}" for text in (*faults[:n_shown], *more))
