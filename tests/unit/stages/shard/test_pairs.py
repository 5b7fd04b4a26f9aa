"""Tars of both layouts with hostile ids and texts, and a disk that fills in the middle of one."""

import errno
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import webdataset

from flows.ask.rs5m_loader import Loader
from flows.ask.tars import tar_digests
from flows.run.executor import InlineExecutor
from flows.run.runner import StageFailure
from stages.contract import Inputs, Stage
from stages.shard import tar_writer
from stages.shard.pairs import WRITE_PAIRS
from stages.shard.stage import WRITE_SHARDS
from tests.contract.inputs import call_stage
from tests.small_build import Build

TEXTS = ("before\x00behind\r\n\x1b[31m\u202e", "harbour " * 12_500)  # the second has 100 kB
IDS = ("redcaps_a/../b.jpg", "yfcc15m_%2E.txt")


def hostile(inputs: Inputs) -> Inputs:
    """Return the inputs with other ids and texts for the first and the last sample, which both stages keep."""
    known = sorted(inputs["shard_plan"]["sample_id"].to_pylist())
    known = [known[0], known[-1]]
    ids, texts = dict(zip(known, IDS, strict=True)), dict(zip(known, TEXTS, strict=True))
    return {name: pa.table(changed(table, ids, texts), table.schema) for name, table in inputs.items()}


def changed(table: pa.Table, ids: Mapping[str, str], texts: Mapping[str, str]) -> Mapping[str, list[Any]]:
    columns = table.to_pydict()
    names = columns["sample_id"]
    for column in {"published_text", "caption"} & columns.keys():
        columns[column] = [texts.get(name, value) for name, value in zip(names, columns[column], strict=True)]
    columns["sample_id"] = [ids.get(name, name) for name in names]
    return columns


@pytest.mark.parametrize(("stage", "text"), [(WRITE_PAIRS, "txt"), (WRITE_SHARDS, "caption")])
def test_hostile_ids_and_texts_are_whole_in_the_tar_and_for_its_readers(
    stage: Stage, text: str, tmp_path: Path
) -> None:
    _, outcome = call_stage(stage, tmp_path / "files", hostile)
    assert set(IDS) <= set(outcome.kept["sample_id"].to_pylist())
    (tmp_path / "tars").mkdir()
    tar = shutil.copy(outcome.files[0], tmp_path / "tars/pub11-train-0000.tar")
    samples = list(webdataset.WebDataset(str(tar), shardshuffle=False))
    assert len(samples) == outcome.kept.num_rows
    assert {sample[text].decode() for sample in samples} >= set(TEXTS)
    assert set(TEXTS) <= {found for batch in Loader(str(tmp_path / "tars")) for found in batch.texts}
    for sample in samples:
        if "json" in sample:
            assert json.loads(sample["json"])["published_text"] == sample["txt"].decode()


def test_a_disk_that_fills_in_a_tar_leaves_none_and_the_next_run_completes_it(
    finished: Build, damaged: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tar_digests(damaged.ledger())
    shutil.rmtree(damaged.root / "pair")
    put = tar_writer.TarWriter._put

    def full(self: tar_writer.TarWriter, data: bytes) -> None:
        if self._n_bytes > 10_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        put(self, data)

    with monkeypatch.context() as patched:
        patched.setattr(tar_writer.TarWriter, "_put", full)
        with pytest.raises(StageFailure, match="the disk is full: write_pairs could not write"):
            damaged.run(InlineExecutor(), ["shard"])
    state = damaged.ledger().state(damaged.stage("write_pairs"))
    assert not state.is_complete
    assert len(list((damaged.root / "pair").rglob("*.tar"))) == len(state.receipts)  # no half of a tar stays
    damaged.run(InlineExecutor(), ["shard"])
    assert tar_digests(damaged.ledger()) == before == tar_digests(finished.ledger())
