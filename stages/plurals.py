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


def briefly(names: Sequence[str], n_shown: int) -> str:
    """Return names with commas, and how many more there are than the shown ones: "a, b and 3 more"."""
    more = f" and {len(names) - n_shown:,} more" if len(names) > n_shown else ""
    return ", ".join(names[:n_shown]) + more
