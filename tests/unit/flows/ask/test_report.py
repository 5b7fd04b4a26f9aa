import csv
import io

import pytest
from rich.console import Console

from flows.ask.report import Report, safe_cell, stage_reports, unbalanced
from tests.small_build import Build

EVIL = ("=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\r=1")


@pytest.mark.parametrize("text", EVIL)
def test_a_text_that_a_spreadsheet_would_run_gets_an_apostrophe(text: str) -> None:
    assert safe_cell(text) == "'" + text
    out = Report("t", ("a",), ({"a": text},)).csv()
    assert list(csv.reader(io.StringIO(out, newline="")))[1][0].lstrip("'\r\n") in text


@pytest.mark.parametrize("value", [-1, 0, 2.5, "plain", "a=b", "http://x/?a=1"])
def test_other_cells_stay_as_they_are(value: object) -> None:
    assert safe_cell(value) == value


def test_csv_has_a_header_empty_cells_for_nulls_and_quotes_where_needed() -> None:
    report = Report("t", ("name", "n"), ({"name": 'a "b", c', "n": 1}, {"name": None, "n": -2}))
    assert report.csv() == 'name,n\n"a ""b"", c",1\n,-2\n'


def test_markdown_aligns_figures_and_escapes_bars_and_line_ends() -> None:
    report = Report("t", ("name", "n"), ({"name": "a|b\nc", "n": 1234567}, {"name": None, "n": None}))
    assert report.markdown() == "| name | n |\n|---|---:|\n| a\\|b c | 1,234,567 |\n|  |  |\n"


def test_markup_in_cells_is_printed_as_text() -> None:
    out = io.StringIO()
    Report("t [bold]", ("name",), ({"name": "[red]x[/red] [/]"},)).show(Console(file=out, width=100))
    assert "t [bold]" in out.getvalue() and "[red]x[/red] [/]" in out.getvalue()


def test_columns_with_only_empty_or_zero_cells_are_not_shown() -> None:
    out = io.StringIO()
    Report("t", ("name", "zero", "n"), ({"name": "a", "zero": 0, "n": 0}, {"name": "b", "zero": 0, "n": 3})).show(
        Console(file=out, width=100)
    )
    assert "zero" not in out.getvalue() and "n" in out.getvalue().split()


@pytest.mark.parametrize("module", ["inventory", "filter", "plan", "download", "screen", "dedup", "shard"])
def test_every_row_of_a_stage_table_adds_up_by_reason(finished: Build, module: str) -> None:
    report = stage_reports(finished.ledger(), module)[0]
    assert report.rows and unbalanced(report.rows) == []
    for row in report.rows:
        reasons = [name for name in report.columns if name not in ("stage", "corpus", "given", "kept", "rejected")]
        assert row["rejected"] == sum(int(str(row.get(name, 0))) for name in reasons)
    for stage in {row["stage"] for row in report.rows}:
        rows = [row for row in report.rows if row["stage"] == stage]
        total = [row for row in rows if row["corpus"] == "Total"]
        others = [row for row in rows if row["corpus"] != "Total"]
        assert others
        for row in total:
            for name in ("given", "kept", "rejected"):
                assert row[name] == sum(int(str(other[name])) for other in others)


def test_the_filter_table_counts_rows_that_were_never_written(finished: Build) -> None:
    rows = {row["corpus"]: row for row in stage_reports(finished.ledger(), "filter")[0].rows}
    assert rows["laion2b"] | {"given": 34, "kept": 30, "no_caption": 1, "no_keyword": 2, "no_url": 1} == rows["laion2b"]
    assert (
        rows["cc3m"] | {"given": 12, "kept": 9, "invalid_utf8": 1, "wrong_field_count": 1, "no_keyword": 1}
        == rows["cc3m"]
    )
    assert rows["Total"]["given"] == 62


def test_what_was_left_out_is_named(finished: Build) -> None:
    left_out = stage_reports(finished.ledger(), "inventory")[1]
    assert {(row["for example"], row["reason"], row["paths"]) for row in left_out.rows} == {
        ("unheardof", "no_reader", "1"),
        ("laion2b/README.txt", "unexpected_file", "1"),
    }


def test_a_row_that_does_not_add_up_is_found() -> None:
    rows = ({"given": 3, "kept": 1, "rejected": 2}, {"given": 3, "kept": 1, "rejected": 1})
    assert unbalanced(rows) == [rows[1]]
