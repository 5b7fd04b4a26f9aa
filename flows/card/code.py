"""The code that made a build: version, commit, Python and packages."""

from __future__ import annotations

import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError
from pathlib import Path

from stages.identity import package_version

ROOT = Path(__file__).parents[2]
DISTRIBUTION = "rs5m-rebuild"
_PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==", re.M)


def code_version() -> dict[str, object]:
    """Return name, version, commit, and whether files differ from the commit; the last two are None without git."""
    commit = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "name": DISTRIBUTION,
        "version": _version(DISTRIBUTION),
        "commit": commit or None,
        "has_local_changes": None if changed is None else bool(changed),
        "python": platform.python_version(),
    }


def package_versions(constraints: Path = ROOT / "constraints.txt") -> dict[str, str | None]:
    """Return the installed version of each package that constraints.txt pins; None if it is not installed."""
    names = _PINNED.findall(constraints.read_text(encoding="utf-8"))
    return {name: _version(name) for name in sorted(names, key=str.lower)}


def _version(name: str) -> str | None:
    try:
        return package_version(name)
    except PackageNotFoundError:
        return None


def _git(*words: str) -> str | None:
    """Return the output of git in this file's checkout; None without a checkout or git."""
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
