import re
import string

import pytest

from flows.run.events import Advanced, Poisoned, Retried
from flows.run.worker import Committed, Failed
from flows.watch.pace import Pace
from flows.watch.waves import MOST_WAVES, StageRun, safe_markdown, wave_size
from tests.contract.broken import MAKE


@pytest.mark.parametrize("n_due", [1, 199, 200, 201, 399, 400, 401, 9_999, 100_000])
def test_there_are_at_most_200_waves_and_every_partition_is_in_one(n_due: int) -> None:
    run = StageRun(0, MAKE, n_due, Pace(n_due, 0))
    n_begun, n_over = 0, 0
    for number in range(n_due):
        wave = run.take(Committed(str(number), 1, 1))
        n_begun = len(run.waves)
        n_over += wave.is_over
    assert n_begun == n_over == -(-n_due // wave_size(n_due)) <= MOST_WAVES
    assert run.pace.n_ended == n_due


def test_a_wave_ends_with_its_last_partition_whatever_the_outcome() -> None:
    run = StageRun(0, MAKE, 400, Pace(400, 0))
    wave = run.take(Advanced("a", 0))
    assert not wave.is_over and wave.name == "a and 1 more"
    assert run.take(Retried("a", "make/a: the network was away\nmore")) is wave
    assert run.take(Poisoned("b", "make/b: it died")) is wave
    assert not wave.is_over and wave.faults == ["b: it died"]
    run.take(Failed("a", "input", "no"))
    assert wave.is_over
    assert run.faults == {"the network was away": 1, "it died": 1, "no": 1}
    assert run.summary() == "2 of 400 partitions, 2 failed"


@pytest.mark.parametrize(
    "foreign",
    [
        "<script>alert(1)</script>",
        "</td></tr>|`x`|[click](javascript:alert(1))",
        "![x](http://host/x.png) https://host www.host.org a@host.org",
        "&lt;img src=x onerror=alert(1)&gt;",
        "```\n# head\n\x1b[31m",
    ],
)
def test_foreign_text_is_escaped_in_markdown_and_html(foreign: str) -> None:
    run = StageRun(0, MAKE, 1, Pace(1, 0))
    run.take(Failed("a", "input", foreign))
    row = next(line for line in run.markdown().splitlines() if line.endswith("| 1 |"))
    fault = row.removeprefix("| ").removesuffix(" | 1 |")
    bare = re.sub(r"\\[!-/:-@\[-`{-~]", "", fault)
    assert not set(bare) & (set(string.punctuation) - {","}) and bare.isprintable() is ("\u200b" not in bare)
    assert not re.search(r"://|www\.|@\w", fault.replace("\\", ""))


def test_plain_words_stay_readable() -> None:
    assert safe_markdown("ä b, 3 <") == "ä b, 3 \\<"
    assert safe_markdown("http://a.b") == "http\\:\u200b\\/\\/a\\.b"


@pytest.mark.parametrize(("n_first", "n_each", "n_times"), [(1, 1, 5_000), (3, 40, 500), (1, 100_000, 1)])
def test_a_stage_that_grows_has_at_most_200_waves_too(n_first: int, n_each: int, n_times: int) -> None:
    run = StageRun(0, MAKE, n_first, Pace(n_first, 0))
    done = 0
    for _ in range(n_times):
        while done < run.pace.n_due:
            run.take(Committed(str(done), 1, 1))
            done += 1
        run.grow(n_each, n_each)
    assert len(run.waves) <= MOST_WAVES and sum(wave.n_taken for wave in run.waves) == done
    run.end(True)
    assert all(wave.is_over for wave in run.waves)


def test_rejects_are_shown_by_reason() -> None:
    run = StageRun(0, MAKE, 1, Pace(1, 10))
    run.take(Committed("a", 3, 10, {"no_url": 5, "bad_record": 2}))
    text = run.markdown().replace("\\", "")
    assert "10 rows read, 3 kept, 7 rejected" in text and "| no_url | 5 |" in text and "| bad_record | 2 |" in text
    assert "| no_url | 5 |" in text[: text.index("| bad_record")], "the most frequent first"
