from pathlib import Path

from stages.stats.emails import COUNT_EMAILS
from stages.stats.stage import TOTAL
from tests.contract.inputs import call_stage


def test_addresses_are_counted_by_corpus_in_published_captions_alone(tmp_path: Path) -> None:
    _, outcome = call_stage(COUNT_EMAILS, tmp_path)
    rows = {row.pop("source"): tuple(row.values()) for row in outcome.kept.to_pylist()}
    # Of each published caption but the first two addresses; the last candidate is not published.
    assert rows == {"laion2b": (1, 0, 0), "coyo700m": (1, 1, 2), "cc3m": (1, 1, 2), TOTAL: (3, 2, 4)}
