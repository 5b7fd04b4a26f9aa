"""Parse a URL into scheme, host, port and path, or refuse it. Not for name look-up."""

import re
import string
from dataclasses import dataclass
from urllib.parse import quote, urljoin

from stages.download.fetching.faults import Refused
from stages.plan.urls import UrlFault, clean_url_text, host_of, normalise_url

MAX_URL_CHARS = 8_192
DEFAULT_PORT = {"http": 80, "https": 443}

# Services that speak lines of text or carry no password: an image is never there, and a request could do harm.
_BLOCKED_PORTS = frozenset(
    {0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109}
    | {110, 111, 113, 115, 117, 119, 123, 135, 137, 138, 139, 143, 161, 162, 179, 389, 427, 445, 465, 512, 513, 514}
    | {515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 873, 989, 990, 993, 995, 1433, 1521, 1719}
    | {1720, 1723, 2049, 2375, 2376, 2379, 2380, 3306, 3389, 3659, 4045, 4190, 5060, 5061, 5432, 5900, 5984, 6000}
    | {6379, 6566, 6665, 6666, 6667, 6668, 6669, 6697, 9042, 9200, 9300, 10080, 10250, 11211, 27017}
)
_BLANKS = " \t\r\n\f"
# Scheme and host of a Location, if it has them; the rest is path, query and fragment.
_LOCATION = re.compile(r"((?:[A-Za-z][A-Za-z0-9+.-]*:)?[/\\]{2}[^/\\?#]*)?(.*)", re.DOTALL)
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PLACE_AND_TAIL = re.compile(r"([^?#]*)(.*)", re.DOTALL)


@dataclass(frozen=True)
class Target:
    """Scheme, host, port and path of one request; every part is ASCII without spaces or control characters."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORT[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL in its one spelling: loops are found by it."""
        return f"{self.scheme}://{self.authority}{self.path}"


def parse_target(url: str, *, reason: str) -> Target:
    """Return the request for a URL.

    Args:
        url: as published or as a server redirected; its fragment is dropped.
        reason: the reject reason of a URL that cannot be requested.

    Raises:
        Refused: not http(s), no host, userinfo, a blocked port, or too long.
    """
    if len(url) > MAX_URL_CHARS:
        raise Refused(reason, f"URL of {len(url)} characters, allowed are {MAX_URL_CHARS}")
    try:
        normalised = normalise_url(url)
    except UrlFault as fault:
        raise Refused(reason, fault.detail) from None
    scheme, _, rest = normalised.partition("://")
    authority = host_of(normalised)
    host, _, port_text = authority.rpartition(":") if re.search(r":\d+$", authority) else (authority, "", "")
    port = int(port_text) if port_text else DEFAULT_PORT[scheme]
    if port in _BLOCKED_PORTS:
        raise Refused(reason, f"port {port} is blocked")
    # One name with and without its final dot: certificates and virtual hosts know it without.
    return Target(scheme, host.strip("[]").removesuffix("."), port, rest[len(authority) :])


def redirect_url(target: Target, location: str) -> str:
    """Return the absolute URL a Location header names.

    Args:
        target: the request that was answered.
        location: as http.client gives it: bytes read as Latin-1, so that escaping as Latin-1 keeps the bytes.

    Raises:
        Refused: the header is not a URL.
    """
    text = location.strip(_BLANKS)
    raw = text.encode("iso-8859-1", "replace")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        # Browsers read such a host as Latin-1 and send the bytes of such a path as they are.
        host, path = _LOCATION.fullmatch(text).groups(default="")  # type: ignore[union-attr]
        text = host + quote(path, safe=string.punctuation + _BLANKS, encoding="iso-8859-1", errors="replace")
    try:
        place, tail = _PLACE_AND_TAIL.fullmatch(clean_url_text(text)).groups()  # type: ignore[union-attr]
        place = place.replace("\\", "/")
        # urljoin drops an empty query, and takes "http:///x" for a path of the same host.
        if _ABSOLUTE.match(place):
            return str(place + tail)
        here = target.url.partition("?")[0] if tail.startswith("?") else target.url
        return urljoin(target.url, place) + tail if place else here + tail
    except UrlFault as fault:
        raise Refused("bad_redirect", f"bad Location: {fault.detail}") from None
    except ValueError as error:
        raise Refused("bad_redirect", f"bad Location: {error}") from None
