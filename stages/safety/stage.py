"""Safety: record the hashes of known illegal pictures; `download` and `shard` reject the listed files.

A list is neither a parameter nor a resource but a recorded fact, like a withdrawal. As a parameter, another list would
make all screened and embedded pictures stale; as a resource, it would change rows without changing fingerprints, and a
command that does not name it would forget it. A recorded new hash changes only the rows of the files it names.
"""

from pathlib import Path

from pydantic import Field

from schemas.tables import LISTED_HASH
from stages.contract import Context, Given, Inputs, Outcome, Reads, Resources, Stage, no_rejects
from stages.rows import run_sql
from stages.safety.hash_lists import read_hash_lists


class HashListResources(Resources):
    """The hash lists to add to the recorded hashes."""

    hash_lists: tuple[str, ...] = Field(
        (), description="files with the MD5 or sha256 of known illegal pictures, one per line; # begins a comment"
    )


def record_hashes(inputs: Inputs, context: Context) -> Outcome:
    """Return the hashes of the lists that are not recorded yet; empty without a list or a new hash.

    Raises:
        InputError: a list cannot be read, has no hash, or has another line.
    """
    resources: HashListResources = context.resources
    found = read_hash_lists([Path(path) for path in resources.hash_lists])
    new = run_sql(
        "FROM found ANTI JOIN listed_hash USING (hash_kind, hash) ORDER BY ALL",
        {"found": found, "listed_hash": inputs["listed_hash"]},
    )
    return Outcome(new.cast(LISTED_HASH.schema), no_rejects(LISTED_HASH))


RECORD_HASHES = Stage(
    name="record_hashes",
    module="safety",
    version=1,
    does="Records hashes of known illegal pictures, which are neither published nor shown.",
    reads=(Reads("listed_hash", ("hash_kind", "hash"), is_whole=True, is_optional=True),),
    writes=LISTED_HASH,
    grain="observe",
    given=Given(),
    run=record_hashes,
    resources=HashListResources,
    keeps="all",
)
