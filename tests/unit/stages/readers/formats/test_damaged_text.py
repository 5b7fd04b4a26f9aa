"""Damage to text files of CC3M, CC12M, WIT, YFCC15M and RS5M's lists ends no run, and torn rows are marked."""

import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.filter.filtering import Filtered
from tests.damage import MUTATIONS
from tests.json_corpora import filter_files

N_ROWS = 60
SEEDS = range(2)
# Bytes removed from inside one line to inside another leave valid lines, which only the published digest shows.
SILENT = {"removed", "overwritten", "cut", "cut after a line", "cut after a comma", "cut inside a character", "empty"}
SILENT |= {"other value"}
WIT_COLUMNS = (
    "language page_url image_url page_title section_title hierarchical_section_title caption_reference_description"
    " caption_attribution_description caption_alt_text_description mime_type original_height original_width"
    " is_main_image attribution_passes_lang_id page_changed_recently context_page_description"
    " context_section_description"
)
YFCC_COLUMNS = (
    "photoid uid unickname datetaken dateuploaded capturedevice title description usertags machinetags longitude"
    " latitude accuracy pageurl downloadurl licensename licenseurl serverid farmid secret secretoriginal ext marker"
)


def wit() -> bytes:
    rows = [WIT_COLUMNS.split()]
    for n in range(N_ROWS):
        caption = (
            f'"landsat {n}\nof ""a"" farm"' if n % 7 == 0 else f'"landsat ""{n}"" é"' if n % 5 == 0 else f"landsat {n}"
        )
        page = ["en", f"https://en.wikipedia.org/wiki/{n}", f"https://upload.wikimedia.org/{n}.jpg", f"P {n}", "", ""]
        rows.append(
            [*page, caption, "English: x", "", "image/jpeg", "10", "20", "true", "true", "true", "a page", "of"]
        )
    return "".join("\t".join(row) + "\n" for row in rows).encode()


def cc3m() -> bytes:
    return "".join(f"landsat {n} é of a farm\thttp://a.example/{n}.jpg\n" for n in range(N_ROWS)).encode()


def cc12m() -> bytes:
    return "".join(f"http://a.example/{n}.jpg\tlandsat {n} é of\ta farm\n" for n in range(N_ROWS)).encode()


def sample_list() -> bytes:
    rows = ["img_name,text,url"]
    for n in range(N_ROWS):
        text = (
            f'"landsat {n}\nand, more"'
            if n % 10 == 0
            else f'"landsat {n}, ""a"" farm"'
            if n % 3 == 0
            else f"landsat {n} é"
        )
        rows.append(f"laion2b_{n}_{7 * n}.jpg,{text},http://a.example/{n}.jpg")
    return ("\r\n".join(rows) + "\r\n").encode()


def yfcc_rows() -> list[list[str]]:
    names = YFCC_COLUMNS.split()
    known = [
        {"photoid": 1000 + 3 * n, "title": f"landsat+{n}", "downloadurl": f"http://a.example/{n}.jpg", "ext": "jpg",
         "description": "of+a+farm+" * (400 if n % 10 == 0 else 10), "licensename": "Attribution", "marker": 0}
        for n in range(N_ROWS)
    ]  # fmt: skip
    return [[str(row.get(name, "")) for name in names] for row in known]


def yfcc_lines() -> bytes:
    return "".join("\t".join(row) + "\n" for row in yfcc_rows()).encode()


def yfcc_database() -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE TABLE yfcc100m_dataset ({', '.join(YFCC_COLUMNS.split())})")
    connection.executemany(f"INSERT INTO yfcc100m_dataset VALUES ({', '.join('?' * 23)})", yfcc_rows())
    connection.commit()
    return connection.serialize()


def photo_list() -> bytes:
    return b"".join(b"%d\t%d\t%032x\n" % (n, 1000 + 3 * n, n) for n in range(N_ROWS))


Make = Callable[[], bytes]
Recorder = Callable[[str, int], None]
# Corpus, and name and content of each file, the damaged one first; the list of photos is a companion.
CASES: dict[str, tuple[str, dict[str, Make]]] = {
    "cc3m": ("cc3m", {"GCC-training.tsv": cc3m}),
    "cc12m": ("cc12m", {"cc12m.tsv": cc12m}),
    "wit": ("wit", {"wit_v1.train.all-00000-of-00010.tsv": wit}),
    "list": ("rs5m", {"list.csv": sample_list}),
    "yfcc": ("yfcc15m", {"yfcc100m_dataset-0": yfcc_lines, "yfcc100m_subset_data.tsv": photo_list}),
    "yfcc sqlite": ("yfcc15m", {"yfcc100m_dataset.sql": yfcc_database, "yfcc100m_subset_data.tsv": photo_list}),
    "yfcc list": ("yfcc15m", {"yfcc100m_subset_data.tsv": photo_list, "yfcc100m_dataset-0": yfcc_lines}),
}


def filtered(folder: Path, case: str, change: Callable[[bytes], bytes]) -> Filtered:
    code, files = CASES[case]
    own, companions = [], []
    for number, (name, make) in enumerate(files.items()):
        path = folder / name
        path.write_bytes(make() if number else change(make()))
        (companions if "subset" in name else own).append(path)
    return filter_files(code, own, companions)


@pytest.mark.parametrize("case", CASES)
def test_all_rows_of_intact_files_are_kept(tmp_path: Path, case: str) -> None:
    found = filtered(tmp_path, case, lambda data: data)
    assert found.counts["kept"] == found.counts["given"] == N_ROWS


@pytest.mark.parametrize("change", MUTATIONS)
@pytest.mark.parametrize("case", CASES)
def test_damage_ends_no_run_and_every_loss_is_marked(
    tmp_path: Path, case: str, change: str, record_property: Recorder
) -> None:
    for seed in SEEDS[:1] if "block" in change else SEEDS:
        record_property(f"damaged {case}", 1)
        draw = random.Random(f"{case} {change} {seed}")
        found = filtered(tmp_path, case, lambda data, draw=draw: MUTATIONS[change](data, draw))  # type: ignore[misc]
        is_marked = found.counts["damaged_source"] + found.counts["wrong_columns"] > 0
        assert found.counts["given"] >= N_ROWS or is_marked or change in SILENT


def flip(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1 << 5]) + data[place + 1 :]


def test_flipped_quotes_lose_no_rows_of_a_list(tmp_path: Path, record_property: Recorder) -> None:
    quotes = [place for place, byte in enumerate(sample_list()) if byte == 34]
    record_property("damaged list", len(quotes))
    for place in quotes:
        found = filtered(tmp_path, "list", lambda data, place=place: flip(data, place))  # type: ignore[misc]
        assert found.counts["kept"] >= N_ROWS - 2 and found.counts["given"] >= N_ROWS


@pytest.mark.parametrize("case", ["cc3m", "cc12m", "wit", "list"])
def test_rows_joined_by_a_lost_line_end_are_marked(tmp_path: Path, case: str, record_property: Recorder) -> None:
    data = next(iter(CASES[case][1].values()))()
    ends = [place for place, byte in enumerate(data) if byte == 10]
    record_property(f"damaged {case}", len(ends[1:-1]))
    for place in ends[1:-1]:
        found = filtered(tmp_path, case, lambda data, place=place: flip(data, place))  # type: ignore[misc]
        assert found.counts["damaged_source"] > 0 or found.counts["given"] == N_ROWS


@pytest.mark.parametrize("case", ["cc3m", "cc12m", "wit", "list"])
def test_a_file_that_ends_inside_a_row_is_marked_but_not_one_without_its_last_line_end(
    tmp_path: Path, case: str
) -> None:
    found = filtered(tmp_path, case, lambda data: data.rstrip(b"\r\n"))
    assert found.counts["kept"] == found.counts["given"] == N_ROWS
    found = filtered(tmp_path, case, lambda data: data[: data.rstrip(b"\r\n").rindex(b"\n") + 9])
    assert (found.counts["kept"], found.counts["damaged_source"], found.counts["given"]) == (N_ROWS - 1, 1, N_ROWS)


@pytest.mark.parametrize("n_mib", [1, 5])
@pytest.mark.parametrize("end", [b"", b"\n\n"])
@pytest.mark.parametrize("block", [b"a", b'"', b"\0"])
@pytest.mark.parametrize("case", ["cc3m", "cc12m", "wit", "list"])
def test_a_block_without_a_line_end_is_one_row(
    tmp_path: Path, case: str, block: bytes, end: bytes, n_mib: int, record_property: Recorder
) -> None:
    record_property(f"damaged {case}", 1)
    found = filtered(tmp_path, case, lambda data: data + (block * (n_mib << 20))[: n_mib << 20] + end)
    reasons = ("field_too_large", "wrong_field_count", "damaged_source", "bad_record")
    refused = sum(found.counts[reason] for reason in reasons)
    assert found.counts["kept"] == N_ROWS and refused == found.counts["given"] - N_ROWS <= 2


@pytest.mark.parametrize("case", [case for case in CASES if case != "yfcc sqlite"])
@pytest.mark.parametrize("end", [b"\n\x1a", b"\x1a" * 128])
def test_the_end_mark_of_dos_is_no_row_and_in_no_field(tmp_path: Path, case: str, end: bytes) -> None:
    whole = filtered(tmp_path, case, lambda data: data)
    marked = filtered(tmp_path, case, lambda data: data.removesuffix(b"\n") + end)
    assert (marked.counts, marked.malformed.num_rows) == (whole.counts, 0)
    assert marked.candidates.equals(whole.candidates)


@pytest.mark.parametrize("case", ["cc3m", "cc12m", "wit", "yfcc"])
def test_byte_order_marks_and_carriage_returns_are_in_no_field(tmp_path: Path, case: str) -> None:
    whole = filtered(tmp_path, case, lambda data: data)
    marked = filtered(tmp_path, case, lambda data: b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"))
    assert marked.counts == whole.counts and marked.candidates["url"] == whole.candidates["url"]
    if case != "wit":  # a line end in a quoted caption is text
        assert marked.candidates["source_caption"] == whole.candidates["source_caption"]
    for name in ("utf-16", "utf-16-le", "utf-16-be"):
        found = filtered(tmp_path, case, lambda data, name=name: data.decode().encode(name))  # type: ignore[misc]
        assert found.counts["kept"] == 0 and found.counts["damaged_source"] > 0
        assert "found UTF-16" in found.malformed["detail"][0].as_py()
