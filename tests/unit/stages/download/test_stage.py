from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from flows.run.executor import InlineExecutor
from schemas.fields import FIELD
from stages.checks import check_outcome
from stages.contract import Context, Outcome, Reads
from stages.download.reduction import ReductionParams, reduce_attempts
from stages.download.stage import REDUCE_ATTEMPTS
from stages.readers.rs5m_tars.located import SCHEME
from tests.small_build import Build, Web


def table(names: str, rows: list[Any]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [[] for _ in names.split()]
    return pa.table({n: pa.array(c, FIELD[n].type) for n, c in zip(names.split(), columns, strict=True)})


def test_a_url_is_decided_by_its_last_success_or_else_its_last_reason() -> None:
    attempts = [
        ("a", 0, True, None, None, 200, "old"),
        ("a", 1, True, None, None, 200, "new"),
        ("b", 0, True, None, None, 200, "b"),
        ("b", 1, False, "timeout", None, None, None),
        ("c", 0, False, "timeout", None, None, None),
        ("c", 1, False, "http_not_found", None, 404, None),
        ("d", 0, False, "http_server_error", "HTTP 503 Later", 503, None),
        ("d", 1, False, "timeout", None, None, None),
        ("e", 0, False, "private_address", "h is ::1", None, None),
        ("f", 0, False, "bad_redirect", "loop to http://h/" + "f" * 300, 302, None),
        ("gone", 0, True, None, None, 200, "g"),
    ]
    outcome = reduced([(name, f"http://h/{name}", "text") for name in "aabcdef"], attempts)
    found = {row["fetch_id"]: (row["pass"], row["body_sha256"], row["partition"]) for row in outcome.kept.to_pylist()}
    assert found == {"a": (1, "new", "001-00000"), "b": (0, "b", "000-00000")}
    assert [tuple(row.values()) for row in outcome.rejects.to_pylist()] == [
        ("c", "http_not_found", "HTTP 404, pass 1"),
        ("d", "timeout", "no answer, pass 1"),
        ("e", "private_address", "h is ::1, pass 0"),
        ("f", "bad_redirect", "loop to http://h/" + "f" * 174 + "…, pass 0"),
    ]
    assert len(outcome.rejects["detail"].to_pylist()[-1]) == 200


def test_all_unanswered_urls_of_a_given_up_host_have_its_reason() -> None:
    attempts = [
        ("a", 0, False, "timeout", None, None, None, "http://x.test:81/a"),
        ("b", 0, False, "host_silent", None, None, None, "http://x.test:81/b"),
        ("c", 0, False, "timeout", None, 200, None, "http://x.test:81/c"),
        ("d", 0, False, "timeout", None, None, None, "http://x.test/d"),
        ("e", 0, False, "http_not_found", None, 404, None, "http://x.test:81/e"),
        ("f", 0, False, "connection_failed", None, None, None, "http://x.test:81/f"),
        ("g", 0, False, "invalid_response", None, None, None, None),
    ]
    outcome = reduced([(name, f"http://h/{name}", "text") for name in "abcdefg"], attempts)
    assert dict(zip(*outcome.rejects.select(["fetch_id", "reason"]).to_pydict().values(), strict=True)) == {
        "a": "host_silent", "b": "host_silent", "c": "timeout", "d": "timeout", "e": "http_not_found",
        "f": "host_silent", "g": "invalid_response",
    }  # fmt: skip


def test_all_urls_that_a_given_up_host_was_too_busy_for_have_its_reason() -> None:
    attempts = [
        ("a", 0, False, "http_throttled", "HTTP 429", 429, None, "http://x.test/a"),
        ("b", 0, False, "host_busy", None, None, None, "http://x.test/b"),
        ("c", 0, False, "http_server_error", "HTTP 503", 503, None, "http://x.test/c"),
        ("d", 0, False, "http_server_error", "HTTP 500", 500, None, "http://x.test/d"),
        ("e", 0, False, "http_throttled", "HTTP 429", 429, None, "http://y.test/e"),
    ]
    outcome = reduced([(name, f"http://h/{name}", "text") for name in "abcde"], attempts)
    assert [tuple(row.values()) for row in outcome.rejects.to_pylist()] == [
        ("a", "host_busy", "HTTP 429, pass 0"),
        ("b", "host_busy", "no answer, pass 0"),
        ("c", "host_busy", "HTTP 503, pass 0"),
        ("d", "http_server_error", "HTTP 500, pass 0"),
        ("e", "http_throttled", "HTTP 429, pass 0"),
    ]


def reduced(
    planned: list[tuple[str, str, str]],
    attempts: list[Any],
    n_urls: int = 3,
    hashes: Sequence[tuple[str, str]] = (),
    n_direct: int = 5,
) -> Outcome:
    """Reduce (fetch_id, URL, caption) with (fetch_id, pass, is_fetched, reason, detail, status, body[, final URL])."""
    columns = "fetch_id pass is_fetched fetch_reason fetch_detail http_status body_sha256 final_url"
    urls = {fetch_id: url for fetch_id, url, _ in planned}
    rows = [a if len(a) == 8 else (*a, urls.get(a[0])) for a in attempts]
    made = table(columns, rows)
    for name, value in (("n_bytes", 5), ("body_md5", "md5"), ("body_file", "tar"), ("body_offset", 1)):
        made = made.append_column(name, pa.array([value if a[2] else None for a in rows], FIELD[name].type))
    inputs = {
        "candidate": table("sample_id caption", [(str(n), p[2]) for n, p in enumerate(planned)]),
        "planned": table("sample_id fetch_id normalised_url", [(str(n), *p[:2]) for n, p in enumerate(planned)]),
        "fetch_pass": table("fetch_id pass partition", [(a[0], a[1], f"{a[1]:03d}-00000") for a in rows]),
        "fetch_attempt": made,
        "listed_hash": table("hash_kind hash", hashes),
    }
    params = ReductionParams(placeholder_n_urls=n_urls, placeholder_n_direct=n_direct)
    outcome = reduce_attempts(inputs, Context("whole", params, None, {}, None, Path()))  # type: ignore[arg-type]
    check_outcome(REDUCE_ATTEMPTS, inputs, outcome)
    return outcome


def test_a_body_on_a_hash_list_is_rejected_without_a_detail_that_leads_to_it() -> None:
    attempts = [
        ("a", 0, True, None, None, 200, "bad"),
        ("a", 1, True, None, None, 200, "good"),  # another body under the same URL
        ("b", 0, True, None, None, 200, "good"),
        ("c", 0, True, None, None, 200, "bad"),
        ("old", 0, True, None, None, 200, "bad"),  # no longer planned
    ]
    planned = [(name, f"http://h/{name}", "text") for name in "abc"]
    outcome = reduced(planned, attempts, hashes=[("sha256", "bad"), ("md5", "good")])
    assert outcome.kept["fetch_id"].to_pylist() == ["b"]
    assert [tuple(row.values()) for row in outcome.rejects.to_pylist()] == [
        (name, "hash_listed", "on a list of known illegal material") for name in "ac"
    ]
    by_md5 = reduced(planned, attempts, hashes=[("md5", "md5")])
    assert set(by_md5.rejects["reason"].to_pylist()) == {"hash_listed"} and by_md5.rejects.num_rows == 3


def test_a_placeholder_on_a_hash_list_is_refused_for_the_list() -> None:
    planned = [(f"{n}", f"http://h/photo{n}.jpg", f"bay {n}") for n in range(4)]
    attempts = [(name, 0, True, None, None, 200, "bad", "http://h/gone.png") for name, _, _ in planned]
    outcome = reduced(planned, attempts, hashes=[("sha256", "bad")])
    assert outcome.rejects["reason"].to_pylist() == ["hash_listed"] * 4


Led = tuple[str, str, str, str]  # published URL, caption, final URL, body


def placeholders(*led: Led, n_urls: int = 3, n_direct: int = 5) -> list[str]:
    """Return the published URLs that are rejected as placeholders; no other row is rejected."""
    names = {url: f"{n:03d}" for n, url in enumerate(dict.fromkeys(url for url, *_ in led))}
    attempts = {names[url]: (names[url], 0, True, None, None, 200, body, final) for url, _, final, body in led}
    outcome = reduced([(names[url], url, text) for url, text, *_ in led], list(attempts.values()), n_urls, (), n_direct)
    assert set(outcome.rejects["reason"].to_pylist()) <= {"placeholder"}
    return sorted(url for url, name in names.items() if name in outcome.rejects["fetch_id"].to_pylist())


def gone(n: int, final: str = "http://h/gone.png", text: str = "", body: str = "gone") -> Led:
    return f"http://h/photo{n}.jpg", text or f"bay {n}", final, body


def test_urls_with_different_captions_that_lead_to_one_address_are_placeholders() -> None:
    assert len(placeholders(*map(gone, range(5)))) == 5
    assert len(placeholders(*map(gone, range(3)))) == 3
    assert placeholders(*map(gone, range(2))) == []
    assert placeholders(*map(gone, range(5)), n_urls=0) == []
    assert placeholders(*map(gone, range(5)), n_urls=6) == []
    assert len(placeholders(*(gone(n, f"http://h/gone.png?from={n}") for n in range(6)), n_direct=3)) == 6
    # Different addresses of one site, but the same picture.
    assert len(placeholders(*(gone(n, f"http://h/gone.png?from={n}") for n in range(3)))) == 3
    assert placeholders(*(gone(n, f"http://h/show?id={n}", body=str(n)) for n in range(5))) == []
    # One address that shows a different picture each time.
    assert len(placeholders(*(gone(n, body=str(n)) for n in range(3)))) == 3
    # A handler whose URLs differ only in the query.
    assert len(placeholders(*((f"http://h/i.php?n={n}", f"bay {n}", "http://h/no.gif", "n") for n in range(4)))) == 4


def test_moved_and_reposted_pictures_are_not_placeholders() -> None:
    assert placeholders(*(gone(n, text="bay") for n in range(5))) == []
    moved = [(f"http://{n}.h/a.jpg?w={n}", f"bay {n}", "https://h/x/a.jpg", "a") for n in range(5)]
    assert placeholders(*moved) == []
    assert placeholders(*((f"http://h/{n}.jpg", f"bay {n}", f"https://h/{n}.jpg", "one") for n in range(4))) == []
    assert placeholders(*(("http://h/a.jpg", f"bay {n}", "http://h/b.jpg", "a") for n in range(5))) == []
    assert placeholders(*(direct(n, text="bay") for n in range(5))) == []
    assert placeholders(*(direct(n, f"http://{n}.h/a.jpg") for n in range(5))) == []
    assert placeholders(*(direct(n, f"http://h:{80 + n}/a.jpg") for n in range(5))) == []
    assert placeholders(*(direct(n, f"http://h/a.jpg?w={n}") for n in range(5))) == []
    assert placeholders(*(direct(n, f"http{'s' * (n % 2)}://h/{n // 2}.jpg") for n in range(8))) == []
    assert placeholders(*(direct(n, body=f"{n // 4}") for n in range(8))) == []
    assert placeholders(*(direct(n, f"{SCHEME}h/{n}.tar") for n in range(5))) == []


def direct(n: int, url: str = "", text: str = "", body: str = "gone") -> Led:
    url = url or f"http://h/{n}.jpg"
    return url, text or f"bay {n}", url, body


def test_a_body_that_a_host_sends_for_many_addresses_with_different_captions_is_a_placeholder() -> None:
    assert len(placeholders(*map(direct, range(6)))) == 6
    assert placeholders(*map(direct, range(4))) == []
    assert placeholders(*map(direct, range(6)), n_direct=0) == []
    assert len(placeholders(*map(direct, range(3)), n_direct=3)) == 3
    # All URLs of the host move to https first.
    assert len(placeholders(*((f"http://h/{n}.JPG", f"bay {n}", f"https://h/{n}.JPG", "one") for n in range(5)))) == 5
    # A handler without file names.
    assert len(placeholders(*(direct(n, f"http://h/show?id={n}") for n in range(5)))) == 5
    found = placeholders(*map(direct, range(5)), direct(7, body="another"), direct(8, "http://other/8.jpg"))
    assert found == [f"http://h/{n}.jpg" for n in range(5)]


def test_a_body_sent_for_many_addresses_states_its_host() -> None:
    planned = [(f"{n}", f"http://h:81/{n}.jpg", f"bay {n}") for n in range(5)]
    outcome = reduced(planned, [(name, 0, True, None, None, 200, "g") for name, *_ in planned])
    assert set(outcome.rejects["detail"].to_pylist()) == {"h:81 sends one body for 5 addresses with 5 captions, pass 0"}


def test_an_answer_from_the_address_itself_does_not_count() -> None:
    itself = ("http://h/gone.png", "bay", "http://h/gone.png", "gone")
    assert placeholders(itself, gone(0), gone(1)) == []
    assert placeholders(itself, gone(0), gone(1), gone(2)) == [gone(n)[0] for n in range(3)]


def test_a_placeholder_states_its_address() -> None:
    attempts = [(f"{n}", 0, True, None, None, 200, "g", "http://h/gone.png") for n in range(3)]
    outcome = reduced([(f"{n}", f"http://h/{n}.jpg", f"bay {n}") for n in range(3)], attempts)
    assert set(outcome.rejects["detail"].to_pylist()) == {"3 URLs with 3 captions lead to http://h/gone.png, pass 0"}


def test_a_retry_opens_a_pass_over_transient_failures_and_leaves_the_rest_of_the_build(
    damaged: Build, small_web: Web
) -> None:
    n_before = dict(small_web.requests)
    asked = damaged.with_settings(download={"retry": "transient", "asked_at_pass": 1})
    watcher = asked.run(InlineExecutor())
    fetched_again = {path for path, n in small_web.requests.items() if n > n_before.get(path, 0)}
    assert fetched_again == {"/broken"}
    passes = damaged.ledger().state(damaged.stage("open_pass")).receipts
    assert [receipt.n_kept for receipt in passes][1:] == [1]
    attempts = [
        row["pass"]
        for row in damaged.rows("fetch_attempt", ["pass", "fetch_reason"])
        if row["fetch_reason"] == "http_server_error"
    ]
    assert attempts == [0, 1]
    assert {n_due for name, _, n_due in watcher.begun if name in ("screen", "write_shards", "filter")} == set()


def test_deferred_urls_are_requested_in_later_passes_with_the_same_fates(small_sources: Path, tmp_path: Path) -> None:
    hurried = {"n_threads": 1, "max_partition_s": 0.001, "urls_per_slice": 7}
    build = Build(tmp_path / "build", small_sources).with_settings(download=hurried)
    build.run(InlineExecutor(), ("inventory", "filter", "plan", "download"))
    passes = build.ledger().state(build.stage("open_pass")).receipts
    assert len(passes) > 3
    left = [receipt.n_kept for receipt in passes]
    assert left == sorted(left, reverse=True) and left[0] > 2 * left[-1] > 0
    whole = Build(tmp_path / "whole", small_sources)
    whole.run(InlineExecutor(), ("inventory", "filter", "plan", "download"))
    assert fates(build) == fates(whole)


def fates(build: Build) -> set[tuple[str, str]]:
    """Return (fetch_id, digest of the body or reason) of every URL."""
    reads = Reads("fetched", ("fetch_id", "reason"), is_whole=True, section="rejects")
    refused = {(row["fetch_id"], row["reason"]) for row in build.ledger().read(reads).to_pylist()}
    return refused | {(row["fetch_id"], row["body_sha256"]) for row in build.rows("fetched")}
