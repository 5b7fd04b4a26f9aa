"""A build can start from RS5M's own lists, and every row of them is accounted for."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from flows.ask.explain import explain
from flows.ask.report import stage_reports, unbalanced
from flows.corpora.metafile import as_sources, list_files
from flows.ledger.verify import verify
from flows.options import given_sources, parse, remember, settings_of
from flows.run.executor import InlineExecutor
from flows.settings import PROFILES, load_settings
from schemas.fields import FIELD
from schemas.manifests import load_published
from stages import STAGES
from stages.checks import given_keys
from stages.contract import COUNTS_SCHEMA, Context, InputError
from stages.stats.stage import COUNT_FUNNEL, TOTAL
from tests.small_build import Build

LIST = (
    "img_name,text,url,download_status\n"
    "laion2b_0_0,a map,http://127.0.0.1/0,True\n"
    "laion2b_0_1,,http://127.0.0.1/1,True\n"
    "cc3m_0_0,a Landsat scene,http://127.0.0.1/2,True\n"
    "cc3m_0_1,a scene, ,True\n"
    "nobody_1,x,http://127.0.0.1/3,True\n"
    "laion2b_0_0,again,http://127.0.0.1/4,True\n"
    "yfcc14m_0_1,x,ftp://127.0.0.1/5,True\n"
)


@pytest.fixture
def metafile(tmp_path: Path) -> Path:
    path = tmp_path / "lists" / "pub11_train_metadata.csv"
    path.parent.mkdir()
    path.write_text(LIST)
    return path


@pytest.fixture
def listed(metafile: Path, tmp_path: Path) -> Build:
    """A build from the list, up to its plan."""
    build = Build(tmp_path / "build", as_sources(metafile, tmp_path / "build"))
    build.run(InlineExecutor(), ("inventory", "filter", "plan"))
    return build


def test_links_show_the_lists_and_the_files_beside_them(metafile: Path, tmp_path: Path) -> None:
    (metafile.parent / "RS5M_pub11_label.pkl").write_bytes(b"")
    (metafile.parent / ".hidden").write_bytes(b"")
    assert list_files(metafile)[0] == list_files(metafile.parent)[0] == [metafile]
    one, whole = as_sources(metafile, tmp_path / "b"), as_sources(metafile.parent, tmp_path / "b")
    assert one != whole and as_sources(metafile, tmp_path / "b") == one
    assert [path.name for path in sorted((whole / "rs5m").iterdir())] == ["RS5M_pub11_label.pkl", metafile.name]
    assert (one / "rs5m" / metafile.name).read_text() == LIST


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere.csv", "does not exist: expected a list or a folder of lists"),
        ("RS5M_pub11_label.pkl", r"found RS5M_pub11_label.pkl. RS5M_pub11_label.pkl: opening a pickle .* python -I -c"),
        ("pub11_train_intermediate.csv", "expected a CSV or parquet file with image name"),
        ("", "found nothing"),
    ],
)
def test_a_file_that_is_no_list_is_refused_with_what_to_do(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "RS5M_pub11_label.pkl").write_bytes(b"never opened")
    (tmp_path / "pub11_train_intermediate.csv").write_text("")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=words):
        as_sources(tmp_path / (name or "empty"), tmp_path / "build")


def test_a_pickle_among_lists_is_left_out_with_the_command_that_exports_it(metafile: Path, tmp_path: Path) -> None:
    (metafile.parent / "RS5M_pub11_label.pkl").write_bytes(b"never opened")
    (metafile.parent / "pub11_validation_metadata.csv").write_text(LIST.replace("_0_", "_9_"))
    build = Build(tmp_path / "build", as_sources(metafile.parent, tmp_path / "build"))
    build.run(InlineExecutor(), ("inventory", "filter"))
    left_out = stage_reports(build.ledger(), "inventory")[1].rows
    assert [row["reason"] for row in left_out] == ["unexpected_file"]
    shown = " ".join(str(value) for value in left_out[0].values())
    assert "RS5M_pub11_label.pkl" in shown and "python -I -c" in shown
    assert len(build.rows("candidate")) == 6


def test_the_stages_of_a_build_from_a_list_add_up_and_verify(listed: Build) -> None:
    ledger = listed.ledger()
    assert [row["sample_id"] for row in listed.rows("candidate")] == ["laion2b_0_0", "cc3m_0_0", "yfcc15m_0_1"]
    rows = stage_reports(ledger, "filter")[0].rows
    assert [(row["corpus"], row["given"], row["kept"], row["rejected"]) for row in rows] == [("rs5m", 7, 3, 4)]
    planned = stage_reports(ledger, "plan")[0].rows
    assert not unbalanced(rows) and not unbalanced(planned)
    assert {row["corpus"]: row["kept"] for row in planned} == {"laion2b": 1, "cc3m": 1, "yfcc15m": 0, "Total": 2}
    assert all(isinstance(found, str) for found in verify(ledger))


@pytest.mark.parametrize(
    ("sample_id", "words"),
    [
        ("laion2b_0_0", "keywords = []"), ("cc3m_0_1", "reason = no_url"), ("laion2b_0_1", "reason = no_caption"),
        ("rs5m_0_4", "reason = unknown_corpus"), ("yfcc15m_0_1", "reason = unsupported_scheme"),
    ],
)  # fmt: skip
def test_explain_shows_the_fate_of_listed_samples(listed: Build, sample_id: str, words: str) -> None:
    assert words in "\n".join(explain(listed.ledger(), sample_id, listed.sources))


def test_explain_of_a_name_that_is_not_listed_says_so(listed: Build) -> None:
    with pytest.raises(InputError, match=r"no sample 'laion2b_5_5': rs5m/pub11_train_metadata\.csv has no such row"):
        explain(listed.ledger(), "laion2b_5_5", listed.sources)


def test_a_list_does_not_mix_with_the_corpora_it_lists(listed: Build, metafile: Path, tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    for path, text in (("rs5m/a.csv", LIST), ("cc3m/GCC-training.tsv", "x\thttp://a\n")):
        (sources / path).parent.mkdir(parents=True)
        (sources / path).write_text(text)
    with pytest.raises(Exception, match="source files of cc3m: sample_ids would collide"):
        Build(tmp_path / "mixed", sources).run(InlineExecutor(), ("inventory",))
    (sources / "rs5m/a.csv").unlink()
    (sources / "rs5m").rmdir()
    with pytest.raises(Exception, match="source files of cc3m: sample_ids would collide"):
        Build(listed.root, sources).run(InlineExecutor(), ("inventory",))


def test_another_metafile_replaces_the_first(listed: Build, metafile: Path) -> None:
    other = metafile.with_name("mine.csv")
    other.write_text("laion2b_7_7,x,http://127.0.0.1/7\n")
    build = Build(listed.root, as_sources(other, listed.root))
    build.run(InlineExecutor(), ("inventory", "filter"))
    assert [row["sample_id"] for row in build.rows("candidate")] == ["laion2b_7_7"]


def _funnel(rows: dict[str, list[dict[str, Any]]]) -> tuple[set[str], list[dict[str, Any]]]:
    inputs = {}
    for reads in COUNT_FUNNEL.reads:
        schema = pa.schema([(name, FIELD[name].type) for name in reads.columns])
        schema = COUNTS_SCHEMA if reads.section == "counts" else schema
        inputs[reads.name] = pa.Table.from_pylist(rows.get(reads.name, []), schema)
    context = Context("whole", None, None, {"published": load_published()}, None, Path())  # type: ignore[arg-type]
    keys = given_keys(COUNT_FUNNEL, inputs)
    assert keys is not None
    return set(keys.to_pylist()), COUNT_FUNNEL.run(inputs, context).kept.to_pylist()


def test_the_funnel_counts_listed_rows_by_corpus_and_other_rows_under_the_list() -> None:
    sources, rows = _funnel({
        "source_listing": [{"corpus": "rs5m", "partition": "rs5m-00000"}] * 2,
        "candidate_counts": [{"partition": "rs5m-00000", "reason": "given", "n": 9}],
        "candidate": [{"corpus": "laion2b"}, {"corpus": "laion2b"}, {"corpus": "cc3m"}],
        "candidate_rejects": [
            {"sample_id": name, "corpus": name.partition("_")[0]} for name in ("laion2b_0_9", "sbu_1", "rs5m_0_3")
        ],
    })  # fmt: skip
    assert {row["source"]: (row["rows"], row["keyword"]) for row in rows} == {
        "laion2b": (3, 2), "cc3m": (1, 1), "sbu": (1, 0), "rs5m": (4, 0), TOTAL: (9, 3),
    }  # fmt: skip
    assert sources == {row["source"] for row in rows}


def _said(build: Path, *words: object) -> Any:
    return parse([*map(str, words), "--build", str(build)])


def test_metafile_is_remembered_until_sources_are_given(metafile: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    first = _said(build, "build", "--profile", "from-metafile", "--metafile", metafile)
    build.mkdir()
    remember(first)
    again = _said(build, "build")
    assert (again.profile, again.metafile, again.sources) == ("from-metafile", metafile, None)
    assert given_sources(again) == as_sources(metafile, build)
    other = _said(build, "build", "--sources", tmp_path)
    assert (other.metafile, given_sources(other)) == (None, tmp_path)
    compared = _said(build, "compare", "--metafile", tmp_path / "other.csv")
    assert (compared.compared, compared.metafile) == (tmp_path / "other.csv", metafile)


def test_sources_and_metafile_together_are_refused(metafile: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give only one of them"):
        settings_of(_said(tmp_path / "b", "build", "--sources", tmp_path, "--metafile", metafile))


def test_the_profile_equals_paper_except_for_its_name_and_the_outlier_rule() -> None:
    paper, ours = (load_settings(name, [], STAGES) for name in ("paper", "from-metafile"))
    others = {name for name in paper.by_stage if paper.by_stage[name] != ours.by_stage[name]}
    assert others == {"set_thresholds"} and paper.run == ours.run
    assert ours.by_stage["set_thresholds"][0].rule == "absolute"  # type: ignore[attr-defined]
    assert "METAFILE" in (PROFILES / "from-metafile.toml").read_text().splitlines()[0]
