import io
import tarfile

import pytest
import webdataset

from stages.shard.layouts import LayoutParams, tar_key
from stages.shard.tar_writer import TarWriter

IDS = ["laion2b_0_0", "a.b", "a/b", "a%2Eb", "a%b", "./x..y", "über.alles", "k" * 120 + ".1"]


def test_keys_have_no_slash_or_dot_and_stay_distinct() -> None:
    keys = [tar_key(name) for name in IDS]
    assert len(set(keys)) == len(IDS)
    assert not [key for key in keys if "." in key or "/" in key]
    assert keys[0] == IDS[0]


def test_webdataset_groups_members_of_ids_with_special_characters() -> None:
    file = io.BytesIO()
    with TarWriter(file) as writer:
        for name in IDS:
            writer.write(tar_key(name), {"jpg": b"x", "json": b"{}", "txt": name.encode()})
    with tarfile.open(fileobj=io.BytesIO(file.getvalue())) as tar:
        members = [{"__url__": "", "fname": m.name, "data": tar.extractfile(m).read()} for m in tar]  # type: ignore[union-attr]
    samples = list(webdataset.tariterators.group_by_keys(members))
    assert [sample["txt"].decode() for sample in samples] == IDS
    assert all({"jpg", "json", "txt"} <= sample.keys() for sample in samples)


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(ValueError, match="'rs5m' or 'pairs'"):
        LayoutParams(layouts=("coco",))  # type: ignore[arg-type]
