"""In README and docs the generated tables are current, and targets and links exist."""

import re
from pathlib import Path

import pytest

from flows.readme import PAGES, ROOT, render
from stages import MODULES

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_generated_page_is_current() -> None:
    for page, blocks in PAGES.items():
        text = (ROOT / page).read_text(encoding="utf-8")
        assert render(text, blocks, page) == text, f"{page}: run make docs"


def test_a_missing_or_repeated_marker_is_an_error() -> None:
    block = "<!-- generated: words -->\nold\n<!-- end -->\n"
    assert render(block, {"words": lambda: "new\n"}, "page") == block.replace("old", "new")
    for text in ("", block + block):
        with pytest.raises(ValueError, match="page should have one block"):
            render(text, {"words": lambda: "new\n"}, "page")


def test_readme_fits_200_lines() -> None:
    assert len(README.splitlines()) <= 200


def test_every_make_target_in_the_pages_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.M)) | {f"stage-{module}" for module in MODULES}
    benches = {path.stem.removeprefix("bench_") for path in (ROOT / "tests/benchmarks").glob("bench_*.py")}
    targets |= {f"bench-{name}" for name in benches}
    named = set()
    for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        named |= set(re.findall(r"(?:^ {4}|`)make ([a-z][\w-]*)", path.read_text(encoding="utf-8"), re.M))
    assert len(named) > 15
    assert named <= targets


def test_every_link_of_the_pages_leads_to_a_file() -> None:
    links = [
        (path, target)
        for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
        # Patterns in code, such as licences, are no links.
        for target in re.findall(r"\]\(([^)#]+)\)", re.sub(r"`[^`\n]*`", "", path.read_text(encoding="utf-8")))
        if not target.startswith("http")
    ]
    assert len(links) > 10
    assert [link for link in links if not Path(link[0].parent / link[1]).exists()] == []
