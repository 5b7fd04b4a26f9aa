"""The questions for raters, and the meaning of each answer. Samples are drawn in `strata.py` and `sample.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

UNSURE = "unsure"


@dataclass(frozen=True)
class Choice:
    """One answer: its stored value, the key that chooses it, and its meaning."""

    value: str
    key: str
    meaning: str


@dataclass(frozen=True)
class Question:
    """A question with its answers; every question can also be answered with `unsure`."""

    name: str
    text: str
    choices: tuple[Choice, ...]

    @property
    def values(self) -> tuple[str, ...]:
        """The answers that are accepted."""
        return (*(choice.value for choice in self.choices), UNSURE)


@dataclass(frozen=True)
class Task:
    """A rating or audit task.

    Attributes:
        name: "rating", or "audit_" and the stage.
        title: heading of the page.
        advice: one paragraph above the questions.
        questions: questions on each item; in an audit the first one decides whether the item is right.
        claimed: the decision that answers that question with yes; "" for ratings.
        claim: the decision's claim about an item, for the titles of tables.
        has_recall: whether items of the other decision allow a recall to be computed.
        note: limits of the figures.
    """

    name: str
    title: str
    advice: str
    questions: tuple[Question, ...]
    claimed: str = ""
    claim: str = ""
    has_recall: bool = True
    note: str = ""


def _levels(*meanings: str) -> tuple[Choice, ...]:
    return tuple(Choice(str(n), str(n), meaning) for n, meaning in enumerate(meanings, 1))


def _yes_no(yes: str, no: str) -> tuple[Choice, ...]:
    return Choice("yes", "y", yes), Choice("no", "n", no)


# The three questions are from RS5M's rating of 2,000 captions; the descriptions of the levels are ours.
RATING = Task(
    "rating",
    "Rate the captions",
    "Look at the picture first, then read the caption. Judge only the caption: its picture's quality does not count."
    " Each question is independent of the others.",
    (
        Question(
            "relevance",
            "Relevance and detail: does the caption describe what this picture shows, and how much of it?",
            _levels(
                "describes another picture, or says nothing of its content",
                "fits only in a general way; what matters most is missing",
                "names the main subject, without its surroundings or details",
                "names the main subject and some details; a visible one is missing",
                "names the main subject, its surroundings and the details that matter",
            ),
        ),
        Question(
            "hallucination",
            "Hallucination: is everything that the caption states visible, or likely from what is visible?",
            _levels(
                "most of what it states is not in the picture",
                "its main statement is wrong",
                "the main statement is right, several details are not in the picture",
                "one small detail is wrong or cannot be seen",
                "nothing is stated that the picture contradicts or does not show",
            ),
        ),
        Question(
            "fluency",
            "Fluency and conciseness: does it read well, without repetition?",
            _levels(
                "cannot be understood",
                "understood only with effort: broken grammar, loops or fragments",
                "understood, with clear mistakes or repetition",
                "reads well, with a small mistake or a needless word",
                "reads as if written by a careful person, and no word is superfluous",
            ),
        ),
    ),
)

_AUDITS = (
    Task(
        "audit_filter",
        "Audit of the keyword filter",
        "Read the text only. A remote sensing image is a view of the ground from above: from a satellite, an aircraft"
        " or a drone. The text need not be a good description.",
        (
            Question(
                "is_right",
                "Does the text speak of a remote sensing image?",
                _yes_no(
                    "it speaks of a view from above, or of an image made by a remote sensing instrument",
                    "the words mean something else here, such as a product, a film, a dish antenna or a person",
                ),
            ),
        ),
        claimed="kept",
        claim="the text speaks of a remote sensing image",
        has_recall=False,
        note="recall cannot be stated: rows without a keyword are counted, not stored",
    ),
    Task(
        "audit_outliers",
        "Audit of the outlier models",
        "Look at the picture only. A remote sensing image is a view of the Earth's ground from above: from a satellite,"
        " an aircraft or a drone, optical or of another sensor.",
        (
            Question(
                "is_right",
                "Is this a remote sensing image?",
                _yes_no(
                    "it is one, also at low altitude, at an angle, or with small captions and borders",
                    "it is not: a map, a drawing, weather imagery, a view from the ground, a person, a product, text",
                ),
            ),
        ),
        claimed="kept",
        claim="the picture is a remote sensing image",
    ),
    Task(
        "audit_dedup",
        "Audit of the removal of duplicates",
        "Compare the two pictures. Size, compression, small shifts of colour and small marks do not matter.",
        (
            Question(
                "is_right",
                "Are these two the same picture?",
                _yes_no(
                    "the same exposure: one is a copy of the other, also resized, compressed or slightly cropped",
                    "two exposures, of the same place or not, or only a similar layout",
                ),
            ),
        ),
        claimed="rejected",
        claim="the removed sample is a copy of the one that was kept",
        note="a kept sample is compared with the kept sample whose perceptual hash is nearest: duplicates of another"
        " kind are not seen, and both samples of a missed pair count",
    ),
    Task(
        "audit_contamination",
        "Audit of the contamination by evaluation sets",
        "Compare the two pictures; the second one is of an evaluation set. Size, compression, colour, frames and marks"
        " do not matter.",
        (
            Question(
                "is_right",
                "Are these two the same picture?",
                _yes_no(
                    "the same exposure: one is a copy or a window of the other, also turned, mirrored or framed",
                    "two exposures, of the same place or not, or only a similar layout",
                ),
            ),
        ),
        claimed="marked",
        claim="the sample's picture is in the evaluation set",
        has_recall=False,
        note="recall is not stated: samples that are not marked were not compared by eye",
    ),
    Task(
        "audit_caption",
        "Audit of the choice of captions",
        "Look at the picture, then read the caption.",
        (
            Question(
                "is_right",
                "Is the caption right?",
                _yes_no(
                    "its statements are true of the picture, even if it is short",
                    "a statement is wrong, or it says nothing of the picture",
                ),
            ),
        ),
        claimed="kept",
        claim="the caption is right",
        has_recall=False,
        note="recall is not stated: one caption of many is chosen, and the others may be right too; compare the strata",
    ),
    Task(
        "audit_gpe",
        "Audit of the place names",
        "Read the text only.",
        (
            Question(
                "is_right",
                "Does the text name a place with a government: a country, state, region, district, city or village?",
                _yes_no(
                    "it names at least one, also in another language or as an adjective of it",
                    "it names none; mountains, rivers, buildings, people and companies do not count",
                ),
            ),
        ),
        claimed="kept",
        claim="the caption names a place",
    ),
)
AUDITS: Mapping[str, Task] = {task.name.removeprefix("audit_"): task for task in _AUDITS}
