"""Reads the source files of a generated world back in the simplest way, for the tests of the world."""

import bz2
import csv
import gzip
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

import pyarrow.parquet as pq

from flows.demo.world.captions import holds_keyword
from flows.demo.world.corpora import CC3M, CC12M, COCO, COYO, LAION, LAION400M, REDCAPS, SBU, VG, WIT, YFCC


class SourceRow(NamedTuple):
    """A row of a source file.

    Attributes:
        sample_id: the row's id by the design's rule.
        caption: the caption; several are joined by line ends.
        searched: the texts that are searched for keywords, each on its own.
        fault: the reject reason of a row that is rejected whatever its text; "" if none.
    """

    sample_id: str
    caption: str | None = None
    url: str | None = None
    searched: tuple[str, ...] = ()
    fault: str = ""

    @property
    def reason(self) -> str:
        """The reason for which the filter rejects or counts the row; "" for a candidate."""
        if self.fault and self.fault != "shifted_row":
            return self.fault
        if not any(text.strip() for text in self.searched):
            return "no_caption"
        if not any(holds_keyword(text) for text in self.searched):
            return "no_keyword"
        return self.fault or ("" if self.url else "no_url")


def read_sources(sources: Path) -> list[SourceRow]:
    """Return the rows of all web corpora; those of a corpus are in file order."""
    rows: list[SourceRow] = []
    for corpus in (LAION, LAION400M, COCO, COYO):
        rows += _read_parquet(sources / corpus)
    rows += _read_records(sources / WIT)
    rows += _read_photos(sources / YFCC)
    rows += _read_lines(sources / CC12M / "cc12m.tsv", url_first=True)
    rows += _read_lines(sources / CC3M / "Train_GCC-training.tsv", url_first=False)
    rows += _read_posts(sources / REDCAPS)
    lists = json.loads((sources / SBU / "sbu-captions-all.json").read_text())
    pairs = zip(lists["captions"], lists["image_urls"], lists["user_ids"], strict=True)
    rows += [_plain(f"{SBU}_0_{n}", caption, url) for n, (caption, url, _) in enumerate(pairs)]
    return rows + list(_read_images(sources / VG))


def _plain(sample_id: str, caption: str | None, url: str | None, fault: str = "") -> SourceRow:
    return SourceRow(sample_id, caption, url, (caption or "",), fault)


def _read_parquet(folder: Path) -> Iterator[SourceRow]:
    for path in sorted(folder.iterdir()):
        part = int(path.name.split("-")[1])
        for n, row in enumerate(pq.read_table(path).to_pylist()):
            row = {name.lower(): value for name, value in row.items()}
            sample_id = f"{folder.name}_{part}_{n}"
            if "all_captions" in row:
                captions = row["all_captions"]
                joined = None if captions is None else "\n".join(captions)
                searched = (row["top_caption"] or "", *(captions or ()))
                yield SourceRow(sample_id, joined, row["url"], searched)
            else:
                is_shifted = folder.name == LAION400M and not -1 <= row["similarity"] <= 1
                yield _plain(sample_id, row["text"], row["url"], "shifted_row" if is_shifted else "")


def _read_records(folder: Path) -> Iterator[SourceRow]:
    for path in sorted(folder.iterdir()):
        part = int(path.name.split("-")[1])
        text = gzip.decompress(path.read_bytes()).decode(errors="surrogateescape")
        records = csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True)
        header = next(records)
        for n, fields in enumerate(records):
            sample_id = f"{WIT}_{part}_{n}"
            if any("\ud800" <= char <= "\udfff" for field in fields for char in field):
                yield SourceRow(sample_id, fault="invalid_utf8")
            elif len(fields) != 17:
                yield SourceRow(sample_id, fault="wrong_field_count")
            else:
                row = dict(zip(header, fields, strict=True))
                captions = (row[f"caption_{name}_description"] for name in ("reference", "attribution", "alt_text"))
                yield _plain(sample_id, next((text for text in captions if text.strip()), ""), row["image_url"])


def _read_lines(path: Path, *, url_first: bool) -> Iterator[SourceRow]:
    for n, line in enumerate(path.read_bytes().removesuffix(b"\n").split(b"\n")):
        sample_id = f"{path.parent.name}_0_{n}"
        try:
            fields = line.decode().split("\t", 1 if url_first else -1)
        except UnicodeDecodeError:
            yield SourceRow(sample_id, fault="invalid_utf8")
            continue
        if len(fields) != 2:
            yield SourceRow(sample_id, fault="wrong_field_count")
        else:
            yield _plain(sample_id, *(reversed(fields) if url_first else fields))


def _read_photos(folder: Path) -> Iterator[SourceRow]:
    lines = bz2.decompress((folder / "yfcc100m_dataset-0.bz2").read_bytes())
    lines += (folder / "yfcc100m_dataset-7").read_bytes()
    photos = {line.split(b"\t", 1)[0].decode(): line for line in lines.removesuffix(b"\n").split(b"\n")}
    listed = bz2.decompress((folder / "yfcc100m_subset_data.tsv.bz2").read_bytes()).decode().splitlines()
    seen = set()
    for photo in (entry.split("\t")[1] for entry in listed):
        fields = photos[photo].split(b"\t") if photo in photos else []
        sample_id, url, fault = f"{YFCC}_{photo}", None, ""
        caption = None
        if photo in seen:
            fault = "listed_again"
        elif not fields:
            fault = "no_metadata_row"
        elif fields[-1].endswith(b"\xff"):
            fault = "invalid_utf8"
        elif len(fields) != 23:
            fault = "wrong_field_count"
        else:
            caption = " ".join(text for text in (unquote_plus(fields[n].decode()) for n in (6, 7)) if text)
            url = fields[14].decode()
        seen.add(photo)
        yield _plain(sample_id, caption, url, fault)


def _read_posts(folder: Path) -> Iterator[SourceRow]:
    n, seen = 0, set()
    for path in sorted((folder / "annotations").iterdir()):
        for annotation in json.loads(path.read_text())["annotations"]:
            if not isinstance(annotation, dict) or "image_id" not in annotation:
                yield SourceRow(f"{REDCAPS}_0_{n}", fault="bad_record")
            else:
                image_id = annotation["image_id"]
                fault = "listed_again" if image_id in seen else ""
                yield _plain(f"{REDCAPS}_{image_id}", annotation["caption"], annotation["url"], fault)
                seen.add(image_id)
            n += 1


def _read_images(folder: Path) -> Iterator[SourceRow]:
    with zipfile.ZipFile(folder / "image_data.json.zip") as archive:
        images: list[dict[str, Any]] = json.loads(archive.read("image_data.json"))
    described = json.loads((folder / "region_descriptions.json").read_text())
    phrases = {entry["id"]: tuple(region["phrase"] for region in entry["regions"]) for entry in described}
    seen = set()
    for image in images:
        image_id = image["image_id"]
        texts = phrases.get(image_id)
        fault = "listed_again" if image_id in seen else ""
        caption = None if texts is None else "\n".join(texts)
        yield SourceRow(f"{VG}_{image_id}", caption, image["url"], texts or (), fault)
        seen.add(image_id)
