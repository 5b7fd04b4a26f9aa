"""In a real browser a rater works by keyboard, stops and continues; captions stay text."""

from pathlib import Path

import pytest

from flows.rate.labels import read
from tests.unit.flows.rate.browser import CHROMIUM, opened
from tests.unit.flows.rate.desks import HOSTILE, served

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt install chromium")
SHOWN = "!document.getElementById('work').hidden"
TEXT = "document.getElementById('text').textContent"
PLACE = "document.getElementById('place').textContent"


def test_a_rater_judges_by_keyboard_and_continues_after_the_server_was_killed(tmp_path: Path) -> None:
    labels = tmp_path / "ratings" / "rating.jsonl"
    with opened(tmp_path / "profile") as page:
        with served(labels) as server:
            page.open(server.url)
            page.wait("document.activeElement.id === 'rater'")
            page.press(*"Ann", "Enter")
            page.wait(f"{SHOWN} && {PLACE} === 'Ann: item 1 of 3, 0 judged'")
            # The hostile caption is text: it created no element and ran no script.
            assert page.value(TEXT) == HOSTILE[0]
            assert page.value("document.querySelectorAll('#text *').length") == 0
            page.wait("document.querySelector('#pictures img').naturalWidth === 1024")
            page.press("Enter")  # without a choice nothing is stored
            page.press("4", "0", "2", "Enter")
            page.wait(f"{PLACE} === 'Ann: item 2 of 3, 1 judged'")
            assert page.value("document.title") == "Rate the captions"
            assert page.value(TEXT) == HOSTILE[1]
            page.press("ArrowLeft")
            page.wait(f"{PLACE} === 'Ann: item 1 of 3, 1 judged'")
            chosen = "[...document.querySelectorAll('#questions :checked')].map((input) => input.value).join()"
            assert page.value(chosen) == "4,unsure,2"
            page.value("document.getElementById('other').click()")
            page.wait("document.activeElement.id === 'rater' && location.search === ''")
            page.press(*"Bea", "Enter")
            page.wait(f"{SHOWN} && {PLACE} === 'Bea: item 1 of 3, 0 judged'")
            assert page.value(chosen) == ""
            page.open(f"{server.url}?rater=Ann")
            page.wait(f"{PLACE} === 'Ann: item 2 of 3, 1 judged'")
        page.press("ArrowRight")
        page.wait("document.getElementById('trouble').textContent.startsWith('Not done')")
        with served(labels) as server:
            page.open(f"{server.url}?rater=Ann")
            page.wait(f"{PLACE} === 'Ann: item 2 of 3, 1 judged'")
            page.press("1", "1", "1", "Enter")
            page.wait(f"{PLACE} === 'Ann: item 3 of 3, 2 judged'")
            page.press("5", "5", "5", "Enter")
            page.wait("!document.getElementById('end').hidden")
        known, n_unreadable = read(labels)
    given = {item: list(j.answers.values()) for (rater, item), j in known.items() if rater == "Ann"}
    assert given == {"cc3m_0_0": ["4", "unsure", "2"], "cc3m_0_1": ["1"] * 3, "cc3m_0_2": ["5"] * 3}
    assert n_unreadable == 0
