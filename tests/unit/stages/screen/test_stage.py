from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from schemas.fields import FIELD
from schemas.manifests import ManifestError, load_placeholders
from stages.checks import check_outcome
from stages.screen.stage import SCREEN, ScreenParams, screen


def test_a_known_placeholder_is_rejected_without_being_opened() -> None:
    row = {"fetch_id": "a" * 32, "n_bytes": 5, "body_sha256": "b" * 64, "body_file": "tar", "body_offset": 0}

    def table(names: tuple[str, ...], rows: list[dict[str, Any]]) -> pa.Table:
        return pa.Table.from_pylist(rows, pa.schema([(name, FIELD[name].type) for name in names]))

    fetched, labelled = (table(reads.columns, rows) for reads, rows in zip(SCREEN.reads, ([row], []), strict=True))
    inputs = {"fetched": fetched, "labelled_image": labelled}
    tools = {"decoder": None, "labelled_decoder": None, "placeholders": {"b" * 64: "photo no longer available"}}
    context = SimpleNamespace(params=ScreenParams(), tools=tools, files=None, advance=lambda n_done: None)
    outcome = screen(inputs, context)  # type: ignore[arg-type]
    check_outcome(SCREEN, inputs, outcome)
    assert outcome.kept.num_rows == 0
    assert [tuple(r.values()) for r in outcome.rejects.to_pylist()] == [
        ("a" * 32, "placeholder", "known picture: photo no longer available")
    ]


def test_the_list_of_placeholders_has_digests_with_notes(tmp_path: Path) -> None:
    assert all(len(digest) == 64 and note for digest, note in load_placeholders().items())
    path = tmp_path / "placeholders.toml"
    path.write_text(f'[[picture]]\nbody_sha256 = "{"a" * 64}"\nnote = "gone"\n')
    assert load_placeholders(path) == {"a" * 64: "gone"}
    path.write_text('[[picture]]\nbody_sha256 = "a"\nnote = "gone"\n')
    with pytest.raises(ManifestError, match=r"picture\.0\.body_sha256"):
        load_placeholders(path)
