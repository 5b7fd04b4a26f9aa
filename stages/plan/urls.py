"""Normalise image URLs, to fetch equal addresses once.

Whether an address may be contacted is checked at download, when it is resolved.
"""

import hashlib
import re
from urllib.parse import quote

import pyarrow as pa

from schemas.reasons import DETAIL_MAX_CHARACTERS
from stages.plan.entities import decode_entities
from stages.plan.hosts import ascii_host
from stages.readers.rs5m_tars.located import parse_located

_PLAN_SCHEMA = pa.schema([(n, pa.string()) for n in ("normalised_url", "host", "fetch_id", "reason", "detail")])
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_DETAIL_CHARACTERS = 120
_MAX_LAYERS = 8

# URLs that need no change: lower-case host name, no port, no fragment, and only characters that stay.
_PLAIN = re.compile(r"https?://(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,8}[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
                    r"/[A-Za-z0-9/._~!$&()*+,;=:@%-]*(?:\?[A-Za-z0-9/._~!$&()*+,;=:@%?-]*)?")  # fmt: skip
_DOT = r"(?:\.|%2[Ee])"
_ODD = re.compile(rf"&[A-Za-z0-9]+;|xn--|/{_DOT}{{1,2}}(?:[/?]|$)")
_DOTS = re.compile(rf"{_DOT}{{1,2}}")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
_HOST_AND_PORT = re.compile(r"/?\d{1,5}(?:[/?#].*)?", re.DOTALL)
_NOT_WEB = frozenset({"about", "blob", "data", "file", "ftp", "ftps", "javascript", "mailto", "ws", "wss"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_STRIPPED = "".join(map(chr, [*range(0x21), *range(0x7F, 0xA1), 0xFEFF, 0x200B, 0x3000, 0x2028, 0x2029]))
# Browsers do not encode these (URL Standard, path and query percent-encode sets); "%" too, so escapes stay.
_PATH_SAFE = "%/!$&'()*+,;=:@|[]~\\"
_QUERY_SAFE = "%/?!$&()*+,;=:@|[]~\\^`{}"


class UrlFault(ValueError):
    """A published URL cannot be requested.

    Attributes:
        reason: not_a_url or unsupported_scheme.
        detail: the part of the URL at fault.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def normalise_url(url: str) -> str:
    """Return the normalised URL, in ASCII.

    Scheme and host are in lower case, the host in its ASCII form; default port and fragment are dropped; spaces and
    non-ASCII letters are percent-encoded as UTF-8. HTML entities are decoded, and segments of one or two dots resolved.
    Other escapes and the case of the path stay, because servers treat them differently. Unlike in browsers, two slashes
    must follow the scheme: with others the first part of a path would be taken for a host.

    Raises:
        UrlFault: it is not an http or https URL with a host.
    """
    if parse_located(url) is not None:  # in a released tar, so nothing is requested
        return url
    if _PLAIN.fullmatch(url) and len(url) < 250 and not _ODD.search(url):  # the host of a longer one may be too long
        return url
    text = clean_url_text(url)
    if control := _CONTROL.search(text):
        raise UrlFault("not_a_url", f"control character U+{ord(control[0]):04X}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UrlFault("not_a_url", "half of a surrogate pair") from None
    scheme, rest = _split_scheme(text)
    location, _, _ = rest.partition("#")
    location, question, query = location.partition("?")
    location = location.replace("\\", "/")  # as browsers do
    if not location.startswith("//"):
        raise UrlFault("not_a_url", f"no // after {scheme}: in {_shown(text)}")
    authority, _, path = location[2:].partition("/")
    host = _normalise_authority(authority, scheme)
    tail = question + quote(query, safe=_QUERY_SAFE) if query else question
    return f"{scheme}://{host}/{quote(_resolve_dots(path), safe=_PATH_SAFE)}{tail}"


def _resolve_dots(path: str) -> str:
    """Return a path, without its first slash, without segments of dots. Source: URL Standard, path state."""
    if not _DOTS.search(path):
        return path
    segments: list[str] = []
    is_open = False  # the last segment is one of dots, so that the path ends in a slash
    for segment in path.split("/"):
        if is_open := _DOTS.fullmatch(segment) is not None:
            if len(segment.lower().replace("%2e", ".")) == 2:
                del segments[-1:]
        else:
            segments.append(segment)
    return "/".join([*segments, ""] if is_open else segments)


def clean_url_text(text: str) -> str:
    """Return a URL with surrounding spaces, line breaks and HTML entities removed.

    Raises:
        UrlFault: entities are nested too often.
    """
    for _ in range(_MAX_LAYERS):
        # Browsers drop line breaks and tabs within a URL; other control characters are not allowed in one.
        bare = text.strip(_STRIPPED).replace("\t", "").replace("\n", "").replace("\r", "")
        try:
            decoded = decode_entities(bare)
        except ValueError as error:
            raise UrlFault("not_a_url", str(error)) from None
        if decoded == text:
            return text
        text = decoded
    raise UrlFault("not_a_url", f"line breaks and HTML entities nested more than {_MAX_LAYERS} times")


def _split_scheme(text: str) -> tuple[str, str]:
    found = _SCHEME.fullmatch(text)
    if found is None:
        raise UrlFault("not_a_url", f"no scheme in {_shown(text)}")
    scheme, rest = found[1].lower(), found[2]
    if scheme in _DEFAULT_PORTS:
        return scheme, rest
    # "localhost:8080/x.jpg" looks like a scheme but is a host with a port.
    if scheme not in _NOT_WEB and _HOST_AND_PORT.fullmatch(rest):
        raise UrlFault("not_a_url", f"no scheme in {_shown(text)}")
    raise UrlFault("unsupported_scheme", f"scheme {scheme[:40]}")


def _normalise_authority(authority: str, scheme: str) -> str:
    if "@" in authority:
        raise UrlFault("not_a_url", "user name or password in the URL")
    host, colon, port = authority.rpartition(":") if re.search(r":[^\]]*$", authority) else (authority, "", "")
    if colon and port:
        if not (port.isascii() and port.isdigit() and len(port) < 10 and 0 < int(port) < 65536):
            raise UrlFault("not_a_url", f"port {_shown(port)}; expected 1 to 65535")
        port = str(int(port))
    name = _normalise_host(host)
    return name if port in ("", _DEFAULT_PORTS[scheme]) else f"{name}:{port}"


def _normalise_host(host: str) -> str:
    try:
        return ascii_host(host)
    except ValueError as error:
        raise UrlFault("not_a_url", f"host {_shown(host)}: {error}"[:DETAIL_MAX_CHARACTERS]) from None


def _shown(text: str) -> str:
    return repr(text if len(text) <= _DETAIL_CHARACTERS else text[:_DETAIL_CHARACTERS] + "…")


def fetch_id(normalised: str) -> str:
    """Return the fetch_id of a normalised URL: the first 32 hex digits of its sha256."""
    return hashlib.sha256(normalised.encode()).hexdigest()[:32]


def host_of(normalised: str) -> str:
    """Return the host of a normalised URL, with a non-default port; for an image in a released tar, the tar."""
    if located := parse_located(normalised):
        return located.path
    return normalised.split("/", 3)[2]


def plan_urls(urls: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Return one row per URL: normalised_url, host and fetch_id, or reason and detail; the others are null."""
    rows: list[tuple[str | None, str | None, str | None, str | None, str | None]] = []
    for url in urls.to_pylist():
        try:
            normalised = normalise_url(url or "")
            rows.append((normalised, host_of(normalised), fetch_id(normalised), None, None))
        except UrlFault as fault:
            rows.append((None, None, None, fault.reason, fault.detail))
    columns = zip(*rows, strict=True) if rows else [()] * len(_PLAN_SCHEMA)
    return pa.table([pa.array(column, pa.string()) for column in columns], schema=_PLAN_SCHEMA)
