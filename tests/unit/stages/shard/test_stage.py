import hashlib
import io
import re
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from flows.ask.fates import write_fates
from flows.ask.tars import tars
from flows.run.executor import InlineExecutor
from stages.contract import InputError, Reads
from stages.screen.strip_metadata import strip_metadata
from stages.shard import bodies
from stages.shard.bodies import strip_body
from stages.shard.dealing import ShardParams, deal, deal_out
from stages.shard.stage import WRITE_SHARDS
from tests.contract.inputs import call_stage
from tests.small_build import FATES, Build, draw

KNOWN = [("train", 28), ("train", 1), ("train", 16)]
MEMBERS = ("img_name", "img_content", "caption")
GROUPS = [f"image-{n}" for n in range(20_000)]


def test_dealing_depends_only_on_group_seed_and_parameters() -> None:
    params = ShardParams()
    assert [deal(g, params) for g in GROUPS[:50]] == [deal(g, ShardParams()) for g in GROUPS[:50]]
    assert [deal(g, params) for g in GROUPS[:50]] != [deal(g, ShardParams(seed="other")) for g in GROUPS[:50]]
    # Pinned values: a change would move every published sample.
    assert [deal(g, params) for g in GROUPS[:3]] == KNOWN


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3])
def test_shares_are_as_set_and_shards_are_even(share: float) -> None:
    dealt = [deal(group, ShardParams(val_share=share, n_shards=8)) for group in GROUPS]
    n_val = sum(split == "val" for split, _ in dealt)
    assert abs(n_val / len(GROUPS) - share) < 0.01
    counts = Counter(number for _, number in dealt)
    assert set(counts) == set(range(8))
    assert max(counts.values()) < 1.1 * min(counts.values())


def test_a_further_sample_or_another_share_moves_few_samples() -> None:
    before = {g: deal(g, ShardParams(val_share=0.05)) for g in GROUPS}
    after = {g: deal(g, ShardParams(val_share=0.06)) for g in GROUPS}
    moved = [g for g in GROUPS if before[g] != after[g]]
    assert 0 < len(moved) < 0.02 * len(GROUPS)
    assert {before[g][0] for g in moved} == {"train"} and {after[g][0] for g in moved} == {"val"}


def test_the_number_of_a_shard_has_four_digits_at_most() -> None:
    with pytest.raises(ValueError, match="less than or equal to 9999"):
        ShardParams(n_shards=10_000)


def test_a_tar_has_three_members_per_sample_sorted_by_sample_id(finished: Build) -> None:
    texts = {row["sample_id"]: row["caption"] for row in finished.rows("candidate", ["sample_id", "caption"])}
    metas = {row["sample_id"]: row["meta_caption"] for row in finished.rows("geometa")}
    for row in finished.rows("caption"):
        texts[row["sample_id"]] = " ".join(t for t in (metas[row["sample_id"]], row["generated_caption"]) if t)
    planned = {row["sample_id"]: row for row in finished.rows("shard_plan")}
    seen = []
    for name, path in tars(finished.ledger()).items():
        with tarfile.open(path) as tar:
            members = tar.getmembers()
            assert {(m.mtime, m.isfile()) for m in members} == {(0, True)}
            for one, two, three in zip(*[iter(members)] * 3, strict=True):
                key = one.name.split(".")[0]
                assert {m.name for m in (one, two, three)} == {f"{key}.{n}" for n in MEMBERS}
                body = {m.name.split(".")[1]: tar.extractfile(m).read() for m in (one, two, three)}  # type: ignore[union-attr]
                assert body["img_name"].decode() == planned[key]["img_name"]
                assert body["caption"].decode() == texts[key]
                assert name == f"{planned[key]['split']}/{planned[key]['shard']}.tar"
                seen.append(key)
                if key == "laion2b_0_12":
                    assert body["img_content"] == draw(12, "png")
        keys = [m.name.split(".")[0] for m in members]
        assert keys == sorted(keys)
    assert sorted(seen) == sorted(planned)
    assert len(seen) == 38 + 8
    assert all((stage == "write_shards") == (sample in seen) for sample, (stage, _) in FATES.items())
    halves = {name.split("/")[1].split("-")[0] for name in tars(finished.ledger())}
    assert halves == {"pub11", "rs3"}


def test_views_of_one_scene_are_in_one_split(finished: Build) -> None:
    splits = {row["sample_id"]: row["split"] for row in finished.rows("shard_plan")}
    assert splits["fmow_dam_3_0_rgb"] == splits["fmow_dam_3_0_msrgb"]


@pytest.mark.parametrize("rule", ["groups", "random"])
def test_a_group_is_in_one_split_unless_the_published_rule_is_set(rule: str) -> None:
    rows = pa.table(
        {
            "sample_id": [f"s{n}" for n in range(4000)],
            "group_key": [f"g{n // 4}" for n in range(4000)],
            "is_train_group": [n // 4 % 2 == 0 for n in range(4000)],
            "own_key": [f"i{n}" for n in range(4000)],
            "half": ["pub11"] * 4000,
        }
    )
    params = ShardParams(split_rule=rule, val_share=0.3)  # type: ignore[arg-type]
    found = deal_out(rows, params)
    splits: dict[str, set[str]] = {}
    for group, split in zip(rows["group_key"].to_pylist(), found["split"].to_pylist(), strict=True):
        splits.setdefault(group, set()).add(split)
    n_val = found["split"].to_pylist().count("val")
    if rule == "random":
        assert found["split"].equals(found["random_split"]) and abs(n_val / 4000 - 0.3) < 0.03
        assert sum(len(of_group) == 2 for of_group in splits.values()) > 500
    else:
        assert all(len(of_group) == 1 for of_group in splits.values()) and abs(n_val / 4000 - 0.15) < 0.03
        assert {splits[f"g{n}"].pop() for n in range(0, 1000, 2)} == {"train"}
    names = zip(found["shard"].to_pylist(), found["split"].to_pylist(), strict=True)
    assert all(shard.split("-")[1] == split for shard, split in names)


def test_a_file_that_differs_from_the_screened_one_is_rejected_with_both_digests(tmp_path: Path) -> None:
    _, outcome = call_stage(WRITE_SHARDS, tmp_path)
    assert outcome.kept["sample_id"].to_pylist() == ["cc3m_0_2", "coyo700m_0_1", "laion2b_0_0"]
    (reject,) = outcome.rejects.to_pylist()
    assert reject["reason"] == "publication_changed"
    assert re.fullmatch("screen: another file; now: [0-9a-f]{64}", reject["detail"])


def jpeg_with(comment: str) -> bytes:
    stream = io.BytesIO()
    Image.radial_gradient("L").save(stream, "JPEG", comment=comment)
    return stream.getvalue()


def row_of(body: bytes, image_format: str = "JPEG") -> dict[str, Any]:
    published = strip_metadata(body, image_format).data
    return {
        "image_format": image_format,
        "exif_orientation": 1,
        "published_n_bytes": len(published),
        "published_sha256": hashlib.sha256(published).hexdigest(),
        "body_sha256": hashlib.sha256(body).hexdigest(),
        "body_file": "bodies.tar",
        "body_offset": 512,
    }


def test_the_digest_of_the_published_file_proves_its_body() -> None:
    body, other = jpeg_with("one"), jpeg_with("two")
    assert strip_body(body, row_of(body)) == (strip_metadata(body, "JPEG").data, "")
    assert strip_body(other, row_of(body)) == strip_body(body, row_of(body))


@pytest.mark.parametrize("place", [0, 3, 900, -20])
def test_a_body_of_another_picture_ends_the_stage(place: int) -> None:
    body = jpeg_with("one")
    changed = bytearray(body)
    changed[place] ^= 0x55
    with pytest.raises(InputError, match="does not hold the body"):
        strip_body(bytes(changed), row_of(body))


def test_a_changed_tiff_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.BytesIO()
    Image.radial_gradient("L").save(stream, "TIFF")
    row = row_of(stream.getvalue(), "TIFF")
    assert strip_body(stream.getvalue(), row)[1] == ""
    monkeypatch.setattr(bodies, "strip_metadata", lambda *given: pytest.fail("the body was decoded"))
    with pytest.raises(InputError, match="does not hold the body"):
        strip_body(stream.getvalue()[:-1] + b"x", row)


def test_contaminated_samples_are_removed_by_split_with_what_they_match(finished: Build, tmp_path: Path) -> None:
    build = finished.copy_to(tmp_path / "build")
    of_test = {row["sample_id"] for row in build.rows("contaminated") if row["evaluation_split"] == "test"}
    published = {row["sample_id"] for row in build.rows("shard_plan")}
    assert of_test & published and published - of_test
    choice = {"contaminated": "remove", "contaminated_splits": ["test"]}
    removed = build.with_settings(shard=choice)
    removed.run(InlineExecutor(), ["shard"])
    assert {row["sample_id"] for row in removed.rows("shard_plan")} == published - of_test
    names = ("sample_id", "reason", "detail")
    rejects = removed.ledger().read(Reads("shard_plan", names, is_whole=True, section="rejects")).to_pylist()
    assert {row["sample_id"] for row in rejects} == of_test & published
    details = {row["sample_id"]: row["detail"] for row in rejects if row["reason"] == "contaminated"}
    assert "alpha test: test/fourteen.png by pixels at 0.0" in details.values(), details
    fates_path = tmp_path / "fates.csv"
    assert write_fates(removed.ledger(), fates_path)["kept"] == len(published - of_test)
