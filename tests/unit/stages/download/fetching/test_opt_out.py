"""X-Robots-Tag is obeyed if it is for everybody or for our name, whatever else it contains."""

import pytest

from stages.download.fetching.faults import Refused
from stages.download.fetching.opt_out import refuse_opt_outs


def refused(*values: str) -> str | None:
    try:
        refuse_opt_outs(values, "rs5m-rebuild")
    except Refused as error:
        return error.reason
    return None


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (["noai"], "opted_out"),
        (["NoImageAI"], "opted_out"),
        (["nofollow, noml"], "opted_out"),
        (["nofollow", "noai"], "opted_out"),
        (["rs5m-rebuild: noai"], "opted_out"),
        (["RS5M-Rebuild : nofollow, noai"], "opted_out"),
        (["otherbot: noindex, rs5m-rebuild: noai"], "opted_out"),
        (["*: noai"], "opted_out"),
        (["noindex, noai"], "opted_out"),
        (["noai noimageai"], "opted_out"),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST, noai"], "opted_out"),
        (["unavailable_after: Fri, 25 Jun 2010 15:00:00 PST, noai"], "opted_out"),
        (["unavailable_after: Friday, 25-Jun-10, 15:00:00 UTC, noai"], "opted_out"),
        (["rs5m-rebuild/0.1: noai"], "opted_out"),
        (["RS5M-rebuild / 0.1: noai"], "opted_out"),
        (["noai: true"], "opted_out"),
        (["nofollow: , noai"], "opted_out"),
        (["none"], "disallowed_by_header"),
        (["*: none"], "disallowed_by_header"),
        (["max-image-preview: none, noindex"], "disallowed_by_header"),
        (["noimageindex"], "disallowed_by_header"),
        (["otherbot: noai"], None),
        (["otherbot/2.1: noai"], None),
        (["otherbot: unavailable_after: Fri, 25 Jun 2010 15:00:00 PST, noai"], None),
        (["otherbot: none"], None),
        (["max-image-preview: none"], None),
        (["otherbot: nofollow, noai"], None),
        (["rs5m-rebuild: nofollow, otherbot: noai"], None),
        (["rs5m-rebuild2: noai"], None),
        (["all", "nofollow, nosnippet"], None),
        (["noaim", "no ai", "", ":", ",,", "a:b:c"], None),
        ([], None),
    ],
)
def test_directives_for_everybody_or_for_us_are_obeyed(values: list[str], reason: str | None) -> None:
    assert refused(*values) == reason
