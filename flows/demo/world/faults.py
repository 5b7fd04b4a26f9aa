"""The answers of the generated world's URLs in each download pass, and the files and redirects behind them.

Not for deciding which row names which URL (flows/demo/world/plan.py).
"""

from collections.abc import Sequence

from flows.demo.world.damage import plain_jpeg
from flows.demo.world.server import Answer

# The n-th answer is for pass n, the last one for all later passes. "file" and "location" are filled in later.
FILE: Answer = {"kind": "file", "type": "image/jpeg"}
_CUT: Answer = {"kind": "cut", "type": "image/jpeg"}
_LARGE: Answer = {"kind": "padded", "type": "image/jpeg", "n_bytes": 12_000_000, "is_announced": True}


def _status(number: int) -> Answer:
    return {"kind": "status", "status": number}


def _redirect(location: str, status: int = 302) -> Answer:
    return {"kind": "redirect", "status": status, "location": location}


def _robots(value: str) -> Answer:
    return {**FILE, "headers": {"X-Robots-Tag": value}}


FAILING: dict[str, tuple[tuple[Answer, ...], ...]] = {
    # After a final reason, a later pass must not request the URL again, although it would now succeed.
    "http_not_found": ((_status(404),), (_status(410),), (_status(404), FILE), (_status(503), _status(404))),
    "http_forbidden": ((_status(403),), (_status(403),), (_status(401),), (_status(451),)),
    "http_client_error": ((_status(400),), (_status(405),), (_status(418),)),
    "http_throttled": ((_status(429),),),
    "http_server_error": ((_status(503),), (_status(500),), (_status(502),)),
    "timeout": (({"kind": "hang"},), ({"kind": "drip", "type": "image/jpeg", "file": ""},)),
    "connection_failed": (({"kind": "close"},), ({"kind": "reset"},)),
    "truncated_body": ((_CUT,),),
    "private_address": (
        (_redirect("http://10.1.2.3/x.jpg"),),
        (_redirect("http://169.254.169.254/latest", 301),),
    ),
    "bad_redirect": (
        (_redirect("{self}", 301),),
        (_redirect("file:///etc/passwd"),),
        (_redirect("{hop29}"),),
        (_redirect("ftp://127.0.0.1/x.jpg", 307),),
    ),
    "opted_out": (
        (_robots("noai"),), (_robots("noimageai"),), (_robots("NoAI, nofollow"),), (_robots("noindex, noai"),),
    ),
    "body_too_large": ((_LARGE,), ({**_LARGE, "is_announced": False},)),
    "invalid_response": (({"kind": "raw", "text": "SSH-2.0-OpenSSH_9.6\r\n"},),),
}  # fmt: skip
PUBLISHED_PRIVATE = ("http://192.168.7.7/a.jpg", "http://10.0.0.5:8080/{n}.jpg", "http://[fd00::7]/{n}.jpg")
# Ways of delivering a valid image; the first is by far the most frequent.
DELIVERIES: tuple[tuple[Answer, ...], ...] = (
    (FILE,),
    (_status(503), FILE),
    (_redirect("http://127.0.0.2:{port}{image}", 301),),
    (_status(429), FILE),
    (_redirect("{image}", 302),),
    (_CUT, FILE),
    (_redirect("http://127.0.0.3:{port}{chain}", 302),),
    ({"kind": "reset"}, FILE),
    (FILE, _status(404)),
    (_robots("nofollow"),),
    (_robots("otherbot: noai"),),
    ({**FILE, "type": "application/octet-stream"},),
    (_redirect("http://127.0.0.1:{port}{image}", 308),),
)
NOT_A_URL = ("hello world", "http://", "http:///x.jpg", "https://", "photo-{n}.jpg", "http://[::x/{n}.jpg")
UNSUPPORTED = (
    "ftp://127.0.0.1/{n}.jpg", "file:///etc/passwd", "data:image/gif;base64,R0lGODlhAQABAAAAACw=", "FTP://127.0.0.2/x",
)  # fmt: skip
_TYPES = {"jpg": "jpeg", "tif": "tiff"}


class Web:
    """The URL paths of a world and the files they serve."""

    def __init__(self, seed: int, port: int) -> None:
        self.routes: dict[str, list[Answer]] = {}
        self.files: dict[str, bytes] = {}
        self._seed, self._port = seed, port
        self._n = 0

    def next_number(self) -> int:
        """Return the next unused number for a URL."""
        self._n += 1
        return self._n

    def path(self, url: str) -> str:
        """Return the path and query of a URL of this world, as in an HTTP request."""
        return url.split(f":{self._port}", 1)[1]

    def route(self, url: str, answers: Sequence[Answer], name: str | None) -> None:
        """Add the answers of a URL, with the named file; without a name, with a picture that must not be published."""
        path = self.path(url)
        if name is None and any(answer["kind"] in ("file", "cut", "padded", "drip") for answer in answers):
            name = f"unwanted{path}"
            self.files[name] = plain_jpeg(self._seed, self.next_number())
        self.routes[path] = [self._filled(answer, path, name) for answer in answers]

    def _filled(self, answer: Answer, path: str, name: str | None) -> Answer:
        if answer["kind"] in ("file", "cut", "padded", "drip"):
            extension = str(name).rsplit(".", 1)[-1]
            is_plain = answer.get("type", "image/jpeg") == "image/jpeg"
            content_type = f"image/{_TYPES.get(extension, extension)}" if is_plain else answer["type"]
            return {**answer, "file": name, "type": content_type}
        if answer["kind"] != "redirect":
            return answer
        location = answer["location"].replace("{port}", str(self._port)).replace("{self}", path)
        if "{image}" in location:
            location = location.replace("{image}", self._target(name))
        if "{chain}" in location:
            location = location.replace("{chain}", self._chain(2, self._target(name)))
        if "{hop29}" in location:  # a longer chain than a client should follow
            location = location.replace("{hop29}", self._chain(29, self._target(None)))
        return {**answer, "location": location}

    def _target(self, name: str | None) -> str:
        """Return the path of a new redirect target, which no row names."""
        goal = f"/moved/{self.next_number():05d}.jpg"
        self.route(f"http://127.0.0.1:{self._port}{goal}", (FILE,), name)
        return goal

    def _chain(self, n_hops: int, goal: str) -> str:
        """Return the first path of a chain of n_hops redirects to the goal."""
        for _ in range(n_hops - 1):
            hop = f"/hop/{self.next_number():05d}"
            self.routes[hop] = [_redirect(goal, 301)]
            goal = hop
        return goal
