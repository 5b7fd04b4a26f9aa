import io
import tarfile

import numpy as np
import pytest
import webdataset

from stages.shard.tar_writer import PLAIN_SIZE, TarWriter, _full_header, _header

MEMBERS = ("img_name", "img_content", "caption")


def both(samples: list[tuple[str, dict[str, bytes]]]) -> tuple[bytes, bytes]:
    own, theirs = io.BytesIO(), io.BytesIO()
    with TarWriter(own) as writer:
        for key, members in samples:
            writer.write(key, members)
    with webdataset.TarWriter(theirs, encoder=False, mtime=0) as writer:
        for key, members in samples:
            writer.write({"__key__": key, **members})
    return own.getvalue(), theirs.getvalue()


@pytest.mark.parametrize("n_samples", [0, 1, 2, 7, 40])
def test_a_tar_equals_webdatasets(n_samples: int) -> None:
    random = np.random.default_rng(n_samples)
    samples = [
        (f"laion2b_0_{n}", {name: random.bytes(int(random.integers(0, 3000))) for name in MEMBERS})
        for n in range(n_samples)
    ]
    own, theirs = both(samples)
    assert own == theirs
    assert len(own) % tarfile.RECORDSIZE == 0


@pytest.mark.parametrize(
    "key", ["a", "k" * 90, "k" * 91, "k" * 92, "k" * 130, "k" * 300, "ü", "Bild 1/über alles", "x/y", "\udcff", "a b:c"]
)
def test_long_and_non_ascii_names_have_the_standard_librarys_headers(key: str) -> None:
    own, theirs = both([(key, {"caption": b"text", "img_content": b"x" * 513})])
    assert own == theirs
    with tarfile.open(fileobj=io.BytesIO(own)) as tar:
        assert tar.getnames() == [f"{key}.caption", f"{key}.img_content"]


@pytest.mark.parametrize("n_bytes", [0, 1, 8**10, PLAIN_SIZE - 1, PLAIN_SIZE, PLAIN_SIZE + 1])
def test_a_size_beyond_the_plain_header_gets_an_extended_one(n_bytes: int) -> None:
    assert _header("a.caption", n_bytes) == _full_header("a.caption", n_bytes)
    member = tarfile.TarInfo.frombuf(_header("a.caption", min(n_bytes, PLAIN_SIZE - 1)), "utf-8", "strict")
    assert member.size == min(n_bytes, PLAIN_SIZE - 1)


def test_a_tar_has_no_end_after_an_error() -> None:
    file = io.BytesIO()
    with pytest.raises(ZeroDivisionError), TarWriter(file) as writer:
        writer.write("a", {"caption": b""})
        raise ZeroDivisionError
    assert len(file.getvalue()) == tarfile.BLOCKSIZE
