"""The script that opens parquet files for stages/readers/parquet/opening.py, in a process that may crash.

Stages must not import it. It reads one path per line, and answers each with JSON lines: first the number of rows in the
footer, then Arrow's error, empty if the footer was read completely.
"""

import ctypes
import json
import os
import resource
import signal
import sys

import pyarrow as pa
import pyarrow.parquet as pq

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def walk(path: str) -> None:
    """Read a footer like the readers: its schema, and the metadata of every column of every row group."""
    with pq.ParquetFile(path, pre_buffer=False) as file:
        _answer({"n_rows": file.metadata.num_rows})
        _ = file.schema_arrow, file.schema
        for group in range(file.num_row_groups):
            row_group = file.metadata.row_group(group)
            for column in range(row_group.num_columns):
                chunk = row_group.column(column)
                _ = chunk.has_dictionary_page, chunk.dictionary_page_offset, chunk.data_page_offset


def main(memory_bytes: int, parent: int) -> None:
    """Read one footer after another until stdin ends."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before PR_SET_PDEATHSIG was set
        sys.exit("the parent process has ended")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and then ends this process
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    for line in sys.stdin:
        try:
            walk(json.loads(line))
        # Whatever Arrow raises is a property of the file: the reader gets it again and records it.
        except Exception as error:
            _answer({"fault": f"{type(error).__name__}: {error}"})
        else:
            _answer({"fault": ""})


def _answer(facts: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    pa.set_cpu_count(1)  # threads would use address space
    pa.set_io_thread_count(1)
    main(int(sys.argv[1]), int(sys.argv[2]))
