"""Every sample of PUB11's released tars is a candidate or rejected with a reason; a bad tar stops no other."""

import hashlib
from pathlib import Path

import pyarrow as pa

from schemas.manifests import load_keywords
from stages.filter.filtering import Filtered, Search, filter_source
from stages.filter.strict import StrictRules
from stages.plan.urls import plan_urls
from stages.readers.batch import SourceFiles
from stages.readers.corpora import load_corpora
from stages.readers.rs5m_tars.located import parse_located
from tests.released_tars import picture, sample, write_release

CORPUS = load_corpora()["rs5m"]
LONG = "harbour " * 12_500  # 100 kB


def filtered(folder: Path) -> Filtered:
    files = tuple((path, 0) for path in sorted(folder.rglob("*.tar")))
    keywords = load_keywords()
    search = Search(keywords.patterns(), StrictRules(keywords.strict))
    return filter_source(SourceFiles(files, root=folder), CORPUS, search)


def test_samples_keep_their_names_and_texts_and_have_locations(tmp_path: Path) -> None:
    path = write_release(
        tmp_path / "rs5m/train/pub11-train-0000.tar",
        [("000001", sample("laion2b_0_0", "no keyword")), ("000002", sample("coyo_3_7.jpg", LONG)),
         ("000003", sample("cc3m_0_1", "nul \0 inside")), ("000004", sample("laion2b_0_5", "  "))],
    )  # fmt: skip
    found = filtered(tmp_path)
    rows = found.candidates.to_pylist()
    assert [(r["sample_id"], r["corpus"]) for r in rows] == [
        ("laion2b_0_0", "laion2b"), ("coyo700m_3_7", "coyo700m"), ("cc3m_0_1", "cc3m")
    ]  # fmt: skip
    assert [r["caption"] for r in rows] == ["no keyword", LONG.strip(), "nul inside"]
    assert {r["annotation_licence"] for r in rows} == {"CC-BY-NC-4.0"}
    for row in rows:
        place = parse_located(row["url"])
        assert place is not None and place.path == "rs5m/train/pub11-train-0000.tar"
        body = path.read_bytes()[place.offset : place.offset + place.n_bytes]
        assert body.startswith(b"\xff\xd8") and hashlib.sha256(body).hexdigest() == place.sha256
    assert found.counts["given"] == 4 and found.counts["no_caption"] == 1
    planned = plan_urls(found.candidates["url"]).to_pylist()
    assert [p["normalised_url"] for p in planned] == [r["url"] for r in rows]
    assert {p["host"] for p in planned} == {"rs5m/train/pub11-train-0000.tar"}


def test_bad_samples_have_reasons_and_other_tars_are_read(tmp_path: Path) -> None:
    good = sample("laion2b_0_1")
    write_release(
        tmp_path / "rs5m/train/pub11-train-0000.tar",
        [("1", good), ("2", {k: v for k, v in sample("laion2b_0_2").items() if k != "img_content"}),
         ("laion2b_0_3", {"img_content": picture(1), "caption": b"x"}), ("a/b.c", sample("a/b.c")),
         ("../../etc", sample("../../etc/passwd")), ("4", sample("laion2b_0_4", b"\xff\xfe")),
         ("5", sample("laion2b_0_5", b"x" * ((1 << 20) + 1))), ("6", sample("fmow_a_0_0_rgb")),
         ("7", sample("n" * 2000))],
    )  # fmt: skip
    cut = write_release(tmp_path / "rs5m/train/pub11-train-0001.tar", [("1", good), ("8", sample("laion2b_0_8"))])
    cut.write_bytes(cut.read_bytes()[: cut.read_bytes().index(b"8.img_content") + 600])
    write_release(tmp_path / "rs5m/val/pub11-val-0000.tar", [("1", good), ("9", sample("laion2b_0_9"))])
    write_release(tmp_path / "rs5m/val/pub11-val-0001.tar", [])
    found = filtered(tmp_path)
    assert found.candidates["sample_id"].to_pylist() == ["laion2b_0_1", "laion2b_0_9"]
    rejects = {(r["sample_id"], r["reason"]) for r in found.malformed.to_pylist()}
    assert rejects == {
        ("laion2b_0_2", "bad_record"), ("laion2b_0_3", "bad_record"), ("rs5m_0_3", "bad_record"),
        ("rs5m_0_4", "bad_record"), ("laion2b_0_4", "invalid_utf8"), ("laion2b_0_5", "field_too_large"),
        ("rs5m_0_7", "labelled_sample"), ("rs5m_0_8", "field_too_large"), ("rs5m_1_1", "damaged_source"),
    }  # fmt: skip
    details = [r["detail"] for r in found.malformed.to_pylist()]
    assert any("no member img_content" in d for d in details) and any("cut short" in d for d in details)
    counts = dict(found.counts)
    assert counts.pop("given") == 13 == sum(counts.values()) and counts["listed_again"] == 2


def test_a_url_of_another_corpus_cannot_name_a_file() -> None:
    sha, at = "0" * 64, "?offset=0&n_bytes=9&sha256="
    for path in ("../../etc/passwd", "rs5m/../secret.tar", "laion2b/a.parquet", "rs5m/train/pub11-train-0000.tar/../x"):
        (row,) = plan_urls(pa.array([f"sources:{path}{at}{sha}"])).to_pylist()
        assert row["reason"] == "unsupported_scheme" and parse_located(f"sources:{path}{at}{sha}") is None
