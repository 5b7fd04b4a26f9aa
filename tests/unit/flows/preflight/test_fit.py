"""The fit recovers fixed and per-row costs from runs generated with them."""

import random
from dataclasses import replace

import pytest

from flows.preflight.fit import fit_cost, in_characters
from flows.preflight.history import Run


def run(n_rows: int, cpu_s: float, process: str = "a", started: float = 0.0, tools_cpu_s: float = 0.0) -> Run:
    return Run(
        "embed", f"p{started}", n_rows, n_rows, {}, cpu_s, cpu_s * 2, tools_cpu_s, 0, 0, started, started + 1, process
    )


@pytest.mark.parametrize("seed", range(5))
def test_costs_are_recovered_and_hold_for_ten_times_the_rows(seed: int) -> None:
    rng = random.Random(seed)
    per_row, per_partition, per_process, opening = 0.01, 0.2, 1.5, 4.0
    runs = []
    for n in range(24):
        rows, is_first = rng.choice([3, 20, 60, 200]), n < 2
        cpu_s = (per_row * rows + per_partition + per_process * is_first) * rng.uniform(0.93, 1.07)
        runs.append(run(rows, cpu_s, f"worker{n % 2}", float(n), opening if is_first else 0.0))
    cost = fit_cost(runs, by_clock=False, fixed_s=0.5)
    expected = per_row * 20_000 + per_partition * 40 + (per_process + opening) * 2
    assert abs(cost.total_s(20_000, 40, 2) / expected - 1) < 0.2
    clock = fit_cost(runs, by_clock=True, fixed_s=0.5)
    assert clock.per_row_s == pytest.approx(2 * cost.per_row_s, rel=0.01)


def test_one_partition_pays_the_known_fixed_cost_once() -> None:
    cost = fit_cost([run(100, 3.0)], by_clock=False, fixed_s=1.0)
    assert cost.total_s(100, 1, 1) == pytest.approx(3.0) and cost.total_s(1000, 1, 1) == pytest.approx(21.0)


def test_partitions_of_one_size_say_nothing_of_a_fixed_cost() -> None:
    # gpe has as many partitions in the whole as in a pilot.
    seconds = (0.97, 0.99, 0.65, 1.04)
    runs = [run(rows, seconds[n], f"w{n % 2}", n) for n, rows in enumerate((296, 290, 317, 285))]
    cost = fit_cost(runs, by_clock=False, fixed_s=0.0, has_few=True)
    assert cost.total_s(8_913, 4, 2) == pytest.approx(27.6, rel=0.2)  # measured
    assert fit_cost(runs, by_clock=False, fixed_s=0.0).total_s(8_913, 4, 2) < 6


def test_place_names_cost_by_the_character() -> None:
    # The first two partitions have the longest captions; by rows, that would count as a fixed cost.
    characters = (40_000, 36_000, 20_000, 22_000)
    runs = [
        replace(run(300 + place, n * 50e-6, f"w{place % 2}", place), measured={"n_characters": n})
        for place, n in enumerate(characters)
    ]
    sized, per_row = in_characters(runs)
    cost = fit_cost(sized, by_clock=False, fixed_s=0.0, has_few=True)
    assert per_row == pytest.approx(sum(characters) / 1206)
    assert cost.total_s(1_000_000, 4, 2) == pytest.approx(50)
    by_rows = fit_cost(runs, by_clock=False, fixed_s=0.0, has_few=True)
    assert by_rows.total_s(1_000_000 / per_row, 4, 2) < 40
    assert in_characters([run(300, 1.0)]) == ([run(300, 1.0)], 1.0), "an earlier receipt"


def test_no_cost_is_negative() -> None:
    runs = [run(n, 5.0 - n / 100, started=n) for n in (10, 100, 200, 300, 400)]
    cost = fit_cost(runs, by_clock=False, fixed_s=0.1)
    assert min(cost.per_row_s, cost.per_partition_s, cost.per_process_s) >= 0


def test_the_first_partition_of_each_half_in_a_process_may_cost_more() -> None:
    # Screen: 3 ms a row; the first labelled partition of a process and its first one of the web cost a second more.
    runs = []
    for n in range(24):
        partition, rows = (f"fmow-{n}", 5) if n < 4 else (f"0-{n:04d}", 80 + n)
        is_first = n in (0, 1, 4, 5)
        one = run(rows, 0.003 * rows + is_first, f"worker{n % 2}", float(n))
        runs.append(replace(one, partition=partition))
    cost = fit_cost(runs, by_clock=False, fixed_s=0.0)
    assert cost.per_row_s == pytest.approx(0.003, rel=0.02)
    assert cost.total_s(20_000, 200, 2) == pytest.approx(64, rel=0.02)


def test_a_partition_that_opens_its_tools_again_is_a_first_one_too() -> None:
    # Ranking captions: another stage had the process before the fourth partition.
    runs = []
    for n, rows in enumerate((80, 40, 20, 100, 40, 60)):
        is_opening = n in (0, 3)
        one = run(rows, 0.002 * rows + 0.3 * is_opening, "w", float(n), tools_cpu_s=1.0 * is_opening)
        runs.append(one)
    cost = fit_cost(runs, by_clock=False, fixed_s=0.0)
    assert cost.per_row_s == pytest.approx(0.002, rel=0.01)
    assert cost.per_process_s == pytest.approx(2 * 0.3 + 1.0, rel=0.01)


def test_a_first_partition_without_a_row_hides_no_start() -> None:
    # Screen: the first partition of the second process has no row; the next one loads the code.
    runs = [run(0, 0.01, "b", 0.5)]
    for n in range(12):
        rows, process = 40 + 10 * n, "ab"[n % 2]
        runs.append(run(rows, 0.002 * rows + 0.6 * (n < 2), process, float(n + 1)))
    cost = fit_cost(runs, by_clock=False, fixed_s=0.0)
    assert cost.per_row_s == pytest.approx(0.002, rel=0.01) and cost.per_partition_s < 0.01
    assert cost.per_process_s == pytest.approx(0.6, rel=0.01)
