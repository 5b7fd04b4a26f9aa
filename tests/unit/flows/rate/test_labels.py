from pathlib import Path

import pytest

from flows.rate.labels import Judgement, append, checked_rater, read
from stages.contract import InputError


def judgement(item: str, rater: str = "Ann", answer: str = "yes") -> Judgement:
    return Judgement(item, rater, {"is_right": answer}, item, stratum="kept", decision="kept", facts={"score": 0.5})


def test_appended_judgements_are_read_and_the_last_answer_counts(tmp_path: Path) -> None:
    path = tmp_path / "ratings" / "audit.jsonl"
    assert read(path) == ({}, 0)
    for one in (judgement("a"), judgement("b"), judgement("a", answer="no"), judgement("a", rater="Bea")):
        append(path, one)
    known, n_unreadable = read(path)
    assert {key: j.answers["is_right"] for key, j in known.items()} == {
        ("Ann", "a"): "no", ("Ann", "b"): "yes", ("Bea", "a"): "yes",
    }  # fmt: skip
    assert n_unreadable == 0 and known["Ann", "a"].at.endswith("+00:00") and known["Ann", "a"].facts == {"score": 0.5}


@pytest.mark.parametrize("n_bytes", [1, 20, 100])
def test_a_line_cut_by_a_crash_loses_only_itself(tmp_path: Path, n_bytes: int) -> None:
    path = tmp_path / "audit.jsonl"
    append(path, judgement("a"))
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:n_bytes])
    append(path, judgement("b"))
    known, n_unreadable = read(path)
    assert [item for _, item in known] == ["a", "b"] and n_unreadable == 1


@pytest.mark.parametrize("line", ["[]", "{}", '{"item": "a"}', '{"item":1,"rater":"A","answers":{},"sample_id":"a"}'])
def test_a_line_of_another_form_is_counted_as_unreadable(tmp_path: Path, line: str) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text(line + "\n")
    assert read(path) == ({}, 1)


def test_names_of_raters_are_normalised_or_refused() -> None:
    assert checked_rater("  Ann\u00a0 Bell ") == "Ann Bell"
    assert checked_rater("Zoe\u0308") == "Zo\u00eb"
    for name in ("", " ", "x" * 41, "a\x00b", "a\u202eb"):
        with pytest.raises(InputError, match="rater's name"):
            checked_rater(name)
