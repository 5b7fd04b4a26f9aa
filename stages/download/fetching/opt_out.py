"""Obey X-Robots-Tag headers that forbid our use. Not for robots.txt, nor for tags inside pages or images."""

from collections.abc import Iterable, Iterator

from stages.download.fetching.faults import Refused

# For the training of models; DeviantArt's noai and noimageai, and noml as Bing and others read it.
_OPT_OUTS = frozenset({"noai", "noimageai", "noml"})
# Directives with a value after a colon: the word before that colon is not a robot's name.
_VALUED = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_UNINDEXED = frozenset({"noindex", "noimageindex", "none"})  # none: noindex and nofollow
# With a colon too these are directives ("noai: true"), not robots' names.
_DIRECTIVES = _OPT_OUTS | _UNINDEXED | {"all", "nofollow", "noarchive", "nosnippet", "notranslate", "indexifembedded"}


def refuse_opt_outs(headers: Iterable[str], token: str) -> None:
    """Refuse an image whose server opts out for everybody, or for us by name.

    Args:
        headers: the values of all X-Robots-Tag headers of an answer.
        token: our name, in lower case: the user agent before its "/".

    Raises:
        Refused: opted_out or disallowed_by_header.
    """
    found = {directive for value in headers for robot, directive in _directives(value) if robot in ("", "*", token)}
    for reason, forbidden in (("opted_out", _OPT_OUTS), ("disallowed_by_header", _UNINDEXED)):
        if found & forbidden:
            raise Refused(reason, f"X-Robots-Tag: {', '.join(sorted(found & forbidden))}")


def _directives(value: str) -> Iterator[tuple[str, str]]:
    """Yield (robot, directive) in lower case; a robot's name holds until the next one, "" is everybody."""
    robot = ""
    for piece in value.lower().split(","):
        name, colon, rest = (text.strip() for text in piece.partition(":"))
        if colon and _is_robot(name):
            robot, name = name.partition("/")[0].rstrip(), rest
        # Some servers write blanks or semicolons for commas.
        for directive in name.replace(";", " ").split():
            yield robot, directive


def _is_robot(name: str) -> bool:
    """Return whether the text before a colon is a robot's name: no directive, and no hour behind a date's comma."""
    return name not in _VALUED | _DIRECTIVES and not name.rpartition(" ")[2].isdigit()
