"""Withdraw: add the entries of a list to those that the build no longer requests or publishes.

Entries are never removed, and each is recorded once, since a withdrawal is a fact and not a setting.
"""

from pathlib import Path

import pyarrow as pa
from pydantic import Field

from schemas.tables import WITHDRAWAL
from stages.contract import Context, Given, Inputs, Outcome, Reads, Resources, Stage, no_rejects
from stages.withdraw.entries import read_entries


class WithdrawResources(Resources):
    """The list to add."""

    add: str = Field("", description="file of samples, URLs, hosts and hashes to withdraw, one per line (LIST=)")


def list_withdrawn(inputs: Inputs, context: Context) -> Outcome:
    """Return the entries of the list that are not recorded yet; empty without a list or a new entry.

    Raises:
        InputError: the list cannot be read, or has an entry of unknown form.
    """
    resources: WithdrawResources = context.resources
    known = {(row["entry_kind"], row["entry"]) for row in inputs["withdrawal"].to_pylist()}
    entries = read_entries(Path(resources.add)) if resources.add else []
    new = sorted(entry for entry in entries if entry not in known)
    columns = {"entry_kind": [kind for kind, _ in new], "entry": [value for _, value in new]}
    return Outcome(pa.table(columns, schema=WITHDRAWAL.schema), no_rejects(WITHDRAWAL))


LIST_WITHDRAWN = Stage(
    name="list_withdrawn",
    module="withdraw",
    version=1,
    does="Records withdrawn samples, URLs and hosts, and images by their hashes.",
    reads=(Reads("withdrawal", ("entry_kind", "entry"), is_whole=True, is_optional=True),),
    writes=WITHDRAWAL,
    grain="observe",
    given=Given(),
    run=list_withdrawn,
    resources=WithdrawResources,
    keeps="all",
)
