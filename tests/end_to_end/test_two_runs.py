"""Of two runs on one build the second waits and finds everything done, so nothing is damaged or done twice."""

from tests.end_to_end.runs import TwoRuns, run


def test_the_second_of_two_runs_waits_and_has_nothing_to_do(two_runs: TwoRuns) -> None:
    assert two_runs.codes == [0, 0], two_runs.printed
    assert all("waiting for another run" in text for text in two_runs.printed)
    assert ["nothing to do" in text for text in sorted(two_runs.printed, key=len)] == [True, False]
    build = two_runs.build
    n_receipts = len(list(build.glob("image/*/*/receipt.json")))
    assert len(list(build.glob("image/*/*/*.kept.parquet"))) == n_receipts > 0
    assert run("verify", "--build", build).returncode == 0
