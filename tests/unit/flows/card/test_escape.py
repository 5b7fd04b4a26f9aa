import re

import pytest
from jinja2 import UndefinedError

from flows.card.escape import Ready, code, latex, link, markdown, pages, size

HOSTILE = "a|b\n# c <script>alert(1)</script> [x](javascript:y) ![i](u) `c` *d* _e_ \x1b[31m\\ & 100% $ ^ ~ { }"


def test_markdown_keeps_foreign_text_on_one_line_and_without_markup() -> None:
    text = markdown(HOSTILE)
    assert "\n" not in text and "<" not in text and "\x1b" not in text
    assert not re.search(r"(?<!\\)[|*_`\[\]#!~]", text)
    assert markdown(1234567) == "1,234,567" and markdown(None) == "" and markdown(True) == "True"
    assert markdown(Ready("| a |")) == "| a |"


def test_latex_has_no_bare_special_character() -> None:
    text = latex(HOSTILE)
    assert "\n" not in text and "\x1b" not in text
    plain = re.sub(r"\\text[a-z]+\{\}|\\[&%$#_{}]", "", text)
    assert not set(plain) & set("\\&%$#_{}~^<>|")
    assert latex(1234567) == "1{,}234{,}567"


@pytest.mark.parametrize("text", ["a`b", "``", "`a", "a|b", "x" * 20, "a\nb"])
def test_code_is_one_span(text: str) -> None:
    found = code(text)
    fence = re.match("`+", found)
    assert fence is not None and found.endswith(fence[0]) and "\n" not in found
    assert fence[0] not in found[len(fence[0]) : -len(fence[0])].strip("`") and not re.search(r"(?<!\\)\|", found)


def test_only_web_addresses_become_links() -> None:
    assert link("https://a.test/b?c=d") == "<https://a.test/b?c=d>"
    for address in ("javascript:alert(1)", "https://a.test/ b", "https://a.test/><script>"):
        assert link(address).startswith("`")


def test_templates_escape_values_and_fail_on_unknown_names() -> None:
    template = pages().from_string("{{ a }} {{ b|join(', ') }} {{ c|code }}")
    assert template.render(a="<b>", b=["x|y", "z"], c="q") == "&lt;b&gt; x\\|y, z `q`"
    with pytest.raises(UndefinedError):
        template.render(a="x")


def test_sizes_have_up_to_three_digits() -> None:
    assert [size(n) for n in (0, 999, 1000, 123_456_789, 2 * 10**15)] == [
        "0 bytes", "999 bytes", "1.0 kB", "123.5 MB", "2000.0 TB",
    ]  # fmt: skip
