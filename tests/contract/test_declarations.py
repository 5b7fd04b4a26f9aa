import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas import statistic_tables, tables
from schemas.fields import FIELD, FIELDS
from schemas.reasons import REASON, REASONS
from schemas.tables import Table
from stages import MODULES, STAGES
from stages.contract import COUNTS_SCHEMA, Stage

ROOT = Path(__file__).parent.parent.parent
LAYERS = ("schemas", "stages", "flows")
# The layers that a layer may import. Only flows/watch/orchestrate.py and flows/deploy may import an orchestrator.
MAY_IMPORT = {"schemas": {"schemas"}, "stages": {"schemas", "stages"}, "flows": {"schemas", "stages", "flows"}}
THIRD_PARTY = {
    "schemas": {"pyarrow", "pydantic"},
    "stages": {
        "pyarrow", "pydantic", "duckdb", "orjson", "polars", "numpy", "scipy", "PIL", "imagehash", "img2dataset",
        "webdataset", "rasterio", "pyproj", "pycountry", "reverse_geocoder", "nltk", "torch", "torchvision",
        "transformers", "safetensors", "peft", "open_clip", "ultralytics", "yaml",
        "brotli", "idna", "protego", "timm", "tokenizers", "numba", "cv2",
    },
    "flows": {"pyarrow", "pydantic", "duckdb", "rich", "orjson", "numpy", "scipy", "huggingface_hub", "httpx2",
              "jinja2", "markupsafe", "krippendorff", "yaml"},
}  # fmt: skip
MODULE_OF_PACKAGE = {"pillow": "PIL", "open_clip_torch": "open_clip", "pyyaml": "yaml", "opencv-python-headless": "cv2"}
FILES = [path for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py"))]
PUBLISHED_LOADER = ROOT / "flows" / "ask" / "rs5m_loader.py"
DEMO, DETECTOR, DEPLOY = (ROOT / "flows" / name for name in ("demo", "detector", "deploy"))
WRITER = {stage.writes.name: stage for stage in STAGES}

each_stage = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)


def imports_of(path: Path) -> Iterator[str]:
    """Yield the top-level names of all imports in a file; "." for a relative import."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." if node.level else (node.module or "").split(".")[0]


def test_names_of_stages_and_tables_are_unique() -> None:
    assert len({stage.name for stage in STAGES}) == len(STAGES) >= 14
    assert len(WRITER) == len(STAGES), "a table has one writer"
    assert set(MODULES) == {stage.module for stage in STAGES}


def test_stages_are_in_topological_order_and_grouped_by_module() -> None:
    seen: set[str] = set()
    for stage in STAGES:
        required = {reads.table for reads in stage.reads if not reads.is_optional}
        assert required <= seen, f"{stage.name} reads {required - seen}, written later or by no stage"
        seen.add(stage.writes.name)
    order = [stage.module for stage in STAGES]
    assert order == sorted(order, key=MODULES.index)


def test_every_table_of_the_schemas_is_written_by_a_stage() -> None:
    declared = {
        value.name
        for module in (tables, statistic_tables)
        for value in vars(module).values()
        if isinstance(value, Table)
    }
    assert declared == set(WRITER)


def test_every_column_is_declared_once_with_a_meaning_and_is_used() -> None:
    assert len(FIELD) == len(FIELDS)
    used = {name for stage in STAGES for name in (*stage.writes.key, *stage.writes.columns)}
    used |= {name for stage in STAGES for name in stage.writes.reject_columns} | {"reason", "detail"}
    assert used == set(FIELD)
    for field in FIELDS:
        assert field.meaning.endswith("."), field.name
        unit = re.search(r"_(px|bytes|ns|ms|s|deg)$", field.name)
        if unit and field.name not in ("n_bytes",):
            expected = {"deg": "degrees"}.get(unit[1], unit[1])
            assert field.unit == expected, f"{field.name} has the unit {field.unit!r}"


@each_stage
def test_the_columns_a_stage_reads_exist_in_the_table_it_reads(stage: Stage) -> None:
    names = [reads.name for reads in stage.reads]
    assert len(names) == len(set(names))
    for reads in stage.reads:
        table = WRITER[reads.table].writes
        if reads.section == "counts":
            assert WRITER[reads.table].grain == "count" and not reads.columns
            assert COUNTS_SCHEMA.names == ["partition", "reason", "n"]
            continue
        known = table.schema.names if reads.section == "kept" else table.reject_schema.names
        assert reads.columns and set(reads.columns) <= set(known), f"{stage.name} reads {reads}"


@each_stage
def test_key_columns_of_a_table_are_never_null(stage: Stage) -> None:
    table = stage.writes
    assert table.key and not any(table.schema.field(name).nullable for name in table.key)
    assert set(table.nullable) <= set(table.columns), "a nullable column is not in the table"
    assert not any(FIELD[name].is_nullable for name in table.nullable)
    assert not set(table.key) & set(table.columns)
    assert all(FIELD[name].kind == "value" for name in table.key)


@each_stage
def test_what_a_stage_must_account_for_is_among_its_inputs(stage: Stage) -> None:
    given = stage.given
    if given.input:
        read = {reads.name: reads for reads in stage.reads}[given.input]
        assert set(given.columns) <= set(read.columns)
        assert len(given.columns) <= len(stage.writes.key)
    assert set(given.names) <= {reads.name for reads in stage.reads}
    assert not (given.input and (given.query or given.inputs))
    if stage.grain in ("map", "fan_out", "reduce"):
        assert given.input or given.query, f"{stage.name} accounts for no input rows"


@each_stage
def test_partitions_and_spans_are_named_by_inputs_and_columns(stage: Stage) -> None:
    for table in stage.partitions_from:
        assert WRITER[table].name != stage.name
        assert table in {reads.table for reads in stage.reads}
    if stage.split_by:
        assert stage.split_by in stage.writes.schema.names
    if stage.partitions_from:
        assert not stage.split_by, "a partition of a partitioned input cannot be split into spans"


@each_stage
def test_reasons_of_a_stage_exist(stage: Stage) -> None:
    assert len(set(stage.reasons)) == len(stage.reasons)
    assert set(stage.reasons) <= set(REASON)
    counted_only = {code for code in stage.reasons if REASON[code].is_counted_only}
    assert not counted_only or stage.grain == "count"


def test_every_reason_is_used_by_some_stage() -> None:
    assert len(REASON) == len(REASONS) >= 30
    used = {code for stage in STAGES for code in stage.reasons}
    assert used == set(REASON)


@each_stage
def test_settings_of_a_stage_are_described_and_have_defaults(stage: Stage) -> None:
    for model in (stage.params, stage.resources):
        model()
        for name, info in model.model_fields.items():
            assert info.description, f"{model.__name__}.{name}"
        assert model.model_config.get("extra") == "forbid" and model.model_config.get("frozen")


@pytest.mark.parametrize("module", MODULES)
def test_parameters_and_resources_of_a_module_have_disjoint_names(module: str) -> None:
    stages = [stage for stage in STAGES if stage.module == module]
    params = {name for stage in stages for name in stage.params.model_fields}
    resources = {name for stage in stages for name in stage.resources.model_fields}
    assert not params & resources
    owners: dict[str, type] = {}
    for stage in stages:
        for model in (stage.params, stage.resources):
            for name in model.model_fields:
                owner = next(one for one in reversed(model.__mro__) if name in getattr(one, "model_fields", ()))
                assert owners.setdefault(name, owner) is owner, f"{module}.{name} is a field of two classes"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way_and_only_to_known_packages(path: Path) -> None:
    layer = path.relative_to(ROOT).parts[0]
    found = set(imports_of(path)) - set(sys.stdlib_module_names)
    assert "." not in found, "imports are absolute"
    assert found & {*LAYERS, "tests"} <= MAY_IMPORT[layer]
    if path.is_relative_to(DEMO):  # draws images and trains models, so it may import the stages' packages
        assert found - set(LAYERS) <= THIRD_PARTY["flows"] | THIRD_PARTY["stages"] | {"tokenizers"}
    elif path.is_relative_to(DETECTOR):  # trains models on a user's images
        assert found - set(LAYERS) <= THIRD_PARTY["flows"] | THIRD_PARTY["stages"]
    elif path == PUBLISHED_LOADER:  # goes into the dataset folder, so it imports nothing of ours
        assert found == {"numpy", "webdataset", "PIL", "torch"}
    elif path.name != "orchestrate.py" and not path.is_relative_to(DEPLOY):
        assert found - set(LAYERS) <= THIRD_PARTY[layer]


def test_the_generated_world_imports_nothing_of_the_pipeline() -> None:
    paths = sorted((DEMO / "world").glob("*.py"))
    assert len(paths) > 20
    for path in paths:
        assert not {"stages", "schemas"} & set(imports_of(path)), path
        others = re.findall(r"^\s*from (flows[\w.]*) import", path.read_text(), re.M)
        assert all(name.startswith("flows.demo.world") for name in others), path


def test_imports_were_checked_and_an_upward_import_would_be_found(tmp_path: Path) -> None:
    assert len(FILES) > 40
    upward = tmp_path / "upward.py"
    upward.write_text("def f():\n    from flows.ledger.store import Store\n    import torch.nn\n")
    assert set(imports_of(upward)) == {"flows", "torch"}


def test_allowed_packages_are_dependencies() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["models"]]
    packages = [re.split(r"[<>=~! \[;]", line)[0] for line in lines]
    modules = {MODULE_OF_PACKAGE.get(name, name.replace("-", "_")) for name in packages}
    assert set().union(*THIRD_PARTY.values()) <= modules
