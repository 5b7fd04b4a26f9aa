"""Writer of the generated world's WIT: gzipped tab-separated files, quoted where needed."""

import gzip
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from flows.demo.world.rows import Row

NAME = "wit_v1.train.all-{:05d}-of-00010.tsv.gz"
COLUMNS = (
    "language", "page_url", "image_url", "page_title", "section_title", "hierarchical_section_title",
    "caption_reference_description", "caption_attribution_description", "caption_alt_text_description", "mime_type",
    "original_height", "original_width", "is_main_image", "attribution_passes_lang_id", "page_changed_recently",
    "context_page_description", "context_section_description",
)  # fmt: skip
_PAGES = ("Port_Amsel", "H%C3%BCttental", "%E6%96%B0%E6%B8%AF", "Lower_Tarn_(river)")
_CONTEXTS = (
    "A town by a river, with a harbour.", 'Its people call it "the old one".\nIt has two bridges.',
    "", "Ein Dorf\nam Fluss\n\nmit einer Brücke", "a\tb", "河畔的小镇。",
)  # fmt: skip
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_N_FIELDS_WRONG = (16, 18, 3)
_N_FIELDS_SPOILT = (6, 2, 16)  # indices of the fields that get an invalid UTF-8 byte


def write_pages(folder: Path, parts: Mapping[int, Sequence[Row]], seed: str) -> None:
    """Write one file per part, each with a header of column names."""
    for part, rows in parts.items():
        rng = random.Random(f"columns {seed} {part}")
        records = ["\t".join(COLUMNS).encode(), *(_record(row, rng) for row in rows)]
        packed = gzip.compress(b"".join(record + b"\n" for record in records), mtime=0)
        (folder / NAME.format(part)).write_bytes(packed)


def _record(row: Row, rng: random.Random) -> bytes:
    sides = (row.image.height_px, row.image.width_px) if row.image else (rng.randrange(200, 4000), 640)
    page, kind = rng.choice(_PAGES), row.image.extension if row.image else "jpg"
    language = row.texts.get("language", "en")
    fields = {
        "page_url": f"https://{language}.wikipedia.org/wiki/{page}",
        "image_url": row.url or "",
        "page_title": page.replace("_", " "),
        "section_title": rng.choice(("", "History", "Geography")),
        "hierarchical_section_title": f"{page} / History",
        "mime_type": f"image/{ {'jpg': 'jpeg', 'tif': 'tiff'}.get(kind, kind) }",
        "original_height": str(sides[0]),
        "original_width": str(sides[1]),
        **{name: rng.choice(("true", "false")) for name in COLUMNS[12:15]},
        **{name: rng.choice(_CONTEXTS) for name in COLUMNS[15:]},
        **row.texts,
    }
    values = [_quoted(fields[name]).encode() for name in COLUMNS]
    turn = row.texts.get("variant", 0) % 3
    if row.reason == "wrong_field_count":
        values = [*values, b"more"][: _N_FIELDS_WRONG[turn]]
    if row.reason == "invalid_utf8":
        # With control characters as well, the record would count as damage to the file.
        values = [_CONTROL.sub(b" ", value) for value in values]
        place = _N_FIELDS_SPOILT[turn]
        values[place] = values[place].removesuffix(b'"') + b"\xff" + b'"' * values[place].endswith(b'"')
    return b"\t".join(values)


def _quoted(value: str) -> str:
    """Return the field, quoted if it contains a tab, a line end or a quote."""
    return '"' + value.replace('"', '""') + '"' if any(char in value for char in '\t\r\n"') else value
