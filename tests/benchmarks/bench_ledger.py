"""bench-ledger: cost of contract, digests, fsync and receipts, and the time to read 10,000 receipts."""

from __future__ import annotations

import time
from pathlib import Path

from flows.ask.status import status_report
from flows.ledger.ledger import Ledger
from flows.ledger.store import Store
from flows.settings import load_settings
from stages import STAGES
from tests.benchmarks.contract_cost import measure_filter, measure_screen
from tests.benchmarks.harness import BENCH, Goal, Row, cpu_seconds, process_costs, report, sized
from tests.benchmarks.large_ledger import SETTINGS, make_large_ledger

MAX_OVERHEAD_PERCENT = 10
MAX_STATUS_CPU_S = 2
MAX_NOTHING_TO_DO_S = 20
N_RECEIPTS = sized(10_000, 40)


def main() -> None:
    """Measure, print and write build/bench/ledger.json."""
    scratch = BENCH / "contract"
    cases = [
        measure_filter(scratch, "filter, 0.14 % match", 0.0014, sized(15, 1)),
        measure_filter(scratch, "filter, 25 % match", 0.25, sized(7, 1)),
        measure_screen(scratch, "screen, partitions of 1,000", sized(30, 1)),
    ]
    rows = [row for case in cases for row in case]
    goals = [overhead(case[0]) for case in cases]
    more_rows, more_goals = measure_ledger(BENCH / "ledger")
    report("ledger", [*rows, *more_rows], [*goals, *more_goals])


def overhead(row: Row) -> Goal:
    """Return the goal for a case's cost over its floor, in percent."""
    assert row.ratio is not None
    return Goal(f"overhead of {row.case}, %", (row.ratio - 1) * 100, MAX_OVERHEAD_PERCENT)


def measure_ledger(root: Path) -> tuple[list[Row], list[Goal]]:
    """Return rows and goals of status and of a repeated build over many receipts, including Python's start-up."""
    started = time.perf_counter()
    build, sources, n_receipts = make_large_ledger(root)
    made_s = time.perf_counter() - started
    start_up_s, start_up_cpu_s = process_costs(["-c", "import flows.cli"], sized(3, 1))
    options = ["--profile", "demo", "--build", str(build), "--sources", str(sources)]
    _, status_s = process_costs(["-m", "flows.cli", "status", *options], sized(5, 1))
    nothing_s, nothing_cpu_s = process_costs(["-m", "flows.cli", "build", *options], sized(3, 1))
    in_process_s = cpu_seconds(
        lambda: status_report(Ledger(Store(build), STAGES, load_settings("demo", SETTINGS, STAGES)))
    )
    case = f"{n_receipts:,} receipts"
    rows = [
        Row(f"{case}: made, or found current", made_s, "s"),
        Row(f"{case}: status, in this process", in_process_s, "CPU s"),
        Row(f"{case}: status, whole process", status_s, "CPU s", start_up_cpu_s, status_s / start_up_cpu_s),
        Row(f"{case}: nothing to do", nothing_cpu_s, "CPU s", start_up_cpu_s, nothing_cpu_s / start_up_cpu_s),
        Row(f"{case}: nothing to do, whole process", nothing_s, "s", start_up_s, nothing_s / start_up_s),
    ]
    goals = [
        Goal(f"status over {case}, CPU s", status_s, MAX_STATUS_CPU_S),
        Goal(f"nothing to do over {case}, s", nothing_s, MAX_NOTHING_TO_DO_S),
        Goal(f"receipts short of {N_RECEIPTS:,}", max(0, N_RECEIPTS - n_receipts), 0),
    ]
    return rows, goals


if __name__ == "__main__":
    main()
