"""Read RS3's released tars: labelled images with their published texts. PUB11's are read by rows.py.

Inventory lists the members of a tar as the files of samples, with generated names; nothing is unpacked.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from schemas.corpora import LABELLED_CODES
from schemas.corpus import Corpus
from stages.readers.fmow import reader as fmow
from stages.readers.formats.lines import MAX_LINE_BYTES
from stages.readers.labelled_records import (
    CorpusFiles,
    File,
    FileRole,
    Files,
    Placer,
    Reading,
    Sample,
    SampleFault,
)
from stages.readers.rs5m_tars.members import PackedSample, TarDamage, read_body, walk_samples
from stages.readers.rs5m_tars.rows import MAX_NAME_BYTES

# Letters, digits, dashes and underscores only: the name becomes a file name, a key in a tar and a word on a command
# line.
_NAME = re.compile(
    rf"((?:{'|'.join(LABELLED_CODES)})_[A-Za-z0-9_-]{{1,100}})(?:\.(?:jpe?g|png|webp|tiff?))?", re.IGNORECASE | re.ASCII
)
_TAR = re.compile(r"rs3-(train|val)-(\d{4})\.tar")

Listed = tuple[str, int, int]  # path under the corpus's folder, size in bytes, modification time in ns


def list_members(
    folder: Path, corpus: Corpus, tars: Iterable[Listed], report: Callable[[str, str, str], None]
) -> Iterator[Listed]:
    """Yield the members of tars as files, ordered by tar and member.

    A member's path is `<tar>/<sample_id>@<offset>.<ending>`. A sample with an invalid or repeated name is named by its
    tar and position; `read` rejects it with the reason.

    Args:
        folder: the corpus's folder under SOURCES.
        corpus: the corpus, whose code begins the names of rejected samples.
        tars: the tars.
        report: called with path, reason and detail of a tar that cannot be read to its end.
    """
    seen: set[str] = set()
    for path, _, mtime_ns in sorted(tars):
        try:
            with (folder / path).open("rb") as file:
                for sample in walk_samples(file):
                    sample_id = _sample_id(file, sample)
                    if sample_id in seen or sample_id is None:
                        sample_id = f"{corpus.code}_{partition_of(path)}-{sample.place}"
                    seen.add(sample_id)
                    for ending, body in sample.bodies.items():
                        yield f"{path}/{sample_id}@{body.offset}.{ending}", body.n_bytes, mtime_ns
                    if not sample.bodies:
                        report(f"{path}/{sample.key}", "unexpected_file", "a sample without name, image and caption")
        except TarDamage as damage:
            report(path, "unreadable", f"{damage}. Download it again")


def partition_of(path: str) -> str:
    """Return the split and number in a tar's path, such as train-0000."""
    found = _TAR.search(path)
    return f"{found[1]}-{found[2]}" if found else "train-0000"


def placer(corpus: Corpus, holding: CorpusFiles) -> Placer:
    """Return a function that assigns members to partitions: each tar is one."""

    def place(path: str, found: re.Match[str]) -> FileRole:
        return FileRole(found["sample"], f"{corpus.code}-{partition_of(path)}", found["role"])

    return place


def role_of(path: str, found: re.Match[str]) -> str:
    """Return a member's role, which is its ending."""
    return found["role"]


def scene_of(sample_id: str) -> str:
    """Return the scene of an FMoW view; any other sample is its own scene."""
    return fmow.scene_of(sample_id) if sample_id.startswith("fmow_") else sample_id


def is_sample_folder(name: str) -> bool:
    """Return False: no folder is a sample."""
    return False


def read(sample_id: str, files: Files, reading: Reading) -> Sample:
    """Return an image with its published text, and the class label in FMoW's names.

    Raises:
        SampleFault: a member is missing, a text is not UTF-8 or too long, or the name is invalid or repeated.
    """
    tar = next(iter(files.values())).path.rpartition("/")[0]
    name = _text("img_name", files, reading, tar, MAX_NAME_BYTES)
    if not _NAME.match(sample_id):
        if _NAME.fullmatch(name.strip()):
            raise SampleFault("named_again", f"{tar}: {name.strip()[:80]!r} is in a tar or place before")
        raise SampleFault(
            "bad_metadata", f"{tar}: expected an image name like fmow_airport_0_0_rgb.jpg, found {name[:80]!r}"
        )
    image = files.get("img_content")
    if image is None:
        raise SampleFault("missing_image", f"{tar}: no member img_content of {sample_id}")
    caption = _text("caption", files, reading, tar, MAX_LINE_BYTES)
    view = re.fullmatch(r"fmow_(.+)_\d+_\d+_(?:rgb|msrgb)", sample_id)
    labels = [view[1].replace("_", " ")] if view else []
    return Sample(f"{tar}/{sample_id}.jpg", image, scene_of(sample_id), labels, {"released_caption": caption})


def _sample_id(file: BinaryIO, sample: PackedSample) -> str | None:
    """Return the sample_id from the name member, or from the key without one; None if it is invalid."""
    body = sample.bodies.get("img_name")
    name = sample.key if body is None else read_body(file, body, MAX_NAME_BYTES).decode("utf-8", "replace")
    return labelled_id(name)


def labelled_id(name: str) -> str | None:
    """Return the sample_id of an image name of RS3; None if it is invalid."""
    found = _NAME.fullmatch(name.strip())
    if found is None:
        return None
    code, _, rest = found[1].partition("_")
    return f"{code.lower()}_{rest}"


def _text(role: str, files: Files, reading: Reading, tar: str, limit: int) -> str:
    file: File | None = files.get(role)
    if file is None:
        raise SampleFault("missing_metadata", f"{tar}: no member {role}")
    if file.size_bytes > limit:
        raise SampleFault("bad_metadata", f"{tar}: {role} has {file.size_bytes} bytes, more than {limit}")
    try:
        return reading.read_file(file).decode()
    except UnicodeDecodeError as error:
        raise SampleFault("bad_metadata", f"{tar}: {role} is not UTF-8 at byte {error.start}") from error
