"""A row is for a path, or for a folder with too many paths; rows depend only on the paths."""

import random
import re

import pytest

from stages.inventory.passed_over import PassedOver


def rows(paths: list[tuple[str, str]]) -> list[tuple[str, ...]]:
    passed = PassedOver()
    for path, reason in paths:
        passed.add(path, reason, "why")
    return passed.rows("code")


def n_paths(found: list[tuple[str, ...]]) -> int:
    more = (re.match(r"([\d,]+) more below ", row[3]) for row in found)
    return len(found) + sum(int(match[1].replace(",", "")) for match in more if match)


def test_few_paths_have_one_row_each() -> None:
    paths = [(f"a/b/{n}", "unexpected_file") for n in range(999)]
    found = rows(paths)
    assert len(found) == 999 and found[0] == ("code", "code/a/b/0", "unexpected_file", "why")


@pytest.mark.parametrize("seed", range(8))
def test_many_paths_are_counted_by_folder_in_any_order(seed: int) -> None:
    luck = random.Random(seed)
    paths = [
        ("/".join(f"{luck.choice('abcdefghij')}{level}" for level in range(luck.randint(1, 5))) + f"/{n}",
         luck.choice(["unexpected_file", "not_needed", "hidden_file", "unreadable"]))
        for n in range(luck.choice([900, 1500, 4000]))
    ]  # fmt: skip
    found = rows(paths)
    for _ in range(3):
        luck.shuffle(paths)
        assert rows(paths) == found
    assert n_paths(found) == len(paths)
    assert len({row[1] for row in found}) == len(found)
    assert sum(row[2] == "unreadable" for row in found) == sum(reason == "unreadable" for _, reason in paths)
    assert len(found) - sum(reason == "unreadable" for _, reason in paths) <= 1000


def test_more_than_a_thousand_folders_with_one_reason_are_one_row() -> None:
    found = rows([(f"{n:04d}/x", "unexpected_file") for n in range(1001)])
    assert found == [("code", "code/0000/x", "unexpected_file", "1,000 more below code; why")]


def test_a_row_may_be_for_the_corpus_folder() -> None:
    assert rows([("", "unreadable")]) == [("code", "code", "unreadable", "why")]
