"""Run img2dataset over the URLs of a partition, as one shard."""

import contextlib
import io
import os
import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.download.fetching.limits import FetchLimits
from stages.download.fetching.spool import Spool, keep_bytes

_UNUSED = ("wandb", "pandas")  # img2dataset's modules import them


def download_shard(urls: list[tuple[str, str]], scratch: Path, limits: FetchLimits, spool: Spool) -> None:
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
    meanwhile; so are wandb and pandas, 0.3 s each, for a logger that nobody starts and lists in JSON.
    """
    os.environ["WANDB_MODE"] = "disabled"
    spec = find_spec("img2dataset")
    if spec is None or "img2dataset" in sys.modules:  # missing: the import says so; imported: nothing is saved
        return import_module("img2dataset.reader").Reader, import_module("img2dataset.downloader").Downloader
    package = ModuleType("img2dataset")
    package.__path__ = list(spec.submodule_search_locations or ())
    sys.modules["img2dataset"] = package
    empty = [name for name in _UNUSED if name not in sys.modules]
    sys.modules |= {name: ModuleType(name) for name in empty}
    try:
        return import_module("img2dataset.reader").Reader, import_module("img2dataset.downloader").Downloader
    finally:
        for name in ("img2dataset", *empty):  # who imports a package gets all of it
            del sys.modules[name]


def _write_input(urls: list[tuple[str, str]], scratch: Path) -> str:
    """Write img2dataset's input and return its path.

    Each URL carries its fetch_id as fragment, the key of the guard's note: a fragment is never sent, and unlike the
    URL it survives urllib's trimming of spaces and brackets.
    """
    # A lone surrogate cannot be written; such a URL cannot be requested either, and the empty one is refused.
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
