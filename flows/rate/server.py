"""Serve the raters' page on loopback: items, pictures and answers.

It only answers its own host name and origin, like `make ui`. Captions and pictures come from the web: captions are
inserted as text, and pictures are re-encoded.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flows.deploy.guard import own_hosts
from flows.rate.labels import Judgement, append, checked_rater, read
from flows.rate.questions import Task
from flows.rate.sample import Drawn, Item, Location
from stages.contract import InputError
from stages.images.not_decoded import NotDecoded

HOST = "127.0.0.1"
_PAGE = Path(__file__).parent / "page"
_STATIC = {
    "/": ("index.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}
_LONGEST_PX = 1_024  # longest side of a shown picture
_MAX_BODY = 10_000  # bytes of a request
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Desk:
    """The served task: its items, the file of answers, and the reader of pictures."""

    task: Task
    drawn: Drawn
    labels: Path
    read_bytes: Callable[[Location], bytes]


class Refused(Exception):
    """A rejected request, answered with a status and a sentence."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class RatingServer(ThreadingHTTPServer):
    """The server of one desk; each request has a thread, and appends are serialised."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, desk: Desk, port: int) -> None:
        self.desk = desk
        self.picture = lru_cache(maxsize=32)(self._picture)
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise InputError(f"port {port} cannot be used ({error.strerror}): name another one with PORT=…") from error

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print the traceback of an error, unless the browser disconnected before its answer."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{HOST}:{self.server_address[1]}/"

    def described(self) -> Mapping[str, Any]:
        """Return the task for the page, without strata and decisions, which raters must not see."""
        task = self.desk.task
        questions = [
            {"name": q.name, "text": q.text, "choices": [vars(choice) for choice in q.choices]} for q in task.questions
        ]
        return {
            "title": task.title, "advice": task.advice, "questions": questions, "n": len(self.desk.drawn.items),
        }  # fmt: skip

    def progress(self, rater: str) -> Mapping[str, Any]:
        """Return the numbers of the items that a rater has judged."""
        known, _ = read(self.desk.labels)
        return {"done": [n for n, item in enumerate(self.desk.drawn.items) if (rater, item.item) in known]}

    def item(self, number: int, rater: str) -> Mapping[str, Any]:
        """Return an item for the page, with the rater's own answers so far."""
        item = self._item(number)
        known, _ = read(self.desk.labels)
        before = known.get((rater, item.item))
        return {
            "number": number, "text": item.text, "answers": before.answers if before else {},
            "pictures": [place is not None for place in item.pictures],
        }  # fmt: skip

    def judge(self, number: int, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Store a rater's answers to an item."""
        item, answers = self._item(number), body.get("answers")
        rater = checked_rater(str(body.get("rater", "")))
        questions = self.desk.task.questions
        if not isinstance(answers, dict) or set(answers) != {question.name for question in questions}:
            raise InputError(f"expected an answer to each of {', '.join(question.name for question in questions)}")
        for question in questions:
            if answers[question.name] not in question.values:
                raise InputError(f"{question.name}: expected one of {', '.join(question.values)}")
        shown = (item.item, rater, answers, item.sample_id, item.other_id, item.stratum, item.decision, item.facts)
        append(self.desk.labels, Judgement(*shown))
        return {"stored": number}

    def _item(self, number: int) -> Item:
        if not 0 <= number < len(self.desk.drawn.items):
            raise Refused(HTTPStatus.NOT_FOUND, f"no item {number}: there are {len(self.desk.drawn.items)}")
        return self.desk.drawn.items[number]

    def _picture(self, number: int, which: int) -> bytes:
        from stages.images.rgb import open_rgb

        pictures = self._item(number).pictures
        place = pictures[which] if 0 <= which < len(pictures) else None
        if place is None:
            raise Refused(HTTPStatus.NOT_FOUND, "this item has no such picture")
        packed = io.BytesIO()
        open_rgb(self.desk.read_bytes(place), place.image_format, _LONGEST_PX).save(packed, "PNG", compress_level=1)
        return packed.getvalue()


class _Handler(BaseHTTPRequestHandler):
    server: RatingServer
    timeout = 60

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def _get(self, path: str, query: Mapping[str, list[str]]) -> tuple[str, bytes]:
        if path in _STATIC:
            name, kind = _STATIC[path]
            return f"{kind}; charset=utf-8", (_PAGE / name).read_bytes()
        words = path.strip("/").split("/")
        match words:
            case ["api", "task"]:
                return _json(self.server.described())
            case ["api", "progress"]:
                return _json(self.server.progress(checked_rater(_first(query, "rater"))))
            case ["api", "items", number]:
                return _json(self.server.item(_number(number), checked_rater(_first(query, "rater"))))
            case ["pictures", number, which]:
                return "image/png", self.server.picture(_number(number), _number(which))
        raise Refused(HTTPStatus.NOT_FOUND, "no such page")

    def _post(self, path: str, query: Mapping[str, list[str]]) -> tuple[str, bytes]:
        words = path.strip("/").split("/")
        if len(words) != 3 or words[:2] != ["api", "items"]:
            raise Refused(HTTPStatus.NOT_FOUND, "no such page")
        # A foreign page's form cannot have this type: the browser would send a preflight request, which is rejected.
        if self.headers.get_content_type() != "application/json":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected application/json")
        n_bytes = _number(self.headers.get("Content-Length") or "0")
        if n_bytes > _MAX_BODY:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {_MAX_BODY} bytes")
        try:
            body = json.loads(self.rfile.read(n_bytes))
        except ValueError as error:
            raise InputError("the body is not JSON") from error
        if not isinstance(body, dict):
            raise InputError("the body is not an object")
        return _json(self.server.judge(_number(words[2]), body))

    def _answer(self, respond: Callable[[str, Mapping[str, list[str]]], tuple[str, bytes]]) -> None:
        try:
            self._check_origin()
            asked = urlsplit(self.path)
            kind, data = respond(asked.path, parse_qs(asked.query))
            status = HTTPStatus.OK
        except Refused as refusal:
            kind, data, status = "text/plain; charset=utf-8", str(refusal).encode(), refusal.status
        except InputError as error:
            kind, data, status = "text/plain; charset=utf-8", str(error).encode(), HTTPStatus.BAD_REQUEST
        except NotDecoded as error:
            kind, data, status = "text/plain; charset=utf-8", str(error).encode(), HTTPStatus.UNPROCESSABLE_ENTITY
        self.send_response(status)
        for name, value in (*_HEADERS.items(), ("Content-Type", kind), ("Content-Length", str(len(data)))):
            self.send_header(name, value)
        if status != HTTPStatus.OK:
            self.send_header("Connection", "close")  # unread bytes of this request must not be taken for the next one
        self.end_headers()
        self.wfile.write(data)

    def _check_origin(self) -> None:
        hosts = own_hosts(self.server.server_address[1])
        said = [value.lower() for value in self.headers.get_all("Host") or ()]
        origins = [value.lower() for value in self.headers.get_all("Origin") or ()]
        is_ours = (
            len(said) == 1 and said[0] in hosts and all(origin in {f"http://{h}" for h in hosts} for origin in origins)
        )
        is_page = self.command == "GET" and urlsplit(self.path).path == "/"
        is_foreign = self.headers.get("Sec-Fetch-Site", "") in ("cross-site", "same-site")
        if not is_ours or (is_foreign and not is_page):
            raise Refused(HTTPStatus.FORBIDDEN, "this server answers its own host name and origin alone")

    def log_message(self, *words: object) -> None:
        return


def _json(value: Mapping[str, Any]) -> tuple[str, bytes]:
    return "application/json; charset=utf-8", json.dumps(value).encode()


def _first(query: Mapping[str, list[str]], name: str) -> str:
    return query.get(name, [""])[0]


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Refused(HTTPStatus.NOT_FOUND, f"{text[:20]!r} is not a number")
    return int(text)
