"""Dependencies of rows made from keypoints: how keypoints are found, and the words that summarise them."""

from collections.abc import Mapping

from stages.contract import Dependency, Params
from stages.images.keypoints import keypoints_identity


def _with_words(params: Params) -> Mapping[str, str]:
    from stages.dedup.summary import words_digest

    return {**keypoints_identity(), "words": words_digest()}


def _found(params: Params) -> Mapping[str, str]:
    return keypoints_identity()


COMPARISON = Dependency("keypoints", _found)
SUMMARIES = Dependency("keypoints", _with_words)
