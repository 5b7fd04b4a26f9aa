"""Strict rules: which keywords of a caption mean something else than remote sensing (modish, Naipaul, a parking space).

Not for finding keywords (`stages/filter/keywords.py`) nor for the rules themselves (`manifests/keywords.toml`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.manifests import StrictRule


@dataclass(frozen=True)
class StrictRules:
    """Conditions on a keyword beyond being a substring; keywords without a rule always meet them."""

    rules: tuple[StrictRule, ...] = ()

    def keywords_left(self, texts: pa.Array, keywords: pa.ListArray) -> pa.ListArray:
        """Return the keywords that meet their rules, in their order.

        Args:
            texts: the texts in which the keywords were found, without nulls.
            keywords: all keywords of each text.
        """
        found = keywords.flatten()
        rows = pc.list_parent_indices(keywords)
        is_left = np.ones(len(found), bool)
        for rule in self.rules:
            for pattern in rule.patterns:
                places = np.flatnonzero(pc.equal(found, pattern).to_numpy(zero_copy_only=False))
                if len(places):
                    is_left[places] = _holds(texts.take(rows.take(pa.array(places))), rule, pattern)
        ends = np.cumsum(np.bincount(rows.to_numpy()[is_left], minlength=len(keywords)))
        offsets = np.concatenate([[0], ends]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), found.filter(pa.array(is_left)))


def _holds(texts: pa.Array, rule: StrictRule, pattern: str) -> Sequence[bool]:
    case = "" if rule.is_case_sensitive else "(?i)"
    is_needed = pc.match_substring_regex(texts, case + rule.needs.replace("{pattern}", re.escape(pattern)))
    if rule.refused_with:
        is_refused = pc.match_substring_regex(texts, f"(?i){rule.refused_with}")
        is_needed = pc.and_not(is_needed, is_refused)
    found: Sequence[bool] = is_needed.to_numpy(zero_copy_only=False)
    return found
