"""A pass takes the URLs that are due, and passes come to an end."""

import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pytest

from flows.settings import load_settings
from schemas.fields import FIELD
from stages import STAGES
from stages.checks import check_outcome
from stages.contract import Context, InputError
from stages.download.passes import PUT_OFF, PassResources, open_pass
from stages.download.reduction import ReductionParams
from stages.download.stage import OPEN_PASS

Attempt = tuple[str, int, str | None]


def due(
    attempts: list[Attempt],
    number: int = 1,
    planned: str = "abc",
    hosts: str = "",
    answered: str = "",
    status: int = 200,
    led: Mapping[str, str] = MappingProxyType({}),
    stated: Mapping[str, str] = MappingProxyType({}),
    **resources: Any,
) -> list[str]:
    """Return the URLs that a pass takes, given (fetch_id, pass, reason) of those before.

    Args:
        attempts: earlier attempts; fetched ones have the status 200, the others none.
        number: number of the pass.
        planned: URLs, one letter each.
        hosts: hosts of the URLs, one letter each; by default each URL has its own host.
        answered: URLs whose failures also have a status.
        status: that status.
        led: final addresses of URLs.
        stated: digests of bodies in release metadata, by sample.
        resources: resources of the stage.
    """
    named = [
        (f"s{n}", c, f"http://h/{c}", f"h{h}") for n, (c, h) in enumerate(zip(planned, hosts or planned, strict=True))
    ]
    tried = [
        (name, number, reason, 200 if reason is None else status if name in answered else None)
        for name, number, reason in attempts
    ]
    inputs = {
        "candidate": table("sample_id caption", [(row[0], f"caption {row[0]}") for row in named]),
        "planned": table("sample_id fetch_id normalised_url host", named),
        "withdrawal": table("entry_kind entry", []),
        "fetch_attempt": table(
            _ATTEMPT, [(*row, 1, f"sha {row[0]}", f"md5 {row[0]}", led.get(row[0])) for row in tried]
        ),
        "listed_hash": table("hash_kind hash", []),
    }
    tools = {"stated": pa.table({"sample_id": [*stated], "body_sha256": [*stated.values()]})} if stated else {}
    outcome = open_pass(inputs, passing(number, tools, **resources))
    check_outcome(OPEN_PASS, inputs, outcome)
    assert set(outcome.kept["pass"].to_pylist()) <= {number}
    return outcome.kept["fetch_id"].to_pylist()


def passing(number: int, tools: Mapping[str, Any] = MappingProxyType({}), **resources: Any) -> Context:
    return Context(f"{number:03d}", ReductionParams(), PassResources(**resources), tools, None, Path())  # type: ignore[arg-type]


_ATTEMPT = "fetch_id pass fetch_reason http_status n_bytes body_sha256 body_md5 final_url"


def table(names: str, rows: list[Any]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [[] for _ in names.split()]
    return pa.table({n: pa.array(c, FIELD[n].type) for n, c in zip(names.split(), columns, strict=True)})


def test_the_first_pass_takes_every_url_once() -> None:
    assert due([], 0) == ["a", "b", "c"]
    assert due([], 0, planned="aab") == ["a", "b"]
    assert due([], 0, planned="") == []


def test_new_urls_are_fetched_and_finished_ones_are_not() -> None:
    assert due([("a", 0, None), ("b", 0, "http_not_found")]) == ["c"]
    assert due([("a", 0, None), ("b", 0, "http_not_found")], passes=9) == ["c"]


def test_a_transient_failure_is_tried_in_as_many_passes_as_set() -> None:
    attempts: list[Attempt] = [("a", 0, "timeout"), ("b", 0, "tls_failed"), ("c", 0, None)]
    assert due(attempts) == []
    assert due(attempts, passes=2) == ["a"]
    assert due([*attempts, ("a", 1, "timeout")], 2, passes=2) == []
    assert due([*attempts, ("a", 1, "timeout")], 2, passes=3) == ["a"]
    assert due([*attempts, ("a", 1, None)], 2, passes=3) == []


def test_a_success_after_a_failure_stays_fetched_despite_a_retry() -> None:
    attempts: list[Attempt] = [("a", 0, "timeout"), ("a", 1, None), ("b", 0, None), ("c", 0, None)]
    assert due(attempts, 2, passes=9, retry="transient", refetch="timeout", asked_at_pass=2) == []


def test_a_requested_retry_takes_transient_failures_once_more() -> None:
    attempts: list[Attempt] = [("a", 0, "http_server_error"), ("b", 0, "http_not_found"), ("c", 0, None)]
    assert due(attempts, retry="transient", asked_at_pass=1) == ["a"]
    # Its pass has run, so the same request has no further effect.
    assert due([*attempts, ("a", 1, "timeout")], 2, retry="transient", asked_at_pass=1) == []
    assert due([*attempts, ("a", 1, "timeout")], 2, retry="transient", asked_at_pass=2) == ["a"]


@pytest.mark.parametrize(
    ("refetch", "taken"),
    [("", []), ("http_not_found", ["b"]), ("http_not_found, timeout", ["a", "b"]), ("all", ["a", "b", "c"])],
)
def test_a_refetch_takes_finished_urls_with_the_named_reasons(refetch: str, taken: list[str]) -> None:
    attempts: list[Attempt] = [("a", 0, "timeout"), ("b", 0, "http_not_found"), ("c", 0, None)]
    assert due(attempts, refetch=refetch, asked_at_pass=1) == taken
    assert due([*attempts, *((name, 1, None) for name in taken)], 2, refetch=refetch, asked_at_pass=1) == []


@pytest.mark.parametrize(
    ("refetch", "taken"), [("changed_body", ["b"]), ("placeholder", ["c", "d", "e"]), ("http_not_found", [])]
)
def test_a_refetch_takes_urls_whose_fetched_body_is_refused_for_a_named_reason(refetch: str, taken: list[str]) -> None:
    attempts: list[Attempt] = [(name, 0, None) for name in "abcde"]
    world = {"planned": "abcde", "led": dict.fromkeys("cde", "http://h/gone.png"), "stated": {"s0": "sha a", "s1": "x"}}
    assert due(attempts, refetch=refetch, asked_at_pass=1, **world) == taken
    assert due(attempts, **world) == []


def test_a_refetch_of_an_unknown_reason_is_refused_before_anything_runs() -> None:
    expected = r"REFETCH has unknown reasons: timout; expected all or some of .*timeout.*, changed_body$"
    with pytest.raises(InputError, match=expected):
        load_settings("demo", ['download.refetch="timout, tls_failed"'], STAGES)


def test_a_deferred_url_is_taken_by_the_next_pass_automatically() -> None:
    attempts: list[Attempt] = [("a", 0, "deferred"), ("b", 0, "timeout"), ("c", 0, None)]
    assert due(attempts) == ["a"]
    # A deferral is no attempt: a URL that failed once still has the set number of passes.
    assert due([*attempts, ("a", 1, "timeout")], 2) == []
    assert due([*attempts, ("a", 1, "timeout")], 2, passes=2) == ["a", "b"]
    assert due([*attempts, ("a", 1, "http_not_found")], 2, passes=9) == ["b"]


def test_a_pass_without_requests_is_the_last_until_a_retry() -> None:
    attempts: list[Attempt] = [("a", 0, None), ("b", 0, "deferred"), ("c", 0, "deferred")]
    assert due(attempts) == ["b", "c"]
    stuck: list[Attempt] = [*attempts, ("b", 1, "deferred"), ("c", 1, "deferred")]
    assert due(stuck, 2) == []
    assert due(stuck, 2, retry="transient", asked_at_pass=2) == ["b", "c"]
    # New URLs open a pass automatically; deferred ones follow after a pass with a request.
    assert due(stuck, 2, planned="abcd") == ["d"]
    assert due([*stuck, ("d", 2, "timeout")], 3, planned="abcd") == ["b", "c"]


def test_urls_of_a_given_up_host_are_taken_once_more_automatically() -> None:
    attempts: list[Attempt] = [("a", 0, "timeout"), ("b", 0, "host_silent"), ("c", 0, "host_silent")]
    assert due(attempts, hosts="xxx") == ["b", "c"]
    again: list[Attempt] = [*attempts, ("b", 1, "timeout"), ("c", 1, "host_silent")]
    assert due(again, 2, hosts="xxx") == []
    assert due(again, 2, hosts="xxx", retry="transient", asked_at_pass=2) == ["a", "b", "c"]
    # Being given up is no attempt.
    assert due([*attempts, ("b", 1, "timeout"), ("c", 1, None)], 2, hosts="xxx", passes=2) == ["a", "b"]


def test_all_urls_of_a_host_that_has_answered_are_taken() -> None:
    attempts: list[Attempt] = [("a", 0, None), ("b", 0, "host_silent"), ("c", 0, "host_silent")]
    again: list[Attempt] = [*attempts, ("b", 1, "timeout"), ("c", 1, "host_silent")]
    assert due(again, 2, hosts="xxx") == ["c"]
    assert due(again, 2, hosts="yxx") == []
    assert due(again, 2, hosts="yxx", answered="b") == ["c"]
    # A pass without a request to it is the last.
    assert due([*again, ("c", 2, "host_silent")], 3, hosts="xxx") == []


@pytest.mark.parametrize(("status", "taken"), [(429, []), (503, []), (404, ["c"])])
def test_a_host_that_was_only_busy_is_no_host_that_has_answered(status: int, taken: list[str]) -> None:
    attempts: list[Attempt] = [("a", 0, "http_throttled"), ("b", 0, "host_busy"), ("c", 0, "host_busy")]
    assert due(attempts, hosts="xxx", answered="a", status=status) == ["b", "c"]
    again: list[Attempt] = [*attempts, ("b", 1, "http_throttled"), ("c", 1, "host_busy")]
    assert due(again, 2, hosts="xxx", answered="ab", status=status) == taken
    assert due(again, 2, hosts="xxx", answered="ab", retry="transient", asked_at_pass=2) == ["a", "b", "c"]


@pytest.mark.parametrize("passes", [1, 3])
@pytest.mark.parametrize("seed", range(4))
def test_passes_end_for_any_answers(seed: int, passes: int) -> None:
    draw, attempts, number = random.Random(seed), list[Attempt](), 0
    while taken := due(attempts, number, planned="abcdefgh", hosts="xxxxyyzz", passes=passes):
        answers = draw.choices(
            ["deferred", "host_silent", "host_busy", "timeout", None, "http_not_found"], [9, 6, 3, 3, 1, 1], k=8
        )
        attempts += [(name, number, answer) for name, answer in zip(taken, answers, strict=False)]
        number += 1
    assert 0 < number <= 8 * (passes + 1) + 1
    asked = Counter(name for name, _, reason in attempts if reason not in PUT_OFF)
    assert max(asked.values(), default=0) <= passes


def test_a_url_that_led_to_a_listed_file_is_not_requested_again() -> None:
    inputs = {
        "candidate": table("sample_id caption", []),
        "planned": table("sample_id fetch_id normalised_url host", [(c, c, f"http://h/{c}", "h") for c in "ab"]),
        "fetch_attempt": table(_ATTEMPT, [(c, 0, None, 200, 1, f"sha {c}", None, None) for c in "ab"]),
        "withdrawal": table("entry_kind entry", []),
        "listed_hash": table("hash_kind hash", [("sha256", "sha a")]),
    }
    kept = open_pass(inputs, passing(1, refetch="all", asked_at_pass=1)).kept
    asked = dict(zip(kept["fetch_id"].to_pylist(), kept["is_withdrawn"].to_pylist(), strict=True))
    assert asked == {"a": True, "b": False}


def test_withdrawn_urls_are_in_the_pass_but_marked() -> None:
    inputs = {
        "planned": table(
            "sample_id fetch_id normalised_url host",
            [("s0", "a", "http://h/a", "h"), ("s1", "b", "http://h/b", "h"), ("s2", "b", "http://h/b", "h")],
        ),
        "fetch_attempt": table(_ATTEMPT, []),
        "listed_hash": table("hash_kind hash", []),
        "withdrawal": table("entry_kind entry", [("url", "http://h/a"), ("sample_id", "s1")]),
    }
    kept = open_pass(inputs, passing(0)).kept
    # The other sample of b is not withdrawn: its URL is still requested.
    assert dict(zip(kept["fetch_id"].to_pylist(), kept["is_withdrawn"].to_pylist(), strict=True)) == {
        "a": True,
        "b": False,
    }
