from pathlib import Path

from stages.contamination.matrix import COUNT_CONTAMINATION
from tests.contract.inputs import call_stage


def test_every_pair_has_a_row_and_every_mark_counts_once_per_set(tmp_path: Path) -> None:
    _, outcome = call_stage(COUNT_CONTAMINATION, tmp_path)
    rows = {(r["evaluation_set"], r["source_kind"], r["source"]): r for r in outcome.kept.to_pylist()}
    corpora = ("cc3m", "laion2b", "ben", "Total")
    assert set(rows) == {
        (name, kind, source)
        for name in ("alpha", "beta")
        for kind, sources in (("corpus", corpora), ("evaluation set", ("alpha", "beta")))
        for source in sources
    }
    names = (
        "n_contaminated", "n_by_pixels", "n_by_phash", "n_by_keypoints", "n_in_train", "n_in_val", "n_in_test",
        "n_in_unsplit",
    )  # fmt: skip
    found = {key: tuple(row[name] for name in names) for key, row in rows.items() if any(row[n] for n in names)}
    assert found == {
        ("alpha", "corpus", "cc3m"): (1, 1, 0, 0, 1, 0, 1, 0),
        ("alpha", "corpus", "ben"): (1, 0, 0, 1, 0, 1, 0, 0),
        ("alpha", "corpus", "Total"): (2, 1, 0, 1, 1, 1, 1, 0),
        ("beta", "corpus", "laion2b"): (1, 0, 1, 0, 0, 0, 0, 1),
        ("beta", "corpus", "Total"): (1, 0, 1, 0, 0, 0, 0, 1),
        ("beta", "evaluation set", "alpha"): (1, 0, 1, 0, 0, 0, 0, 1),
    }
    assert {key for key, row in rows.items() if row["n_equal_captions"]} == {
        ("beta", "corpus", "cc3m"), ("beta", "corpus", "Total")
    }  # fmt: skip
    # Alpha alone states places, beta alone has captions, which are compared with those of corpora alone.
    assert {key for key, row in rows.items() if row["n_on_same_ground"] is not None} == {
        key for key in rows if key[0] == "alpha"
    }
    assert {key for key, row in rows.items() if row["n_equal_captions"] is not None} == {
        key for key in rows if key[:2] == ("beta", "corpus")
    }
    assert {row["n_pictures"] for row in rows.values()} == {1, 2}
