import http.client
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from flows.rate.labels import read
from flows.rate.server import Desk, RatingServer
from stages.contract import InputError
from tests.unit.flows.rate.desks import HOSTILE, OUTLIERS, drawn, png, served

GOOD = {"relevance": "5", "hallucination": "unsure", "fluency": "1"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RatingServer]:
    with served(tmp_path / "ratings" / "rating.jsonl") as running:
        yield running


def ask(server: RatingServer, path: str, body: Any = None, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=120)
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    if data is not None:
        said = {"Content-Type": "application/json"} | said
    connection.request("GET" if data is None else "POST", path, data, said)
    answer = connection.getresponse()
    found = answer.status, answer.read(), dict(answer.getheaders())
    connection.close()
    return found


def test_it_listens_only_on_loopback(server: RatingServer) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_the_page_may_load_nothing_from_elsewhere_and_run_no_inline_script(server: RatingServer) -> None:
    status, page, headers = ask(server, "/")
    assert status == 200 and b"http" not in page.replace(b"http-equiv", b"") and b"<script src=" in page
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in headers["Content-Security-Policy"] and headers["X-Content-Type-Options"] == "nosniff"
    assert ask(server, "/page.js")[2]["Content-Type"].startswith("text/javascript")


def test_a_judgement_is_stored_at_once_and_only_shown_to_its_rater(server: RatingServer) -> None:
    assert ask(server, "/api/items/1", {"rater": " Ann  B. ", "answers": GOOD})[0] == 200
    known, _ = read(server.desk.labels)
    judgement = known["Ann B.", "cc3m_0_1"]
    assert judgement.answers == GOOD and judgement.stratum == "cc3m" and judgement.facts == {"score": 1}
    assert json.loads(ask(server, "/api/progress?rater=Ann%20B.")[1]) == {"done": [1]}
    assert json.loads(ask(server, "/api/progress?rater=Bea")[1]) == {"done": []}
    assert json.loads(ask(server, "/api/items/1?rater=Ann%20B.")[1])["answers"] == GOOD
    assert json.loads(ask(server, "/api/items/1?rater=Bea")[1])["answers"] == {}


def test_an_answer_can_be_changed_and_both_lines_are_kept(server: RatingServer) -> None:
    for level in "23":
        ask(server, "/api/items/0", {"rater": "Ann", "answers": GOOD | {"fluency": level}})
    assert server.desk.labels.read_text().count("\n") == 2
    assert read(server.desk.labels)[0]["Ann", "cc3m_0_0"].answers["fluency"] == "3"


def test_concurrent_raters_lose_no_answers(server: RatingServer) -> None:
    def judge(n: int) -> int:
        return ask(server, f"/api/items/{n % 3}", {"rater": f"rater {n}", "answers": GOOD})[0]

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(judge, range(60))) == {200}
    known, n_unreadable = read(server.desk.labels)
    assert len(known) == 60 and n_unreadable == 0


def test_any_caption_is_sent_as_json(server: RatingServer) -> None:
    for n, text in enumerate(HOSTILE):
        _, data, headers = ask(server, f"/api/items/{n}?rater=Ann")
        assert headers["Content-Type"].startswith("application/json") and json.loads(data)["text"] == text


def test_raters_see_neither_stratum_nor_decision(server: RatingServer) -> None:
    shown = ask(server, "/api/task")[1] + ask(server, "/api/items/0?rater=Ann")[1]
    assert b"kept" not in shown and b"cc3m" not in shown and b"score" not in shown


def test_a_picture_is_re_encoded_and_at_most_1024_pixels_long(server: RatingServer) -> None:
    status, data, headers = ask(server, "/pictures/0/0")
    picture = Image.open(io.BytesIO(data))
    assert (status, headers["Content-Type"], picture.format, max(picture.size)) == (200, "image/png", "PNG", 1024)


def test_a_missing_or_undecodable_picture_is_reported(tmp_path: Path) -> None:
    with served(tmp_path / "a.jsonl", OUTLIERS, drawn(pictures=(None,))) as server:
        assert ask(server, "/pictures/0/0")[0] == 404
        assert json.loads(ask(server, "/api/items/0?rater=Ann")[1])["pictures"] == [False]
    desk = Desk(OUTLIERS, drawn(), tmp_path / "b.jsonl", lambda place: png()[:-300] if place else b"")
    with served(tmp_path / "b.jsonl", OUTLIERS) as server:
        server.desk = desk
        assert ask(server, "/pictures/0/0")[0] == 422


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.example:80"},
        {"Host": "127.0.0.1"},
        {"Origin": "http://elsewhere.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/api/task", "/pictures/0/0", "/api/items/0"])
def test_other_hosts_and_origins_are_refused(server: RatingServer, path: str, headers: dict[str, str]) -> None:
    body = {"rater": "Ann", "answers": GOOD} if path == "/api/items/0" else None
    assert ask(server, path, body, **headers)[0] == 403
    assert not server.desk.labels.exists()


def test_the_own_origin_and_links_from_elsewhere_are_answered(server: RatingServer) -> None:
    own = f"http://127.0.0.1:{server.server_address[1]}"
    assert (
        ask(server, "/api/items/0", {"rater": "A", "answers": GOOD}, Origin=own, Sec_Fetch_Site="same-origin")[0] == 200
    )
    assert ask(server, "/", Sec_Fetch_Site="cross-site")[0] == 200
    assert ask(server, "/", Host=f"localhost:{server.server_address[1]}")[0] == 200


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/api/items/0", {"rater": "Ann", "answers": {"relevance": "5"}}, {}, 400),
        ("/api/items/0", {"rater": "Ann", "answers": GOOD | {"fluency": "6"}}, {}, 400),
        ("/api/items/0", {"rater": "Ann", "answers": GOOD | {"fluency": ["5"]}}, {}, 400),
        ("/api/items/0", {"rater": " ", "answers": GOOD}, {}, 400),
        ("/api/items/0", {"rater": "x" * 41, "answers": GOOD}, {}, 400),
        ("/api/items/0", {"rater": "a\x1b[31m", "answers": GOOD}, {}, 400),
        ("/api/items/0", b"{not json", {}, 400),
        ("/api/items/0", b"[]", {}, 400),
        ("/api/items/0", b"\xff\xfe", {}, 400),
        ("/api/items/0", {"rater": "Ann", "answers": GOOD}, {"Content_Type": "text/plain"}, 415),
        ("/api/items/0", {"rater": "Ann", "more": "x" * 20_000}, {}, 413),
        ("/api/items/3", {"rater": "Ann", "answers": GOOD}, {}, 404),
        ("/api/items/-1", {"rater": "Ann", "answers": GOOD}, {}, 404),
        ("/api/items/0", None, {}, 400),
        ("/pictures/0/9", None, {}, 404),
        ("/../../etc/passwd", None, {}, 404),
        ("/page.js/../index.html", None, {}, 404),
    ],
)
def test_wrong_requests_are_refused_with_a_sentence(
    server: RatingServer, path: str, body: Any, headers: dict[str, str], status: int
) -> None:
    found, text, _ = ask(server, path, body, **headers)
    assert (found, bool(text.strip())) == (status, True)
    assert not server.desk.labels.exists()


def test_a_port_in_use_is_reported(server: RatingServer) -> None:
    with pytest.raises(InputError, match=r"port \d+ cannot be used .*PORT="):
        RatingServer(server.desk, server.server_address[1])
