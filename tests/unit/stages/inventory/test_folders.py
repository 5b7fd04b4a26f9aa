"""Paths beside the corpus folders are listed with a reason; near misses of a code are pointed out."""

import os
from pathlib import Path

import pytest

from schemas.corpora import load_corpora
from stages.contract import InputError
from stages.inventory.folders import chosen_codes, look_at, near_corpus
from tests.unit.stages.inventory.test_tree import as_nobody

CORPORA = load_corpora()


def reasons(sources: Path, *chosen: str) -> dict[str, str]:
    return {path: reason for _, path, reason, _ in look_at(sources, CORPORA, chosen).rejects}


def codes(sources: Path, *chosen: str) -> list[str]:
    return [corpus.code for corpus in look_at(sources, CORPORA, chosen).corpora]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("LAION2B", "laion2b"), ("laion-2b", "laion2b"), ("Laion_2B", "laion2b"), ("laion2b-en", "laion2b"),
        ("laion2B_en", "laion2b"), ("LAION-400M", "laion400m"), ("coyo-700m", "coyo700m"), ("Coyo", "coyo700m"),
        ("CC-3M", "cc3m"), ("cc_12m", "cc12m"), ("yfcc-15m", "yfcc15m"), ("RedCaps", "redcaps"),
        ("red_caps", "redcaps"), ("cc3m_tables", "cc3m"), ("laion", "laion2b"), ("witness", ""),
        ("WIT", "wit"), ("SBU", "sbu"), ("VG", "vg"), ("visual_genome", "vg"), ("fMoW", "fmow"), ("fmow-rgb", "fmow"),
        ("BEN", "ben"), ("BigEarthNet-S2", "ben"), ("Million-AID", "millionaid"), ("MillionAid ", "millionaid"),
        ("laioncoco", "laioncoco"), ("laion-coco", "laioncoco"), ("data-comp", "datacomp"), ("RS5M", "rs5m"),
        ("flickr30k", ""), ("backup", ""), ("notes", ""), ("images", ""), ("2b", ""),
    ],
)  # fmt: skip
def test_a_folder_with_nearly_the_name_of_a_corpus_is_pointed_out(name: str, code: str) -> None:
    assert near_corpus(name, CORPORA) == code


def test_paths_beside_the_corpora_have_a_reason(tmp_path: Path) -> None:
    for name in ("cc3m", "coyo700m", "LAION2B", "other", ".git"):
        (tmp_path / name).mkdir()
    for name in ("notes.txt", "part-00000-x.parquet", "wit", "x.tsv.part", "caf\udce9"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "sbu").symlink_to("nowhere")
    (tmp_path / "laion400m").symlink_to("coyo700m")
    os.mkfifo(tmp_path / "pipe")
    assert codes(tmp_path) == ["cc3m", "coyo700m"]
    assert reasons(tmp_path, "cc3m") == {
        ".git": "hidden_file", "LAION2B": "no_reader", "other": "no_reader", "coyo700m": "left_out",
        "notes.txt": "loose_file", "part-00000-x.parquet": "loose_file", "wit": "loose_file",
        "x.tsv.part": "partial_download", "caf\\udce9": "unreadable", "sbu": "unreadable", "pipe": "unreadable",
        "laion400m": "left_out",
    }  # fmt: skip
    found = {path: (reason, detail) for _, path, reason, detail in look_at(tmp_path, CORPORA, ()).rejects}
    assert found["LAION2B"] == ("no_reader", "did you mean laion2b?")
    assert found["laion400m"] == ("reached_twice", "the same folder as coyo700m")
    assert "move it into that folder" in found["part-00000-x.parquet"][1]


def test_folders_of_other_corpora_are_known_except_one_that_contains_this(tmp_path: Path) -> None:
    (tmp_path / "store/inner").mkdir(parents=True)
    (tmp_path / "cc3m").symlink_to("store")
    (tmp_path / "wit").symlink_to("store/inner")
    folders = look_at(tmp_path, CORPORA, ())
    assert folders.others("wit") == () and folders.others("cc3m") == (str((tmp_path / "store/inner").resolve()),)


def test_a_near_miss_is_named_if_there_is_no_corpus(tmp_path: Path) -> None:
    (tmp_path / "LAION-2B").mkdir()
    with pytest.raises(InputError, match=r"has no corpus: .*found LAION-2B: did you mean laion2b\?"):
        look_at(tmp_path, CORPORA, ())


def test_unreadable_sources_are_named(tmp_path: Path) -> None:
    (tmp_path / "sources/cc3m").mkdir(parents=True)

    def ask() -> str:
        try:
            look_at(Path("sources"), CORPORA, ())
        except InputError as error:
            return str(error)
        return ""

    (tmp_path / "sources").chmod(0)
    try:
        assert "SOURCES=sources cannot be read: Permission denied" in str(as_nobody(tmp_path, ask))
    finally:
        (tmp_path / "sources").chmod(0o755)


def test_labelled_corpora_are_left_out_of_a_web_only_build(tmp_path: Path) -> None:
    for name in ("cc3m", "fmow", "millionaid"):
        (tmp_path / name).mkdir()
    found = look_at(tmp_path, CORPORA, (), halves="pub11")
    assert [corpus.code for corpus in found.corpora] == ["cc3m"]
    assert {path: (reason, detail) for _, path, reason, detail in found.rejects} == dict.fromkeys(
        ("fmow", "millionaid"), ("left_out", "inventory.halves is pub11")
    )
    assert chosen_codes(CORPORA, ("cc3m", "fmow"), "pub11") == ("cc3m",)
    assert chosen_codes(CORPORA, (), "both") == ()
    assert not {"fmow", "ben", "millionaid"} & set(chosen_codes(CORPORA, (), "pub11"))
    with pytest.raises(InputError, match="leave no corpus"):
        chosen_codes(CORPORA, ("fmow",), "pub11")
