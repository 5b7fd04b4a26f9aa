"""Convert host names to the ASCII form that browsers request (URL Standard, UTS 46 without transitional processing).

Whether a host may be contacted is checked at download, by its addresses.
"""

import functools
import ipaddress
import re
import unicodedata
from urllib.parse import unquote_to_bytes

import idna

_MAX_HOST_CHARACTERS = 253
_MAX_LABEL_CHARACTERS = 63
# Browsers allow a few more ASCII characters; no name server has such names.
_LABEL = re.compile(r"[a-z0-9_-]+")
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")
_JOINERS = "\u200c\u200d"
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})


@functools.lru_cache(maxsize=10_000)  # neighbours in a list, and the URLs of a download partition, share few hosts
def ascii_host(host: str) -> str:
    """Return the host of an http URL in ASCII: a name in lower case, a dotted IPv4 or a bracketed IPv6 address.

    Escapes are decoded first. Letters beyond ASCII become `xn--` labels by UTS 46 (straße and strasse are two hosts).
    A host whose last label is a number is an IPv4 address in any of its spellings. A trailing dot stays.

    Raises:
        ValueError: browsers or the domain name system reject the host, for the reason in the text.
    """
    if host.startswith("[") and host.endswith("]"):
        return f"[{ipaddress.IPv6Address(_without_zone(host[1:-1]))}]"
    name = _unescaped(host)
    _check_length(name)  # before the mapping, which takes time by length
    try:
        # idna also maps the other full stops (U+3002 and others) to ".".
        name = idna.uts46_remap(name, std3_rules=False)
        labels = name.removesuffix(".").split(".")
        is_right_to_left = not name.isascii() and any(unicodedata.bidirectional(c) in _RIGHT_TO_LEFT for c in name)
        labels = [_ascii_label(label, is_right_to_left) for label in labels]
    except UnicodeError as error:  # idna's errors are UnicodeErrors
        raise ValueError(str(error)) from None
    if _NUMBER.fullmatch(labels[-1]):
        return _ipv4(labels)
    _check_length(".".join(labels))
    return ".".join(labels) + ("." if name.endswith(".") else "")


def _check_length(name: str) -> None:
    if not name:
        raise ValueError("no host")
    if len(name.removesuffix(".")) > _MAX_HOST_CHARACTERS:
        raise ValueError(f"{len(name)} characters, allowed are {_MAX_HOST_CHARACTERS}")


def _without_zone(address: str) -> str:
    if "%" in address:
        raise ValueError("an IPv6 zone is valid only on one machine")
    return address


def _unescaped(host: str) -> str:
    if "%" not in host:
        return host
    try:
        return unquote_to_bytes(host).decode()
    except UnicodeDecodeError:
        raise ValueError("escapes that are not UTF-8") from None


def _ascii_label(label: str, is_right_to_left: bool) -> str:
    """Return a label in ASCII.

    Raises:
        ValueError: the label is empty, too long, or has characters that host names may not have.
    """
    encoded = label
    if not label.isascii():
        _check_letters(label, is_right_to_left)
        encoded = "xn--" + label.encode("punycode").decode("ascii")
    elif label.startswith("xn--"):
        _check_letters(_decoded(label), is_right_to_left)
    if not _LABEL.fullmatch(encoded):
        raise ValueError("a label is empty or holds a character that is not allowed")
    if len(encoded) > _MAX_LABEL_CHARACTERS:
        raise ValueError(f"a label of {len(encoded)} characters, allowed are {_MAX_LABEL_CHARACTERS}")
    return encoded


def _decoded(label: str) -> str:
    """Return the letters of an `xn--` label; refuse letters that the mapping would change."""
    if len(label) > _MAX_LABEL_CHARACTERS:
        raise ValueError(f"a label of {len(label)} characters, allowed are {_MAX_LABEL_CHARACTERS}")
    letters = label.removeprefix("xn--").encode().decode("punycode")
    if letters.isascii() or "." in letters or idna.uts46_remap(letters, std3_rules=False) != letters:
        raise ValueError(f"{label} does not encode a host name")
    return letters


def _check_letters(label: str, is_right_to_left: bool) -> None:
    """Refuse labels that UTS 46 forbids beyond its mapping: misplaced joiners, a leading mark, mixed directions."""
    if label.startswith("xn--"):
        raise ValueError("non-ASCII letters in an xn-- label")
    idna.core.check_initial_combiner(label)
    for position, char in enumerate(label):
        if char in _JOINERS and not idna.core.valid_contextj(label, position):
            raise ValueError("a joiner that joins no letters")
    if is_right_to_left or any(unicodedata.bidirectional(char) in _RIGHT_TO_LEFT for char in label):
        idna.core.check_bidi(label, check_ltr=True)


def _ipv4(labels: list[str]) -> str:
    """Return the address that up to four numbers spell: decimal, octal (0…) or hexadecimal (0x…).

    The last number fills the remaining bytes: 127.1 and 2130706433 are both 127.0.0.1.
    """
    if len(labels) > 4 or not all(_NUMBER.fullmatch(label) for label in labels):
        raise ValueError("not an IPv4 address, although its last label is a number")
    numbers = [_number(label) for label in labels]
    if any(number > 255 for number in numbers[:-1]) or numbers[-1] >= 256 ** (5 - len(numbers)):
        raise ValueError("a number too large for an IPv4 address")
    address = numbers[-1] + sum(number * 256 ** (3 - n) for n, number in enumerate(numbers[:-1]))
    return str(ipaddress.IPv4Address(address))


def _number(label: str) -> int:
    if label[:2] == "0x":
        return int(label[2:] or "0", 16)
    if label[0] == "0" and not set(label) <= set("01234567"):
        raise ValueError("an octal number with the digit 8 or 9")
    return int(label, 8 if len(label) > 1 and label[0] == "0" else 10)
