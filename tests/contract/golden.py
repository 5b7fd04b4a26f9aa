"""Golden digests: the digest of each stage's output on its handmade inputs, by version.

`python -m tests.contract.golden` updates golden.json.
"""

import json
import sys
import tempfile
from pathlib import Path

from flows.ledger.digests import digest_columns, digest_file
from stages import STAGES
from stages.checks import check_outcome
from stages.contract import Stage
from stages.identity import digest_json
from tests.contract.inputs import call_stage

_TARS = ("write_shards", "write_pairs")
PATH = Path(__file__).with_name("golden.json")


def golden_digest(stage: Stage, folder: Path) -> str:
    """Return the digest of a stage's output on its handmade inputs: value columns, rejects, counts and tars."""
    inputs, outcome = call_stage(stage, folder)
    check_outcome(stage, inputs, outcome)
    values = [field.name for field in stage.writes.fields if field.kind == "value"]
    made = {
        "kept": digest_columns(outcome.kept.select(values)),
        "rejects": digest_columns(outcome.rejects),
        "counts": dict(outcome.counts or {}),
        # Rows locate the bodies in a download's tar, so only published tars are digested as files.
        "files": [digest_file(path) for path in outcome.files] if stage.name in _TARS else [],
    }
    return digest_json(made)[:16]


def load() -> dict[str, dict[str, object]]:
    """Return {stage: {version, digest}}."""
    found: dict[str, dict[str, object]] = json.loads(PATH.read_text())
    return found


def judge(stage: Stage, digest: str, golden: dict[str, dict[str, object]]) -> str:
    """Return "" if the output of a version is unchanged, else what to do."""
    known = golden.get(stage.name)
    if known is None:
        return f"{stage.name} has no golden digest: run `python -m tests.contract.golden`"
    if known["version"] == stage.version and known["digest"] != digest:
        return f"output of {stage.name} changed: raise its version and run `python -m tests.contract.golden`"
    if known["version"] != stage.version:
        return f"{stage.name} has a new version: run `python -m tests.contract.golden`"
    return ""


def main() -> int:
    """Write the digests; refuse those that changed although the version did not."""
    known = load() if PATH.exists() else {}
    golden, faults = {}, []
    with tempfile.TemporaryDirectory() as folder:
        for stage in STAGES:
            digest = golden_digest(stage, Path(folder) / stage.name)
            golden[stage.name] = {"version": stage.version, "digest": digest}
            if stage.name in known and "output of" in (fault := judge(stage, digest, known)):
                faults.append(fault)
    if faults:
        print("\n".join(faults))
        return 1
    PATH.write_text(json.dumps(golden, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
