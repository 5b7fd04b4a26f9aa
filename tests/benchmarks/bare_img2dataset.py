"""img2dataset without its resizer, the baseline of the download benchmark."""

import contextlib
import io
import os
import urllib.request
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stages.download.fetching.spool import keep_bytes


def fetch_bare(urls: list[str], folder: Path, n_threads: int, urls_per_shard: int) -> int:
    """Fetch the URLs with img2dataset's opener and tar writer, without digests; return the number of bytes written."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    urllib.request.install_opener(None)  # type: ignore[arg-type]  # a download in this process installed a guarded one
    folder.mkdir(parents=True)
    listed = folder / "urls.parquet"
    pq.write_table(pa.table({"url": urls}), listed)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        from img2dataset.downloader import Downloader
        from img2dataset.reader import Reader
        from img2dataset.writer import WebDatasetSampleWriter

        reader = Reader(
            url_list=str(listed),
            input_format="parquet",
            url_col="url",
            caption_col=None,
            verify_hash_col=None,
            verify_hash_type=None,
            save_additional_columns=None,
            number_sample_per_shard=urls_per_shard,
            done_shards=set(),
            tmp_path=str(folder),
        )
        downloader = Downloader(
            sample_writer_class=WebDatasetSampleWriter,
            resizer=keep_bytes,
            thread_count=n_threads,
            save_caption=False,
            extract_exif=False,
            output_folder=str(folder),
            column_list=reader.column_list,
            timeout=10,
            number_sample_per_shard=urls_per_shard,
            oom_shard_count=5,
            compute_hash=None,
            verify_hash_type=None,
            encode_format="jpg",
            retries=0,
            user_agent_token="bench",
            disallowed_header_directives=["noai"],
        )
        for shard in reader:
            downloader.download_shard(shard)
    return sum(path.stat().st_size for path in folder.glob("*.tar"))
