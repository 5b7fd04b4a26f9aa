import csv
import re
from pathlib import Path

import pytest

from flows.ask.dataset import dataset_faults, publish_dataset
from flows.calibrate.labels import read_labels
from flows.cli import main
from flows.rate.labels import Judgement, append, label_file
from flows.rate.questions import AUDITS, RATING
from flows.rate.sample import draw
from flows.rate.server import RatingServer
from tests.small_build import Build


def test_figures_of_an_audit_are_written_beside_the_labels(
    damaged: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = damaged.arguments(tmp_path)
    for n, item in enumerate(draw(damaged.ledger(), "audit_outliers", 12, "0", is_even=True).items):
        if n == 1:
            assert main(["audit", *arguments, "--n=12", "--results", "outliers"]) == 0
            assert "rates stay empty until every stratum has an answer: " in capsys.readouterr().out
        answers = {"is_right": "yes" if item.decision == "kept" else "no"}
        append(label_file(damaged.root, "audit_outliers"), Judgement(item.item, "Ann", answers, item.sample_id))
    append(label_file(damaged.root, "audit_outliers"), Judgement("elsewhere", "Ann", {"is_right": "no"}, "elsewhere"))
    assert main(["audit", *arguments, "--n=12", "--results", "outliers"]) == 0
    printed = capsys.readouterr().out
    assert "rates stay empty" not in printed
    assert "1 judgement of items outside this sample" in printed
    assert "judged: Ann 12 of 12" in printed
    rows = list(csv.DictReader((damaged.root / "ratings" / "audit_outliers_rates.csv").open()))
    assert [(row["rate"], row["percent"]) for row in rows] == [("precision", "100.0"), ("recall", "100.0")]
    assert (damaged.root / "ratings" / "audit_outliers_table_xv.md").read_text().startswith("| group |")
    labels = read_labels(damaged.root / "ratings" / "outlier_labels.csv").is_rs
    assert len(labels) == 12 and set(labels.values()) == {True, False}
    published = publish_dataset(damaged.ledger()) / "tables" / "audit_outliers_rates.csv"
    assert published.read_bytes() == (damaged.root / "ratings" / "audit_outliers_rates.csv").read_bytes()
    assert list(dataset_faults(damaged.root)) == []


def test_the_page_is_served_until_it_is_stopped(
    damaged: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.rate.server import RatingServer

    seen = []

    def serve(self: RatingServer, poll_interval: float) -> None:
        seen.append(self.described())
        self.judge(0, {"rater": "Ann", "answers": {q.name: "4" for q in RATING.questions}})
        raise KeyboardInterrupt

    monkeypatch.setattr(RatingServer, "serve_forever", serve)
    assert main(["rate", *damaged.arguments(tmp_path), "--n=5", "--port=0", "--rater=Ann&Bo", "--half=pub11"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"http://127\.0\.0\.1:\d+/\?rater=Ann%26Bo on", printed) and "judged: Ann 1 of 5" in printed
    assert re.search(r"http://127\.0\.0\.1:\d+/ asks for a name", printed)
    assert "rater" not in seen[0] and seen[0]["n"] == 5


@pytest.mark.parametrize("words", [["--rater=" + "x" * 50], ["--half=rs3", "--rater=\x1b"]])
def test_wrong_use_is_refused(finished: Build, tmp_path: Path, words: list[str]) -> None:
    assert main(["rate", *finished.arguments(tmp_path), *words]) == 2


def test_every_audit_names_its_decision() -> None:
    assert {task.claimed for task in AUDITS.values()} <= {"kept", "rejected", "marked"}
    assert all(task.questions[0].name == "is_right" and task.claim for task in AUDITS.values())


def test_ctrl_c_ends_with_a_line_on_what_is_kept(
    damaged: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(server: RatingServer, poll_interval: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RatingServer, "serve_forever", interrupted)
    assert main(["rate", *damaged.arguments(tmp_path), "--n=4", "--rater", "Ann", "--port", "0"]) == 0
    last = " ".join(capsys.readouterr().out.split()).rpartition("stopped; ")[2]
    assert last.startswith("every answer is kept in ") and last.endswith(", and the same command goes on from there")
