from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.run.executor import InlineExecutor
from schemas.fields import FIELD
from stages.checks import check_outcome
from stages.contract import Context, InputError
from stages.download.stage import OPEN_PASS, SETTLE, PassResources, open_pass, pack, settle
from tests.small_build import Build, Web

Attempt = tuple[str, int, str | None]


def due(attempts: list[Attempt], number: int = 1, planned: str = "abc", **resources: Any) -> list[str]:
    """Return the URLs that a pass takes, given (fetch_id, pass, reason) of those before."""
    inputs = {
        "planned": table("fetch_id normalised_url host", [(c, f"http://h/{c}", f"h{c}") for c in planned]),
        "fetch_attempt": table("fetch_id pass fetch_reason", attempts),
    }
    context = Context(f"{number:03d}", None, PassResources(**resources), {}, None, Path())  # type: ignore[arg-type]
    outcome = open_pass(inputs, context)
    check_outcome(OPEN_PASS, inputs, outcome)
    assert set(outcome.kept["pass"].to_pylist()) <= {number}
    return outcome.kept["fetch_id"].to_pylist()


def table(names: str, rows: list[Any]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [[] for _ in names.split()]
    return pa.table({n: pa.array(c, FIELD[n].type) for n, c in zip(names.split(), columns, strict=True)})


def test_the_first_pass_takes_every_url_once() -> None:
    assert due([], 0) == ["a", "b", "c"]
    assert due([], 0, planned="aab") == ["a", "b"]
    assert due([], 0, planned="") == []


def test_what_is_settled_is_not_fetched_again_and_what_is_new_is() -> None:
    assert due([("a", 0, None), ("b", 0, "http_not_found")]) == ["c"]
    assert due([("a", 0, None), ("b", 0, "http_not_found")], passes=9) == ["c"]


def test_a_transient_failure_is_tried_as_often_as_passes_says() -> None:
    attempts: list[Attempt] = [("a", 0, "timeout"), ("b", 0, "tls_failed"), ("c", 0, None)]
    assert due(attempts) == []
    assert due(attempts, passes=2) == ["a"]
    assert due([*attempts, ("a", 1, "timeout")], 2, passes=2) == []
    assert due([*attempts, ("a", 1, "timeout")], 2, passes=3) == ["a"]
    assert due([*attempts, ("a", 1, None)], 2, passes=3) == []


def test_a_success_after_a_failure_is_settled_whatever_is_asked() -> None:
    attempts: list[Attempt] = [("a", 0, "timeout"), ("a", 1, None), ("b", 0, None), ("c", 0, None)]
    assert due(attempts, 2, passes=9, retry="transient", refetch="timeout", asked_at_pass=2) == []


def test_a_retry_that_was_asked_for_takes_transient_failures_once_more() -> None:
    attempts: list[Attempt] = [("a", 0, "http_server_error"), ("b", 0, "http_not_found"), ("c", 0, None)]
    assert due(attempts, retry="transient", asked_at_pass=1) == ["a"]
    # The pass it opened has run: the same request is not obeyed twice.
    assert due([*attempts, ("a", 1, "timeout")], 2, retry="transient", asked_at_pass=1) == []
    assert due([*attempts, ("a", 1, "timeout")], 2, retry="transient", asked_at_pass=2) == ["a"]


@pytest.mark.parametrize(
    ("refetch", "taken"),
    [("", []), ("http_not_found", ["b"]), ("http_not_found, timeout", ["a", "b"]), ("all", ["a", "b", "c"])],
)
def test_a_refetch_takes_what_it_names_although_settled(refetch: str, taken: list[str]) -> None:
    attempts: list[Attempt] = [("a", 0, "timeout"), ("b", 0, "http_not_found"), ("c", 0, None)]
    assert due(attempts, refetch=refetch, asked_at_pass=1) == taken
    assert due([*attempts, *((name, 1, None) for name in taken)], 2, refetch=refetch, asked_at_pass=1) == []


def test_a_refetch_of_a_reason_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match=r"REFETCH=timout: no reason \['timout'\]; write all, or some of .*timeout"):
        due([], refetch="timout")


def test_whole_hosts_stay_together_and_large_ones_are_cut_into_slices_of_their_own() -> None:
    hosts = ["big"] * 25 + ["small"] * 3 + ["tiny"] * 2
    names = pack(hosts, 10, 7)
    by_host = defaultdict(set)
    for host, name in zip(hosts, names, strict=True):
        by_host[host].add(name)
    assert [len(by_host[host]) for host in ("big", "small", "tiny")] == [3, 1, 1]
    assert all(name.startswith("007-") for name in names)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.lists(st.sampled_from("abcdefgh"), max_size=60), st.integers(1, 9))
def test_packing_names_every_url_fills_no_partition_beyond_its_limit_and_cuts_no_small_host(
    hosts: list[str], limit: int
) -> None:
    names = pack(hosts, limit, 0)
    assert len(names) == len(hosts) and all(names)
    assert max(Counter(names).values(), default=0) <= limit
    for host, n in Counter(hosts).items():
        n_partitions = len({name for h, name in zip(hosts, names, strict=True) if h == host})
        assert n_partitions == -(-n // limit)
    order = sorted(set(names))
    assert (
        order == [f"000-{n:05d}" for n in range(int(order[0][4:]), int(order[0][4:]) + len(order))] if order else True
    )
    assert pack(hosts, limit, 0) == names


def test_settling_takes_the_last_success_and_the_last_reason_of_the_others() -> None:
    columns = "fetch_id pass is_fetched fetch_reason http_status n_bytes body_sha256 body_file body_offset"
    attempts = [
        ("a", 0, True, None, 200, 5, "old", "f0", 1),
        ("a", 1, True, None, 200, 6, "new", "f1", 2),
        ("b", 0, True, None, 200, 7, "b", "f0", 3),
        ("b", 1, False, "timeout", None, None, None, None, None),
        ("c", 0, False, "timeout", None, None, None, None, None),
        ("c", 1, False, "http_not_found", 404, None, None, None, None),
        ("d", 0, False, "http_server_error", 503, None, None, None, None),
        ("d", 1, False, "timeout", None, None, None, None, None),
        ("gone", 0, True, None, 200, 9, "g", "f0", 4),
    ]
    inputs = {
        "planned": table("fetch_id", [("a",), ("a",), ("b",), ("c",), ("d",)]),
        "fetch_pass": table("fetch_id pass partition", [(a[0], a[1], f"{a[1]:03d}-00000") for a in attempts]),
        "fetch_attempt": table(columns, attempts),
    }
    outcome = settle(inputs, None)  # type: ignore[arg-type]
    check_outcome(SETTLE, inputs, outcome)
    found = {row["fetch_id"]: (row["pass"], row["body_sha256"], row["partition"]) for row in outcome.kept.to_pylist()}
    assert found == {"a": (1, "new", "001-00000"), "b": (0, "b", "000-00000")}
    assert [tuple(row.values()) for row in outcome.rejects.to_pylist()] == [
        ("c", "http_not_found", "HTTP 404, pass 1"),
        ("d", "timeout", "no answer, pass 1"),
    ]


def test_a_retry_opens_a_pass_over_transient_failures_alone_and_the_rest_of_the_build_stays(
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
    assert {n_due for name, _, n_due in watcher.begun if name in ("screen", "write_shards", "filter")} == {0}
