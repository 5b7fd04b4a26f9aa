from dataclasses import replace
from pathlib import Path

import pytest

from flows.ledger import input_digests
from flows.ledger.input_digests import InputDigests
from stages.contract import Reads
from stages.identity import digest_json
from tests.contract.broken import GIVE, MAKE
from tests.contract.laws import run_toy, toy_build
from tests.small_build import Build

WHOLE = replace(
    MAKE,
    name="gather",
    partitions_from=(),
    reads=(
        Reads("made", ("caption",), is_whole=True),
        Reads("given", ("sample_id",), is_whole=True),
        Reads("made", ("reason", "sample_id"), is_whole=True, section="rejects"),
    ),
)


@pytest.fixture
def toy(tmp_path: Path) -> Build:
    build = toy_build("SOUND", tmp_path)
    run_toy(build)
    return build


def test_an_input_has_one_digest_of_its_columns_over_the_spans_in_order_of_their_names(toy: Build) -> None:
    ledger = toy.ledger()
    given, made = (ledger.state(stage) for stage in (GIVE, MAKE))
    digests = InputDigests(ledger)
    one = given.spans["part-01"].span_digests("part-01")
    assert digests.of(MAKE, "part-01") == {"given": digest_json([["part-01", [one["sample_id"], one["source_row"]]]])}
    assert digests.of(MAKE, "part-07") == {"given": digest_json([])}
    names = ["part-00", "part-01"]
    assert digests.of(WHOLE, "whole") == {
        "made": digest_json([[name, [made.spans[name].span_digests(name)["caption"]]] for name in names]),
        "given": digest_json([[name, [given.spans[name].span_digests(name)["sample_id"]]] for name in names]),
        "made_rejects": digest_json(
            [[r.partition, [r.rejects_digests["reason"], r.rejects_digests["sample_id"]]] for r in made.receipts]
        ),
    }


def test_a_digest_is_computed_once_and_anew_when_it_was_forgotten(toy: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = toy.ledger()
    assert ledger.state(MAKE).is_complete
    computed = []

    def count(spans: list[tuple[str, object]], choices: list[tuple[str, ...]]) -> list[str]:
        computed.append([name for name, _ in spans])
        return ["0" * 64] * len(choices)

    monkeypatch.setattr(input_digests, "combine_each", count)
    digests = InputDigests(ledger)
    for _ in range(2):
        digests.of(MAKE, "part-00")
        digests.of(WHOLE, "whole")
    assert computed == [["part-00"], *[["part-00", "part-01"]] * 3]
    digests.forget_whole("given")
    digests.of(MAKE, "part-00")
    digests.of(WHOLE, "whole")
    assert computed[4:] == [["part-00", "part-01"]]
    digests.forget()
    digests.of(MAKE, "part-00")
    assert computed[5:] == [["part-00"]]
