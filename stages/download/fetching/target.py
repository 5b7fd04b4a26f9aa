"""What a URL asks us to connect to: scheme, host, port and path, or a refusal. Not for name look-up."""

import ipaddress
import re
import string
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from stages.download.fetching.faults import Refused

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
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,62})")


@dataclass(frozen=True)
class Target:
    """One request: where to and for what; every part is ASCII without spaces or control characters."""

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
    """Return what the URL asks for.

    Args:
        url: as published or as a server redirected; its fragment is dropped.
        reason: the reject reason of a URL that cannot be asked for.

    Raises:
        Refused: not http(s), no host, userinfo, a blocked port, or too long.
    """
    if len(url) > MAX_URL_CHARS:
        raise Refused(reason, f"URL of {len(url)} characters, allowed are {MAX_URL_CHARS}")
    try:
        parts = urlsplit(url.strip())
        scheme, port = parts.scheme, parts.port
    except ValueError as error:
        raise Refused(reason, f"bad URL: {error}") from None
    if scheme not in DEFAULT_PORT:
        raise Refused(reason, f"scheme is {scheme!r}, not http or https")
    if "@" in parts.netloc:
        raise Refused(reason, "URL with user name or password")
    port = DEFAULT_PORT[scheme] if port is None else port
    if port in _BLOCKED_PORTS:
        raise Refused(reason, f"port {port} is blocked")
    # Only spaces, control and non-ASCII characters are escaped: what is published escaped stays as it is.
    path = quote(parts.path or "/", safe=string.punctuation)
    query = f"?{quote(parts.query, safe=string.punctuation)}" if parts.query else ""
    return Target(scheme, _check_host(parts.hostname or "", reason), port, path + query)


def redirect_url(target: Target, location: str) -> str:
    """Return the absolute URL a Location header names.

    Args:
        target: the request that was answered.
        location: as http.client gives it: bytes read as Latin-1, so that escaping as Latin-1 keeps the bytes.

    Raises:
        Refused: the header is not a URL.
    """
    try:
        return urljoin(target.url, quote(location.strip(), safe=string.punctuation, encoding="iso-8859-1"))
    except ValueError as error:
        raise Refused("bad_redirect", f"bad Location: {error}") from None


def _check_host(host: str, reason: str) -> str:
    """Return the host in ASCII: an address, or a name of well-formed labels."""
    if ":" in host:
        try:
            return str(ipaddress.IPv6Address(host))
        except ValueError:
            raise Refused(reason, f"bad host {host!r}") from None
    try:
        name = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        raise Refused(reason, f"bad host {host!r}") from None
    name = name.removesuffix(".").lower()
    if not name or len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise Refused(reason, f"bad host {host!r}")
    return name
