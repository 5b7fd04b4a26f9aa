"""Collect the paths passed over in a corpus's folder, each once, with its reason.

`stages/inventory/tree.py` finds them.
"""

from dataclasses import dataclass, field

LeftOut = tuple[str, str, str, str]  # corpus, path, reason, detail
_MOST_ROWS = 1000  # rows per corpus; a foreign corpus, or BigEarthNet's unread bands, would have millions
_NEVER_MERGED = (
    "unreadable",
    "empty_file",
    "partial_download",
    "reached_twice",
)  # each of these is a loss, or may hide one


@dataclass
class _Group:
    """Paths below one folder passed over for one reason: the first path, and their number."""

    first: str
    detail: str
    n_paths: int = 1


@dataclass
class PassedOver:
    """The paths passed over under one corpus's folder.

    Each path has a row. If there are more than `_MOST_ROWS`, a row covers all paths with one reason below a folder,
    at the deepest level of folders that the limit allows: the rows depend on the paths, not on the order in which they
    are found.
    """

    _single: dict[str, tuple[str, str]] = field(default_factory=dict)  # path → reason, detail
    _groups: dict[tuple[str, str], _Group] = field(default_factory=dict)  # reason and folder → paths
    _depth: int = 100  # components of a path that decide its group

    def add(self, path: str, reason: str, detail: str = "") -> None:
        """Add a path under the corpus's folder; a name that is not UTF-8 is shown with escapes."""
        shown = path if path.isascii() else path.encode("utf-8", "backslashreplace").decode()
        if reason in _NEVER_MERGED:
            self._single[shown] = (reason, detail)
            return
        self._merge(reason, _Group(shown, detail))
        while len(self._groups) > _MOST_ROWS and self._depth:
            self._depth = min(self._depth, max(group.first.count("/") + 1 for group in self._groups.values())) - 1
            before, self._groups = self._groups, {}
            for (known, _), group in before.items():
                self._merge(known, group)

    def has(self, reason: str) -> bool:
        """Return whether a path was passed over for a reason that is never merged."""
        return any(found == reason for found, _ in self._single.values())

    def unreadable(self) -> list[str]:
        """Return the unreadable paths under the corpus's folder, as shown."""
        return sorted(path for path, (reason, _) in self._single.items() if reason == "unreadable")

    def rows(self, code: str) -> list[LeftOut]:
        """Return code, path under SOURCES, reason and detail of each row, ordered by path."""
        found = [(code, f"{code}/{path}" if path else code, *why) for path, why in self._single.items()]
        for (reason, folder), group in self._groups.items():
            more = f"{group.n_paths - 1:,} more below {folder or code}; " if group.n_paths > 1 else ""
            path = f"{code}/{group.first}" if group.first else code
            found.append((code, path, reason, (more + group.detail).removesuffix("; ")))
        return sorted(found)

    def _merge(self, reason: str, group: _Group) -> None:
        folder = "/".join(group.first.split("/", self._depth)[: self._depth])
        known = self._groups.get((reason, folder))
        if known is None:
            self._groups[reason, folder] = group
        else:
            if group.first < known.first:
                known.first, known.detail = group.first, group.detail
            known.n_paths += group.n_paths
