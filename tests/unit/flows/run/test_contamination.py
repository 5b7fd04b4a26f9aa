"""EVAL on the command line: how it is resolved and remembered, and what is printed."""

from pathlib import Path

import pytest

from flows.cli import main
from flows.options import parse, remember, settings_of
from tests.small_build import Build


def evaluation_of(build: Path, *words: str) -> str:
    options = parse([*words, "--build", str(build)])
    found = str(settings_of(options).by_stage["list_evaluation"][0].model_dump()["evaluation"])
    build.mkdir(exist_ok=True)
    remember(options)
    return found


def test_eval_is_remembered_until_another_or_none_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'my "sets"').mkdir()
    build = tmp_path / "build"
    assert evaluation_of(build, "build") == ""
    assert evaluation_of(build, "stage", "contamination", "--eval", 'my "sets"') == str(tmp_path / 'my "sets"')
    assert evaluation_of(build, "build") == evaluation_of(build, "tables") == str(tmp_path / 'my "sets"')
    assert evaluation_of(build, "build", "--eval", "none") == evaluation_of(build, "status") == ""


def test_the_matrix_is_printed_and_hashes_are_shared(
    finished: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build = finished.copy_to(tmp_path / "build")
    said = build.arguments(tmp_path)
    assert main(["stage", "contamination", *said]) == 0
    printed = capsys.readouterr().out
    assert "pictures that evaluation sets share" in printed and "caption_list" in printed
    assert "equal pixels" in printed and "no split" in printed and "n by pixels" not in printed
    assert "no evaluation set was named" not in printed
    out = tmp_path / "hashes.parquet"
    assert main(["eval-hashes", *said, "--out", str(out)]) == 0
    assert "hashes and keypoints of 8 pictures of 2 evaluation sets" in capsys.readouterr().out
    marked = build.rows("contaminated")
    assert main(["stage", "contamination", *said, "--eval", str(out)]) == 0
    shared = build.with_settings(contamination={"evaluation": str(out)})
    assert shared.rows("contaminated") == marked and len(marked) >= 10
    assert not shared.rows("contaminated_caption")
    # EVAL=none: every table is empty, and the command says so.
    printed = capsys.readouterr().out
    assert "dataset/ lacks" not in printed
    assert main(["stage", "contamination", *said, "--eval", "none"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "no evaluation set was named" in printed
    assert "until the next `make build`, dataset/ lacks CITATION.cff, LICENSES.md, README.md" in printed
    assert " files of tables/" in printed
    none = build.with_settings(contamination={"evaluation": ""})
    assert not any(none.rows(t) for t in ("evaluation_image", "contaminated", "evaluation_overlap", "contamination"))
    assert main(["eval-hashes", *said, "--eval", "none", "--out", str(out)]) == 2


def test_a_faulty_eval_is_wrong_input(finished: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build = finished.copy_to(tmp_path / "build")
    said = ["stage", "contamination", *build.arguments(tmp_path)]
    assert main([*said, "--eval", str(tmp_path / "nowhere")]) == 2
    assert "nowhere is missing" in capsys.readouterr().out
    (tmp_path / "hashes.parquet").write_bytes(b"PAR1")
    assert main([*said, "--eval", str(tmp_path / "hashes.parquet")]) == 2
    assert "cannot be read as parquet" in capsys.readouterr().out
    assert main(said) == 0  # a fault is not remembered
