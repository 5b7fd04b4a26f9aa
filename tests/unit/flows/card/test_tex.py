import re

from flows.ask.report import Report
from flows.card.tex import latex_table


def test_a_table_uses_booktabs_with_a_rule_before_the_total_and_escaped_text() -> None:
    rows = (
        {"source": "a_b & 50%", "rows": 1_234_567},
        {"source": "", "rows": None},
        {"source": "Total", "rows": 2},
    )
    text = latex_table(Report("t", ("source", "n_rows", "rows"), rows), "100 % of it", "tab:x")
    lines = [line.strip() for line in text.splitlines()]
    assert r"\begin{tabular}{llr}" in lines and r"\caption{100 \% of it}" in lines
    assert [line for line in lines if line.endswith("rule")] == [r"\toprule", r"\midrule", r"\midrule", r"\bottomrule"]
    assert lines[lines.index(r"\bottomrule") - 2 : lines.index(r"\bottomrule")] == [r"\midrule", r"Total &  & 2 \\"]
    assert r"a\_b \& 50\% &  & 1{,}234{,}567 \\" in lines
    assert all(len(re.findall(r"(?<!\\)&", line)) == 2 for line in lines if line.endswith(r"\\"))
    for name in ("table", "tabular"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") == 1
    assert text.replace(r"\{", "").count("{") == text.replace(r"\}", "").count("}")
