import io

from flows.ledger.verify_progress import Progress, ProgressLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def halfway() -> Progress:
    progress = Progress(4, 4_000_000_000, _started=100.0)
    progress.advance(1_500_000_000)
    progress.advance(1_500_000_000)
    return progress


def test_rate_and_time_left_are_shown_after_enough_progress() -> None:
    progress = halfway()
    assert progress.words(101.0) == "verify: 2 of 4 partitions, 3.00 of 4.00 GB"
    # Half of the partitions and three quarters of the bytes are done: the slower of the two decides.
    assert progress.words(160.0) == "verify: 2 of 4 partitions, 3.00 of 4.00 GB, 50.0 MB/s, 60 s left"
    assert progress.words(100.0 + 3600).endswith("60 min left") and progress.words(100.0 + 36000).endswith(
        "10.0 h left"
    )
    assert "left" not in Progress(1, 0, _started=0.0).words(100.0)


def test_a_terminal_has_one_updated_line_and_a_log_at_most_one_line_in_ten_seconds() -> None:
    terminal, log = Terminal(), io.StringIO()
    for stream in (terminal, log):
        line = ProgressLine(stream)
        line._printed_at -= 1.0
        line.show(halfway())
        line.show(halfway())
        line.clear()
    assert log.getvalue() == ""
    assert terminal.getvalue().count("verify: 2 of 4") == 1 and terminal.getvalue().endswith(" \r")
    line = ProgressLine(log)
    line._printed_at -= 11.0
    line.show(halfway())
    assert log.getvalue().startswith("verify: 2 of 4 partitions") and log.getvalue().endswith("\n")
