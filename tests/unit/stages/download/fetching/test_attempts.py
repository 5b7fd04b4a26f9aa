import dataclasses
import hashlib
import shutil
import socket
import subprocess
import sys
import tarfile
import urllib.request
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from schemas.reasons import REASON
from stages.download.fetching.answer import Note
from stages.download.fetching.attempts import Attempt, FetchLimits, attempt_of, fetch
from stages.download.fetching.slots import HostSlots
from stages.download.fetching.spool import Spool
from tests.stopwatch import Stopwatch, undisturbed
from tests.unit.stages.download.fetching.hostile_server import HostileServer, body_of, serve

# Longer than a machine may stand still; HASTY is for URLs that never answer.
LIMITS = FetchLimits(allow_loopback=True, timeout_s=120, max_fetch_s=120, max_bytes=100_000, n_threads=8)
HASTY = dataclasses.replace(LIMITS, timeout_s=0.8, max_fetch_s=1.2)


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with serve() as running:
        yield running
    urllib.request.install_opener(urllib.request.build_opener())


def with_ids(urls: list[str]) -> list[tuple[str, str]]:
    # Digests sort differently from URLs, so the tar's order is neither that of requests nor of arrival.
    return [(hashlib.md5(f"{n} {url!r}".encode()).hexdigest(), url) for n, url in enumerate(urls)]


def fetch_into(
    folder: Path, urls: list[tuple[str, str]], limits: FetchLimits = LIMITS, pass_number: int = 0
) -> list[Attempt]:
    tar, work = folder / "bodies.tar", folder / "work"
    attempts = fetch(urls, tar_path=tar, work=work, limits=limits, pass_number=pass_number)
    assert [attempt.fetch_id for attempt in attempts] == [fetch_id for fetch_id, _ in urls]
    assert list((folder / "work").iterdir()) == []
    for attempt in attempts:
        assert attempt.is_fetched == (attempt.reason is None) == (attempt.tar_offset is not None)
        assert attempt.reason is None or attempt.reason in REASON
    return attempts


def test_every_url_has_its_own_fate(server: HostileServer, tmp_path: Path) -> None:
    expected: dict[str, str | None] = {
        f"{server.url}/ok/1000": None,
        f"{server.url}/ok/0": None,
        f"{server.url}/redirect/2": None,
        f"{server.url}/ok/77#published-fragment": None,
        f"  {server.url}/ok/78  ": None,
        f"{server.url}/robots/googlebot=noindex": None,
        f"{server.url}/status/404": "http_not_found",
        f"{server.url}/status/429/Retry-After=600": "http_throttled",
        f"{server.url}/status/503": "http_server_error",
        f"{server.url}/hang-up": "connection_failed",
        f"{server.url}/announced/5000": "truncated_body",
        f"{server.url}/endless": "body_too_large",
        f"{server.url}/garbage": "invalid_response",
        f"{server.url}/to?file:///etc/passwd": "bad_redirect",
        f"{server.url}/robots/noai": "opted_out",
        f"{server.url}/robots/nofollow, NoIndex": "disallowed_by_header",
        f"{server.url}/robots/rs5m-rebuild=noimageai": "opted_out",
        "http://10.0.0.1/": "private_address",
        "file:///etc/passwd": "invalid_response",
        "no url": "invalid_response",
        "": "invalid_response",
        "http://": "invalid_response",
        "http://\ud800.test/": "invalid_response",
    }
    urls = with_ids(list(expected))
    attempts = fetch_into(tmp_path, urls)
    assert {url: attempt.reason for (_, url), attempt in zip(urls, attempts, strict=True)} == expected
    by_url = {url: attempt for (_, url), attempt in zip(urls, attempts, strict=True)}
    assert by_url[f"{server.url}/status/429/Retry-After=600"].retry_after_s == 600.0
    assert by_url[f"{server.url}/redirect/2"].final_url == f"{server.url}/ok/500"
    assert by_url[f"{server.url}/robots/noai"].http_status == 200
    assert by_url[f"{server.url}/ok/0"].n_bytes == 0
    assert "/ok/77" in server.paths


def test_a_url_that_does_not_end_times_out(server: HostileServer, tmp_path: Path) -> None:
    urls = with_ids([f"{server.url}/drip-body", "http://10.0.0.1/", f"{server.url}/silent", "no url"])
    reasons = [attempt.reason for attempt in fetch_into(tmp_path, urls, HASTY)]
    assert reasons == ["timeout", "private_address", "timeout", "invalid_response"]


def test_offsets_give_back_the_exact_bytes(server: HostileServer, tmp_path: Path) -> None:
    urls = with_ids([f"{server.url}/ok/{n_bytes}" for n_bytes in (0, 1, 511, 512, 513, 70_000)])
    data_of = {fetch_id: body_of(url.removeprefix(server.url)) for fetch_id, url in urls}
    attempts = fetch_into(tmp_path, urls)
    raw = (tmp_path / "bodies.tar").read_bytes()
    for attempt in attempts:
        assert attempt.tar_offset is not None
        assert attempt.n_bytes is not None
        data = raw[attempt.tar_offset : attempt.tar_offset + attempt.n_bytes]
        assert data == data_of[attempt.fetch_id]
        assert attempt.sha256 == hashlib.sha256(data).hexdigest()
    with tarfile.open(tmp_path / "bodies.tar") as tar:
        members = tar.getmembers()
    assert sorted(member.name for member in members) == sorted(data_of)
    assert len(raw) % tarfile.RECORDSIZE == 0
    assert {(m.mtime, m.uid, m.gid, m.mode, m.uname, m.gname, m.type) for m in members} == {
        (0, 0, 0, 0o644, "", "", tarfile.REGTYPE)
    }


def test_two_hundred_urls_give_the_same_bodies_twice(server: HostileServer, tmp_path: Path) -> None:
    urls = with_ids([f"{server.url}/{'ok' if n % 5 else 'missing'}/{n}" for n in range(200)])
    done: list[int] = []
    tars = [tmp_path / "first.tar", tmp_path / "second.tar"]
    first = fetch(urls, tar_path=tars[0], work=tmp_path / "work", limits=LIMITS, on_progress=done.append)
    second = fetch(
        urls[::-1], tar_path=tars[1], work=tmp_path / "work", limits=dataclasses.replace(LIMITS, n_threads=3)
    )
    assert done == list(range(1, 201))
    assert sum(attempt.is_fetched for attempt in first) == 160
    assert [(a.fetch_id, a.sha256, a.n_bytes, a.reason) for a in first] == [
        (a.fetch_id, a.sha256, a.n_bytes, a.reason) for a in reversed(second)
    ]
    assert [tar.stat().st_size for tar in tars] == [tars[0].stat().st_size] * 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.tar", "second.tar", "work"]


def test_urls_not_requested_within_the_partitions_time_are_deferred(server: HostileServer, tmp_path: Path) -> None:
    limits = dataclasses.replace(LIMITS, n_threads=2, max_partition_s=0.15)

    def counted() -> tuple[Counter[str | None], int]:
        n_before = server.n_connections
        attempts = fetch_into(tmp_path, with_ids([f"{server.url}/slow/{n}" for n in range(60)]), limits)
        return Counter(attempt.reason for attempt in attempts), server.n_connections - n_before

    counts, n_connections = undisturbed(counted)
    assert counts.keys() == {None, "deferred"}
    assert 2 <= counts[None] < 40
    assert n_connections == counts[None]
    with tarfile.open(tmp_path / "bodies.tar") as tar:
        assert len(tar.getmembers()) == counts[None]


def test_a_wait_for_a_slot_ends_with_the_partitions_time(server: HostileServer, tmp_path: Path) -> None:
    limits = dataclasses.replace(LIMITS, host_slots=tmp_path / "slots", max_per_host=1, max_partition_s=0.2)
    with HostSlots(tmp_path / "slots", max_per_host=1).hold("127.0.0.1", max_wait_s=1):
        attempts = fetch_into(tmp_path, with_ids([f"{server.url}/ok/{n}" for n in range(12)]), limits)
    assert {attempt.reason for attempt in attempts} == {"deferred"}
    assert server.n_connections == 0


def test_a_silent_host_gets_few_requests_and_fewer_in_the_next_pass(server: HostileServer, tmp_path: Path) -> None:
    patient = dataclasses.replace(LIMITS, max_failures_in_row=6, host_slots=tmp_path / "slots")
    limits = dataclasses.replace(patient, timeout_s=0.1)
    urls = with_ids([f"{server.url}/silent/{n}" for n in range(60)])
    reasons = Counter(attempt.reason for attempt in fetch_into(tmp_path, urls, limits))
    assert reasons["timeout"] + reasons["host_silent"] == 60
    assert 6 <= reasons["timeout"] == server.n_connections <= 6 + LIMITS.n_threads
    again = fetch_into(tmp_path, urls, limits, pass_number=1)
    assert Counter(attempt.reason for attempt in again) == {"timeout": 3, "host_silent": 57}
    good = fetch_into(tmp_path, with_ids([f"{server.url}/ok/{n}" for n in range(9)]), patient, pass_number=2)
    assert {attempt.reason for attempt in good} == {None}


def test_a_host_that_refuses_connections_is_given_up(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        limits = dataclasses.replace(LIMITS, host_slots=tmp_path / "slots")
        urls = with_ids([f"http://127.0.0.1:{closed.getsockname()[1]}/{n}" for n in range(90)])
        reasons = Counter(attempt.reason for attempt in fetch_into(tmp_path, urls, limits))
    assert reasons["connection_failed"] + reasons["host_refuses"] == 90
    assert 20 <= reasons["connection_failed"] <= 20 + LIMITS.n_threads


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_host_gets_few_requests_and_fewer_in_the_next_pass(
    server: HostileServer, tmp_path: Path, status: int
) -> None:
    limits = dataclasses.replace(LIMITS, max_failures_in_row=6, host_slots=tmp_path / "slots")
    reason = "http_throttled" if status == 429 else "http_server_error"
    urls = with_ids([f"{server.url}/status/{status}/X=/{n}" for n in range(60)])
    reasons = Counter(attempt.reason for attempt in fetch_into(tmp_path, urls, limits))
    assert reasons[reason] + reasons["host_busy"] == 60
    assert 6 <= reasons[reason] == server.n_connections <= 6 + LIMITS.n_threads
    again = Counter(attempt.reason for attempt in fetch_into(tmp_path, urls, limits, pass_number=1))
    assert again[reason] + again["host_busy"] == 60
    assert 3 <= again[reason] <= 3 + LIMITS.n_threads  # those that looked at the host just before
    good = fetch_into(tmp_path, with_ids([f"{server.url}/ok/{n}" for n in range(9)]), limits, pass_number=2)
    assert {attempt.reason for attempt in good} == {None}


def test_a_host_that_asks_for_a_long_rest_is_left_alone_sooner(server: HostileServer, tmp_path: Path) -> None:
    limits = dataclasses.replace(LIMITS, host_slots=tmp_path / "slots", max_per_host=1)
    urls = with_ids([f"{server.url}/status/503/Retry-After=3600/{n}" for n in range(60)])
    reasons = Counter(attempt.reason for attempt in fetch_into(tmp_path, urls, limits))
    assert reasons["http_server_error"] + reasons["host_busy"] == 60
    assert 4 <= reasons["http_server_error"] <= 4 + LIMITS.n_threads < 20


def test_a_short_rest_is_kept_before_the_next_request(server: HostileServer, tmp_path: Path) -> None:
    limits = dataclasses.replace(LIMITS, host_slots=tmp_path / "slots", max_per_host=1)
    with Stopwatch() as watch:
        attempts = fetch_into(
            tmp_path, with_ids([f"{server.url}/status/429/Retry-After=1", f"{server.url}/ok/1"]), limits
        )
    assert [attempt.reason for attempt in attempts] == ["http_throttled", None]
    assert watch.seconds >= 1
    assert attempts[0].fetch_ms < 1000  # a wait for the host is no time of the fetch


def test_all_urls_of_a_host_that_is_busy_sometimes_are_requested(server: HostileServer, tmp_path: Path) -> None:
    limits = dataclasses.replace(LIMITS, host_slots=tmp_path / "slots")
    urls = with_ids([f"{server.url}/{'status/503/X=' if n % 3 else 'missing'}/{n}" for n in range(60)])
    reasons = Counter(attempt.reason for attempt in fetch_into(tmp_path, urls, limits))
    assert reasons == {"http_server_error": 40, "http_not_found": 20}


def test_all_urls_of_a_host_that_answers_sometimes_are_requested(server: HostileServer, tmp_path: Path) -> None:
    limits = dataclasses.replace(LIMITS, timeout_s=0.3)  # of which a silent URL takes all
    urls = with_ids([f"{server.url}/{'silent' if n % 3 else 'missing'}/{n}" for n in range(60)])
    slots = (dataclasses.replace(limits, host_slots=tmp_path / f"slots {n}") for n in count())
    reasons = undisturbed(lambda: Counter(attempt.reason for attempt in fetch_into(tmp_path, urls, next(slots))))
    assert reasons == {"timeout": 40, "http_not_found": 20}


def test_loopback_is_refused_by_default(server: HostileServer, tmp_path: Path) -> None:
    attempts = fetch_into(tmp_path, with_ids([f"{server.url}/ok/10"] * 1), FetchLimits())
    assert [attempt.reason for attempt in attempts] == ["private_address"]
    assert server.n_connections == 0


@pytest.mark.parametrize("n_urls", [0, 1, 10])
def test_any_number_of_urls_can_be_fetched(server: HostileServer, tmp_path: Path, n_urls: int) -> None:
    attempts = fetch_into(tmp_path, with_ids([f"{server.url}/ok/{n}" for n in range(n_urls)]))
    assert sum(attempt.is_fetched for attempt in attempts) == n_urls
    with tarfile.open(tmp_path / "bodies.tar") as tar:
        assert len(tar.getmembers()) == n_urls


def test_a_local_failure_is_raised_and_leaves_no_files(server: HostileServer, tmp_path: Path) -> None:
    urls = with_ids([f"{server.url}/ok/{n}" for n in range(50)])

    def fail(n_done: int) -> None:
        if n_done == 3:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fetch(urls, tar_path=tmp_path / "bodies.tar", work=tmp_path / "work", limits=LIMITS, on_progress=fail)
    assert not (tmp_path / "bodies.tar").exists()
    assert list((tmp_path / "work").iterdir()) == []
    assert server.n_connections < 50


def test_a_shard_that_dies_is_raised(server: HostileServer, tmp_path: Path) -> None:
    urls = with_ids([f"{server.url}/ok/{n}" for n in range(5)])

    def sabotage(n_done: int) -> None:
        if n_done == 5:
            shutil.rmtree(tmp_path / "work" / "fetching")

    with pytest.raises(FileNotFoundError, match="_stats"):
        fetch(urls, tar_path=tmp_path / "bodies.tar", work=tmp_path / "work", limits=LIMITS, on_progress=sabotage)
    assert not (tmp_path / "bodies.tar").exists()


def test_a_url_that_img2dataset_loses_still_has_a_row(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "bodies", on_write=None, on_failure=lambda: None)
    lost = attempt_of("0" * 32, Note(http_status=200), spool)
    spool.close()
    assert (lost.fetch_id, lost.is_fetched, lost.reason, lost.http_status) == ("0" * 32, False, "no_result", 200)


def test_leftovers_of_a_dead_process_do_no_harm(server: HostileServer, tmp_path: Path) -> None:
    (tmp_path / "work" / "fetching").mkdir(parents=True)
    (tmp_path / "work" / "fetching" / "00000_stats.json").touch()
    attempts = fetch_into(tmp_path, with_ids([f"{server.url}/ok/10"]))
    assert [attempt.is_fetched for attempt in attempts] == [True]


@pytest.mark.parametrize("fetch_ids", [["x"], ["0" * 31], ["../" + "0" * 29], ["0" * 32, "0" * 32]])
def test_ambiguous_ids_are_refused(tmp_path: Path, fetch_ids: list[str]) -> None:
    urls = [(fetch_id, f"http://127.0.0.1/{n}") for n, fetch_id in enumerate(fetch_ids)]
    with pytest.raises(ValueError, match="fetch_id"):
        fetch(urls, tar_path=tmp_path / "bodies.tar", work=tmp_path / "work", limits=LIMITS)


def test_nothing_is_printed(server: HostileServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fetch_into(tmp_path, with_ids([f"{server.url}/ok/10", f"{server.url}/status/404", f"{server.url}/robots/a:b:c"]))
    assert capfd.readouterr() == ("", "")


def test_importing_does_not_import_img2dataset() -> None:
    program = "import sys, stages.download.fetching; print('img2dataset' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"


def test_a_worker_that_downloads_imports_no_large_package_and_leaves_the_package_whole() -> None:
    script = (
        "import sys\n"
        "from stages.download.fetching import shard\n"
        "shard._img2dataset()\n"
        "print(sorted({'torch', 'cv2', 'albumentations', 'img2dataset', 'wandb', 'pandas'} & set(sys.modules)))\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
