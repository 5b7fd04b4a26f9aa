"""Write the draft of a corpus's manifest from the schema of one of its files.

The draft leaves both rights to be filled in, and is invalid until they are.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from flows.options import make_word
from schemas import corpora
from schemas.corpora import CORPUS_CODES
from schemas.fields import FIELD
from schemas.manifest_files import shown
from stages.contract import InputError
from stages.images.formats import find_format
from stages.plurals import briefly
from stages.readers.batch import SourceFileError
from stages.readers.formats.texts import is_text
from stages.readers.parquet.opening import open_parquet

# Usual names of our columns, in order of preference; case and other characters than letters and digits do not count.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "url": ("url", "image_url", "img_url", "original_url", "image_link", "link", "src", "href", "uri"),
    "source_caption": ("caption", "text", "alt_text", "alt", "sentence", "title", "description"),
    "published_width_px": ("width", "original_width", "image_width"),
    "published_height_px": ("height", "original_height", "image_height"),
    "native_id": ("id", "sample_id", "uid", "image_id", "key"),
    "similarity": ("similarity", "clip_similarity_vitb32", "clip_b32_similarity_score"),
    "image_licence": ("license", "licence"),
    "nsfw": ("nsfw",),
    "punsafe": ("punsafe",),
    "pwatermark": ("pwatermark",),
    "stated_latitude_deg": ("latitude", "lat"),
    "stated_longitude_deg": ("longitude", "lon", "lng"),
    "language": ("language", "lang"),
}
_HEAD_BYTES, _N_LINES = 1 << 16, 100
_MAX_ODD_SHARE = 0.1  # of lines without two fields: more of them are another format
_OF_PICTURES = 'a folder of pictures needs a manifest alone (half = "rs3"): docs/corpora.md'
_UNDECIDED = "# Fill in and remove the #:"


def write_draft(code: str, file: Path) -> Path:
    """Write manifests/corpora/<code>.toml and return its path.

    Raises:
        InputError: the code or the file cannot be used, or the manifest exists.
    """
    if not re.fullmatch(r"[a-z0-9]+", code):
        raise InputError(f"CODE={code}: expected lower-case letters and digits, such as mycorpus")
    path = corpora.CORPORA / f"{code}.toml"
    if path.exists() or code in CORPUS_CODES:
        raise InputError(f"CODE={code}: {shown(path)} exists or is reserved for a corpus of RS5M; choose another code")
    if not file.is_file():
        hint = f"; {_OF_PICTURES}" if file.is_dir() else ""
        raise InputError(f"FILE={file} is not a file: name one file of the corpus{hint}")
    lines = "\n".join(_draft(file)) + "\n"
    with path.open("x", encoding="utf-8") as draft:  # never overwrites a file
        draft.write(lines)
    return path


def next_steps(code: str, file: Path, path: Path, profile: str, sources: Path, build: Path) -> Iterator[str]:
    """Yield the path of the draft and the next steps, as commands for these folders and this profile."""
    words = " ".join(make_word(*said) for said in (("profile", profile), ("sources", sources), ("build", build)))
    yield f"{shown(path)}: fill in annotation_licence and image_rights, check the columns. Then:"
    yield f"  make peek CORPUS={code} {make_word('file', file)}"
    yield f"  mkdir -p {shlex.quote(str(sources / code))}, and put the files there"
    yield f"  make inventory {words}"
    yield f"  make stage-filter {words}"


def _draft(file: Path) -> Iterator[str]:
    with file.open("rb") as opened:
        head = opened.read(_HEAD_BYTES)
    columns = list(_parquet_columns(file)) if head.startswith(b"PAR1") else list(_tsv_columns(file, head))
    yield f'reader = "{"parquet" if head.startswith(b"PAR1") else "tsv"}"'
    yield "# The group part is the number in a file's name; it is part of its samples' names and must be unique."
    yield f"file_pattern = '(?:.*/)?{_name_pattern(file)}'"
    yield f"{_UNDECIDED} the licence of the texts and tables, and the rights in the images."
    yield '# annotation_licence = "CC-BY-4.0"'
    yield '# image_rights = "Each image belongs to its owner; the corpus grants no right in it."'
    yield "may_redistribute_annotations = false"
    yield "may_redistribute_images = false"
    yield ""
    yield "[columns]"
    yield from columns


def _name_pattern(file: Path) -> str:
    """Return a pattern for names like a file's: its part is the first number that differs in all files beside it.

    If the file is alone or none does, the first number. A name that is a digest is read as a whole.
    """
    ending = file.suffix if re.fullmatch(r"\.\w+", file.suffix) else ""
    names = [
        path.name for path in file.parent.iterdir() if path.suffix == file.suffix and not path.name.startswith(".")
    ]
    if re.fullmatch(r"[0-9a-f]{16,}", file.stem):
        return rf"(?P<hex_part>[0-9a-f]+){re.escape(ending)}"
    before = [rf"(?:[^/\d]*\d+(?!\d)){{{n}}}" if n else "" for n in range(len(re.findall(r"\d+", file.stem)))]
    patterns = [rf"{skipped}[^/\d]*(?P<part>\d{{1,9}})(?!\d)[^/]*{re.escape(ending)}" for skipped in before]
    fitting = [pattern for pattern in patterns if re.fullmatch(pattern, file.name)]
    differing = [pattern for pattern in fitting if _numbers_all(pattern, names)]
    return (differing or fitting or [f"[^/]*{re.escape(ending)}"])[0]


def _numbers_all(pattern: str, names: Sequence[str]) -> bool:
    """Return whether a pattern finds another number in each of several names."""
    found = [re.fullmatch(pattern, name) for name in names]
    return len({int(one["part"]) for one in found if one}) == len(names)


def _parquet_columns(file: Path) -> Iterator[str]:
    try:
        with open_parquet(file) as opened:
            schema = opened.schema_arrow
    except SourceFileError as error:
        raise InputError(str(error)) from error
    by_name = {_bare(name): name for name in reversed(schema.names)}
    taken = set()
    for column, usual in _NAMES.items():
        fitting = [
            name for word in usual if (name := by_name.get(_bare(word))) and _fits(column, schema.field(name).type)
        ]
        if fitting:
            taken.add(fitting[0])
            yield f"{column} = [{_quoted(fitting[0])}]"
        elif column in ("url", "source_caption"):
            texts = [name for name in schema.names if _is_text(schema.field(name).type)]
            guess = _quoted(texts[0]) if texts else "NAME"
            yield f"# {column} = [{guess}]  # no column has this name; text columns: {_one_line(str(texts))}"
    if left := [f"{name} ({schema.field(name).type})" for name in schema.names if name not in taken]:
        yield f"# not read: {', '.join(map(_one_line, left))}"


def _fits(column: str, kind: pa.DataType) -> bool:
    if pa.types.is_nested(kind):
        return False
    return _is_text(kind) if column in ("url", "source_caption") else is_text(FIELD[column].type) or not _is_text(kind)


def _is_text(kind: pa.DataType) -> bool:
    return is_text(kind.value_type if pa.types.is_dictionary(kind) else kind)


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _tsv_columns(file: Path, head: bytes) -> Iterator[str]:
    if find_format(head):
        raise InputError(f"{file} is a picture: {_OF_PICTURES}")
    whole = head[: head.rfind(b"\n")] if len(head) == _HEAD_BYTES else head  # its last line may be cut
    lines = [line.decode("utf-8", "replace").split("\t") for line in whole.split(b"\n") if line][:_N_LINES]
    odd = [n for n, fields in enumerate(lines, 1) if len(fields) != 2]
    if len(odd) > _MAX_ODD_SHARE * len(lines) or not lines:
        numbers = sorted({len(fields) for fields in lines})
        raise InputError(
            f"{file}: expected a parquet file, or lines of two fields with a tab between (caption and URL);"
            f" found lines of {numbers or 'no'} fields. Add a reader for its format: docs/corpora.md"
        )
    if odd:
        yield f"# Not two fields, so rejected as wrong_field_count: {briefly([f'line {n}' for n in odd], 5)}"
    pairs = [fields for fields in lines if len(fields) == 2]
    n_urls = [sum(bool(re.match(r"\s*https?://", fields[n])) for fields in pairs) for n in (0, 1)]
    url = int(n_urls[1] >= n_urls[0])
    yield f"source_caption = [{1 - url}]"
    yield f"url = [{url}]"


def _quoted(name: str) -> str:
    escaped = "".join(f"\\{c}" if c in '"\\' else c if c.isprintable() else f"\\U{ord(c):08x}" for c in name)
    return f'"{escaped}"'


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
