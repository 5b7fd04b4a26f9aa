"""One attempt per URL through img2dataset's own Reader and Downloader: bodies into a tar, fates into rows.

Not for retries or for choosing what is fetched: a pass hands over what it takes, once.
"""

import contextlib
import hashlib
import io
import os
import re
import shutil
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Self
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from stages.download.fetching.answer import Note
from stages.download.fetching.faults import Refused
from stages.download.fetching.guard import Guard
from stages.download.fetching.limits import FetchLimits
from stages.download.fetching.spool import Spool, keep_bytes
from stages.readers.rs5m_tars.located import Located

__all__ = ["Attempt", "FetchLimits", "fetch"]

_FETCH_ID = re.compile(r"[0-9a-f]{32}")
# The opener and the redirected output belong to the whole process.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Attempt:
    """What became of one URL.

    Attributes:
        reason: reject reason, None if fetched.
        n_bytes: size of the decoded body; 0 is also a fetched body.
        sha256: sha256 of the decoded body, in hex.
        md5: MD5 of the decoded body, in hex.
        tar_offset: offset of the body's first byte in the tar.
        retry_after_s: the server's Retry-After.
        fetch_ms: time without waiting for a host slot.
        peer_address: IP address of the last connection.
        final_url: URL of the last request, or of the refused one.
    """

    fetch_id: str
    is_fetched: bool
    reason: str | None
    detail: str | None
    http_status: int | None
    n_bytes: int | None
    sha256: str | None
    md5: str | None
    tar_offset: int | None
    retry_after_s: float | None
    fetch_ms: int
    peer_address: str | None
    final_url: str | None

    @classmethod
    def withdrawn(cls, fetch_id: str) -> Self:
        """Return the attempt of a withdrawn URL, which was not requested."""
        return cls(fetch_id, False, "withdrawn", None, None, None, None, None, None, None, 0, None, None)

    @classmethod
    def located(cls, fetch_id: str, url: str, place: Located) -> Self:
        """Return the attempt of an image in a released tar, without a request."""
        found = (place.n_bytes, place.sha256, None, place.offset)  # screen computes its MD5
        return cls(fetch_id, True, None, None, None, *found, None, 0, None, url)


def fetch(
    urls: Sequence[tuple[str, str]],
    *,
    tar_path: Path,
    work: Path,
    limits: FetchLimits,
    pass_number: int = 0,
    on_progress: Callable[[int], None] | None = None,
) -> list[Attempt]:
    """Fetch every URL once; return one attempt per URL, in the given order, and write the bodies to one tar.

    Runs in this process and installs the guarded opener in it; calls from several threads take turns. Bodies in
    flight are held in memory: at most limits.max_bytes times twice limits.n_threads (those that arrive, and those
    that wait for the writer).

    Args:
        urls: pairs of fetch_id (32 hex digits, unique) and URL.
        tar_path: written whole, or not at all if this raises.
        work: folder for what is only needed meanwhile; what this leaves in it is nothing.
        limits: times, bytes, concurrency.
        pass_number: hosts that are given up are given up for this pass.
        on_progress: called in this thread with the number of URLs done; what it raises ends the fetch, what it prints
            is lost (the output of this process is shut while img2dataset runs).

    Raises:
        ValueError: a fetch_id is malformed or occurs twice.
        OSError: the tar or the work folder cannot be written.
    """
    _check_ids([fetch_id for fetch_id, _ in urls])
    scratch = work / "fetching"
    with _ONE_AT_A_TIME:
        shutil.rmtree(scratch, ignore_errors=True)  # of a process that died
        scratch.mkdir(parents=True)
        guard = Guard(limits, pass_number=pass_number)
        spool = Spool(tar_path, on_write=on_progress, on_failure=guard.stop)
        try:
            urllib.request.install_opener(guard)
            _download(_take_turns(urls, pass_number), scratch, limits, spool)
            failure = spool.failure or guard.failure
            if failure is not None:
                raise failure
            spool.finish()
        finally:
            guard.stop()
            guard.close()
            spool.close()
            shutil.rmtree(scratch, ignore_errors=True)
    return [attempt_of(fetch_id, guard.notes.get(fetch_id, Note()), spool) for fetch_id, _ in urls]


def _check_ids(fetch_ids: list[str]) -> None:
    """Refuse ids that could not be tar members or would mix up two URLs."""
    for fetch_id, n_times in Counter(fetch_ids).items():
        if not _FETCH_ID.fullmatch(fetch_id):
            raise ValueError(f"a fetch_id is 32 lower-case hex digits, found {fetch_id!r}")
        if n_times > 1:
            raise ValueError(f"fetch_id {fetch_id} occurs {n_times} times")


def _take_turns(urls: Sequence[tuple[str, str]], pass_number: int) -> list[tuple[str, str]]:
    """Return the URLs with hosts taking turns: threads that wait for one slow host would keep all others waiting.

    A host's own URLs come in another order in each pass: what makes it silent may be a few that follow each other.
    """
    n_before: Counter[str] = Counter()
    turns = []
    for fetch_id, url in sorted(urls, key=lambda one: hashlib.sha256(f"{pass_number} {one[0]}".encode()).digest()):
        try:
            host = urlsplit(url).netloc.lower()
        except ValueError:
            host = ""
        turns.append((n_before[host], fetch_id, url))
        n_before[host] += 1
    return [(fetch_id, url) for _, fetch_id, url in sorted(turns, key=lambda turn: turn[0])]


def _download(urls: list[tuple[str, str]], scratch: Path, limits: FetchLimits, spool: Spool) -> None:
    """Run img2dataset over the URLs, as one shard, without its printed output.

    Raises:
        Exception: whatever ends the shard.
    """
    if not urls:
        return
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        reader_class, downloader_class = _img2dataset()
        reader = reader_class(
            url_list=_write_input(urls, scratch),
            input_format="parquet",
            url_col="url",
            caption_col=None,
            verify_hash_col=None,
            verify_hash_type=None,
            save_additional_columns=["fetch_id"],
            number_sample_per_shard=len(urls),
            done_shards=set(),
            tmp_path=str(scratch),
        )
        downloader = downloader_class(
            sample_writer_class=spool.writer,
            resizer=keep_bytes,
            thread_count=min(limits.n_threads, len(urls)),
            save_caption=False,
            extract_exif=False,
            output_folder=str(scratch),
            column_list=reader.column_list,
            timeout=limits.timeout_s,
            number_sample_per_shard=len(urls),
            oom_shard_count=5,
            compute_hash=None,
            verify_hash_type=None,
            encode_format="bin",
            retries=0,
            user_agent_token=None,
            disallowed_header_directives=None,  # the guard reads them, robots' names and all
        )
        for shard in reader:
            # Calling the downloader itself would turn an exception into printed text.
            downloader.download_shard(shard)


@cache
def _img2dataset() -> tuple[Any, Any]:
    """Return img2dataset's Reader and Downloader.

    Its package imports torch, albumentations and OpenCV for writers and resizers that are not used here: 3 s of CPU
    and 300 MB in every worker. These two modules do without, so they are imported from a package that is empty
    meanwhile.
    """
    os.environ["WANDB_MODE"] = "disabled"
    spec = find_spec("img2dataset")
    if spec is None or "img2dataset" in sys.modules:  # missing: the import says so; imported: nothing is saved
        return import_module("img2dataset.reader").Reader, import_module("img2dataset.downloader").Downloader
    package = ModuleType("img2dataset")
    package.__path__ = list(spec.submodule_search_locations or ())
    sys.modules["img2dataset"] = package
    try:
        return import_module("img2dataset.reader").Reader, import_module("img2dataset.downloader").Downloader
    finally:
        del sys.modules["img2dataset"]  # who imports the package gets all of it


def _write_input(urls: list[tuple[str, str]], scratch: Path) -> str:
    """Write img2dataset's input and return its path.

    Each URL carries its fetch_id as fragment, the key of the guard's note: a fragment is never sent, and unlike the
    URL it survives urllib's trimming of spaces and brackets.
    """
    # A lone surrogate cannot be written; such a URL cannot be asked for either, and the empty one is refused.
    tagged = [f"{url}#{fetch_id}" if url.isascii() or _is_unicode(url) else "" for fetch_id, url in urls]
    path = scratch / "urls.parquet"
    pq.write_table(pa.table({"url": tagged, "fetch_id": [fetch_id for fetch_id, _ in urls]}), path)
    return str(path)


def _is_unicode(url: str) -> bool:
    try:
        url.encode()
    except UnicodeEncodeError:
        return False
    return True


def attempt_of(fetch_id: str, note: Note, spool: Spool) -> Attempt:
    """Return the row of one URL, from the guard's note and img2dataset's result."""
    body = spool.bodies.get(fetch_id)
    refused = None if body is not None else _refusal(note, spool.errors.get(fetch_id))
    return Attempt(
        fetch_id=fetch_id,
        is_fetched=body is not None,
        reason=refused.reason if refused else None,
        detail=refused.detail if refused else None,
        http_status=note.http_status,
        n_bytes=body.n_bytes if body else None,
        sha256=body.sha256 if body else None,
        md5=body.md5 if body else None,
        tar_offset=body.offset if body else None,
        retry_after_s=note.retry_after_s,
        fetch_ms=note.fetch_ms,
        peer_address=note.peer_address,
        final_url=note.final_url,
    )


def _refusal(note: Note, error: str | None) -> Refused:
    """Return why there is no body; the guard's own word counts more than img2dataset's."""
    if error is None:
        return Refused("no_result", "img2dataset gave no result")
    if note.reason is not None:
        return Refused(note.reason, note.detail or "")
    # The guard saw nothing of it: urllib could not make a request of the URL.
    return Refused("invalid_response" if note.final_url is None else "no_result", error)
