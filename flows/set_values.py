"""Split SET into settings, and join settings into SET: TOML values, separated by blanks.

Not for the meaning of a setting: that is `flows/settings.py`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence

from stages.contract import InputError

_START = re.compile(r"\s*[A-Za-z_][\w-]*\.[\w-]+\s*=")
_BLANKS = re.compile(r"\s*")
_NEXT = re.compile(r"\s(?=\s*[A-Za-z_][\w-]*\.[\w-]+\s*=)")
_STRING = re.compile(r'"""(?s:.*?)"""|\'\'\'(?s:.*?)\'\'\'|"(?:[^"\\]|\\.)*"|\'[^\']*\'')
_OPENING, _CLOSING = "[{", "]}"


def split_settings(text: str) -> list[str]:
    """Return the settings of SET: `section.key=value`, separated by blanks.

    A value is a TOML string, array or table, with whatever blanks are inside, or a bare word. A bare word may hold
    blanks too: it ends where the next setting begins.

    Raises:
        InputError: a quote or bracket is not closed.
    """
    settings = []
    rest = text.strip()
    while rest:
        start = _START.match(rest)
        end = _end_of_value(rest, start.end()) if start else 0
        following = _NEXT.search(rest, end)
        settings.append(rest[: following.start() if following else len(rest)].strip())
        rest = rest[following.end() :] if following else ""
    return settings


def join_settings(settings: Sequence[str]) -> str:
    """Return SET for some settings: `split_settings` gives them, or the same values in quotes."""
    bare = [setting.strip() for setting in settings]
    return " ".join(setting if _is_one(setting) else _quoted(setting) for setting in bare)


def quote_toml(text: str) -> str:
    """Return a text as a TOML string of one line."""
    return '"' + "".join(f"\\{c}" if c in '"\\' else c if c.isprintable() else f"\\U{ord(c):08x}" for c in text) + '"'


def _end_of_value(text: str, equals: int) -> int:
    """Return where a quoted or bracketed value ends; where it may begin for a bare word, or none."""
    if _NEXT.match(text, equals):
        return equals
    blanks = _BLANKS.match(text, equals)
    depth, start = 0, blanks.end() if blanks else equals
    position = start
    while position < len(text):
        if string := _STRING.match(text, position):
            position = string.end()
        elif text[position] in "\"'":
            break
        else:
            depth += (text[position] in _OPENING) - (text[position] in _CLOSING)
            position += 1
        if not depth:
            return position if text[start] in f"\"'{_OPENING}" else start
    if start < len(text):
        raise InputError(f"SET: {text!r} has a quote or bracket that is not closed")
    return start


def _is_one(setting: str) -> bool:
    try:
        # A quote in a bare word, closed or not, might end in the next setting.
        return split_settings(setting) == [setting] and not (_has_quote(setting) and is_bare(setting.partition("=")[2]))
    except InputError:
        return False


def _has_quote(text: str) -> bool:
    return '"' in text or "'" in text


def is_bare(text: str) -> bool:
    """Return whether the text of a value is not TOML, and so a bare word."""
    try:
        tomllib.loads(f"value = {text.strip()}")
    except (ValueError, RecursionError):  # the latter for 1,000 brackets
        return True
    return False


def _quoted(setting: str) -> str:
    name, _, value = setting.partition("=")
    return f"{name.strip()}={quote_toml(value.strip())}"
