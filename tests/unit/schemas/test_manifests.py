"""The manifests in the repository are valid, and a faulty one is refused with file and key."""

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.corpora import LABELLED_CODES, RELEASED_CODE
from schemas.manifests import MANIFESTS, ManifestError, load_keywords, load_published
from stages.readers.corpora import load_corpora, load_corpus, manifest_faults

PUB11 = {"laion2b", "coyo700m", "laioncoco", "laion400m", "wit", "yfcc15m", "cc12m", "redcaps", "cc3m", "sbu", "vg"}


def test_every_manifest_is_a_corpus() -> None:
    corpora = load_corpora()
    assert set(corpora) >= {"laion2b", "coyo700m", "cc3m"}
    assert corpora["laion2b"].is_withdrawn
    assert "Re-LAION" in corpora["laion2b"].replaced_by
    assert not any(corpus.may_redistribute_images for corpus in corpora.values() if corpus.half == "pub11")


def test_labelled_corpora_have_half_and_reader_and_no_columns() -> None:
    labelled = {code: corpus for code, corpus in load_corpora().items() if corpus.half == "rs3"}
    own = {code: code for code in LABELLED_CODES}
    assert {code: corpus.reader for code, corpus in labelled.items()} == {**own, RELEASED_CODE: "rs5m_tars"}
    assert not any(corpus.columns for corpus in labelled.values())
    assert [labelled[code].n_rows_published for code in LABELLED_CODES] == [727_144, 590_326, 990_848]


@pytest.mark.parametrize(
    ("code", "path", "is_ignored"),
    [
        ("fmow", "val/", True), ("fmow", "fmow-rgb/test/0000001/x.jpg", True), ("fmow", "train/", False),
        ("fmow", "groundtruth/seq_gt_mapping.json", True), ("fmow", "train/dam/dam_1/dam_1_0_rgb.png", False),
        ("ben", "v1/S2A_MSIL2A_20170617T113321_4_55/S2A_MSIL2A_20170617T113321_4_55_B8A.tif", True),
        ("ben", "v1/S2A_MSIL2A_20170617T113321_4_55/S2A_MSIL2A_20170617T113321_4_55_B10.tif", False),
        ("ben", "S1/S1A_IW_GRDH_1SDV_20170613T165043_33UUP_87_48/", True), ("ben", "Reference_Maps/", True),
        ("millionaid", "train/", True), ("millionaid", "test.zip.017", True), ("millionaid", "test/x.jpg", False),
        ("cc3m", "anything", False), ("cc3m", "GCC-1.1.0-Validation.tsv", True),
        ("cc12m", "cc_hashes/cc12m.tsv.gz", True), ("cc12m", "cc12m.csv", False),
    ],
)  # fmt: skip
def test_published_files_that_are_not_read_are_ignored(code: str, path: str, is_ignored: bool) -> None:
    corpus = load_corpora()[code]
    assert corpus.is_ignored(path) == is_ignored and corpus.match_file(path) is None


@pytest.mark.parametrize(
    ("code", "path", "part"),
    [
        ("laion2b", "part-00012-5114fd87-297e-42b0-9d11-50f1df323dfa-c000.snappy.parquet", 12),
        ("coyo700m", "data/part-00127-17da4908-939c-46e5-91d0-15f256041956-c000.snappy.parquet", 127),
        ("coyo700m", "data/_SUCCESS", None),
        ("cc3m", "GCC-training.tsv", 0),
        ("cc3m", "Train_GCC-training.tsv", 0),
        ("cc3m", "Validation_GCC-1.1.0-Validation.tsv", None),
        ("cc3m", "Image_Labels_Subset_Train_GCC-Labels-training.tsv", 0),
        ("yfcc15m", "yfcc100m_dataset", 0),
        ("yfcc15m", "deep/yfcc100m_dataset-7.bz2", 7),
        ("yfcc15m", "yfcc100m_dataset.sql", 0),
        ("yfcc15m", "yfcc100m_dataset.sql.bz2", None),
        ("redcaps", "redcaps_v1.0_annotations.zip", 0),
        ("redcaps", "annotations/earthporn_2017.json", 0),
        ("redcaps", "earthporn_2017.json", None),
        ("sbu", "sbu-captions-all.tar.gz", 0),
        ("sbu", "deep/sbu-captions-all.json", 0),
        ("vg", "image_data.json.zip", 0),
        ("vg", "region_descriptions_v1.json", 0),
        ("vg", "images.zip", None),
        ("yfcc15m", "yfcc100m_subset_data.tsv.bz2", 0),
    ],
)
def test_part_is_the_number_in_the_published_name(code: str, path: str, part: int | None) -> None:
    assert load_corpora()[code].part_of(path) == part


def test_companions_are_not_source_files_and_most_corpora_have_none() -> None:
    corpora = load_corpora()
    labels, photo_list = "Image_Labels_Subset_Train_GCC-Labels-training.tsv", "yfcc100m_subset_data.tsv"
    with_one = {
        code for code, corpus in corpora.items() if corpus.is_companion(labels) or corpus.is_companion(photo_list)
    }
    assert with_one == {"cc3m", "yfcc15m"}
    assert not corpora["cc3m"].is_companion("GCC-training.tsv") and corpora["cc3m"].match_file(labels) is None
    assert not corpora["yfcc15m"].is_companion("yfcc100m_dataset-0.bz2")


def test_keywords_are_the_42_of_the_paper_and_2_optional() -> None:
    keywords = load_keywords()
    assert [len(group.patterns) for group in keywords.groups] == [27, 15, 2]
    assert len(keywords.patterns()) == 42
    assert set(keywords.patterns(has_spaced_sentinel=True)) - set(keywords.patterns()) == {"Sentinel 1", "Sentinel 2"}


def test_every_published_row_adds_up() -> None:
    rows = {row.source: row for row in load_published().funnel}
    assert set(rows) == PUB11 | {"Total"}
    for row in rows.values():
        assert row.downloaded - row.invalid - row.duplicate - row.outlier == row.remain, row.source


def test_the_published_total_is_the_sum_of_the_corpora() -> None:
    rows = load_published().funnel
    total = next(row for row in rows if row.source == "Total")
    for figure in ("keyword", "downloaded", "invalid", "duplicate", "outlier", "remain"):
        assert sum(getattr(row, figure) for row in rows if row is not total) == getattr(total, figure), figure


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('code = "cc3m"', 'code = "cc3n"', "key code"),
        ('reader = "tsv"', 'reader = "csv"', "key reader"),
        ("url = [1]", "url = [2]", "field positions 0 and 1"),
        ("url = [1]", "uri = [1]", "key columns"),
        ('title = "Conceptual Captions 3M"', 'titel = "x"', "key titel"),
        ("(?:.*/)?", "(", "key file_pattern"),
        ("date_checked = ", "date_checked = = ", "not TOML"),
        ("is_withdrawn = false", "is_withdrawn = true", "replaced_by"),
        ('half = "pub11"', 'half = "rs3"', "do not go together"),
        ('reader = "tsv"', 'reader = "fmow"', "do not go together"),
        ("url = [1]", "url = []", "no source is named for ['url']"),
        ("companion_pattern = '", "companion_pattern = '(", "key companion_pattern"),
        ('reader = "tsv"', 'reader = "yfcc"', "known to its reader"),
        ("is_size_swapped = false", "is_last_field_rest = 2", "key is_last_field_rest"),
    ],
)
def test_a_faulty_manifest_is_refused_by_file_and_key(tmp_path: Path, old: str, new: str, key: str) -> None:
    text = (MANIFESTS / "corpora" / "cc3m.toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "cc3m.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ManifestError) as caught:
        load_corpus("cc3m", tmp_path)
    assert str(path) in str(caught.value)
    assert key in str(caught.value)


@pytest.mark.parametrize("code", ["vg", "yfcc15m"])
def test_a_reader_that_needs_a_companion_wants_its_pattern(tmp_path: Path, code: str) -> None:
    text = (MANIFESTS / "corpora" / f"{code}.toml").read_text(encoding="utf-8")
    kept = [line for line in text.splitlines() if not line.startswith("companion_pattern = ")]
    (tmp_path / f"{code}.toml").write_text("\n".join(kept), encoding="utf-8")
    with pytest.raises(ManifestError, match=f"{code}.toml: key companion_pattern: expected a pattern for the file"):
        load_corpus(code, tmp_path)


def test_a_mistake_in_any_key_of_any_manifest_is_named_and_affects_no_other_corpus(tmp_path: Path) -> None:
    rng, n_tried, n_faulty = random.Random(5), 0, 0
    texts = {path.stem: path.read_text(encoding="utf-8") for path in (MANIFESTS / "corpora").glob("*.toml")}
    (tmp_path / "sound.toml").write_text(texts["cc3m"].replace('code = "cc3m"', 'code = "sound"'))
    for code, text in sorted(texts.items()):
        path = tmp_path / f"{code}.toml"
        for mistaken in _mistakes(text, rng):
            path.write_bytes(mistaken)
            faults, corpora = manifest_faults(tmp_path), load_corpora(tmp_path)
            assert "sound" in corpora and set(faults) == {code} - set(corpora)
            assert all(str(path) in fault for fault in faults.values())
            n_tried, n_faulty = n_tried + 1, n_faulty + len(faults)
        path.unlink()
    assert n_tried > 300 and n_faulty > 200


def _mistakes(text: str, rng: random.Random) -> Iterator[bytes]:
    lines = text.splitlines(keepends=True)
    keys = [n for n, line in enumerate(lines) if re.match(r"\w+ = ", line)]
    for n in keys:
        key, line = lines[n].partition(" = ")[0], lines[n]
        value = rng.choice(["[[1]]", "{a = 1}", "1979-01-01", "nan", '"("', "9" * 5000, "[" * 2000, "true", '"', "-1"])
        for wrong in (f"{key} = {value}\n", f"{key}x = 1\n", line + line):
            yield "".join([*lines[:n], wrong, *lines[n + 1 :]]).encode()
    data = text.encode()
    for _ in range(5):
        yield data[: rng.randrange(len(data))]
        yield data[: (at := rng.randrange(len(data)))] + bytes([rng.randrange(256)]) + data[at + 1 :]


def test_a_corpus_of_two_columns_needs_five_keys_and_its_rights_must_be_stated(tmp_path: Path) -> None:
    lines = [
        'reader = "parquet"',
        "file_pattern = '.*\\.parquet'",
        'columns = {url = "link", source_caption = "text"}',
        'annotation_licence = "CC-BY-4.0"',
        'image_rights = "Each image belongs to its owner."',
    ]
    path = tmp_path / "mine.toml"
    path.write_text("\n".join(lines))
    corpus = load_corpora(tmp_path)["mine"]
    assert (corpus.code, corpus.title, corpus.half, corpus.columns["url"]) == ("mine", "mine", "pub11", ("link",))
    assert not corpus.may_redistribute_annotations and not corpus.may_redistribute_images
    for line in lines:
        path.write_text("\n".join(other for other in lines if other != line))
        assert f"{path}: key {line.partition(' ')[0]}" in manifest_faults(tmp_path)["mine"]


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        (r"(?P<part>.*)\.parquet", "one.parquet"),
        (r"(?P<part>\d+)\.parquet", "20250101000000.parquet"),
        (r"(?P<part>-?\d+)\.parquet", "-1.parquet"),
        (r"(?P<hex_part>.*)\.parquet", "xyz.parquet"),
    ],
)
def test_a_file_number_beyond_the_columns_range_is_a_fault_of_the_pattern(pattern: str, name: str) -> None:
    corpus = load_corpora()["datacomp"].model_copy(update={"file_pattern": pattern})
    with pytest.raises(ManifestError, match=r"datacomp.toml: key file_pattern"):
        corpus.part_of(name)


def test_missing_manifests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="found none"):
        load_corpora(tmp_path)
    with pytest.raises(ManifestError, match="cannot be read"):
        load_keywords(tmp_path / "keywords.toml")


def test_a_repeated_keyword_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keywords.toml"
    path.write_text('reference = "x"\n[[group]]\nname = "a"\nis_on = true\npatterns = ["USGS", "usgs"]\n')
    with pytest.raises(ManifestError, match="repeats"):
        load_keywords(path)
