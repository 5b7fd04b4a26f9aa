"""The figures of ratings and audits as small tables, always computed from the labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping

from flows.ask.report import Report, Row
from flows.intervals import Estimate, wilson
from flows.rate.labels import Judgement
from flows.rate.questions import UNSURE, Question, Task
from flows.rate.sample import Drawn
from flows.rate.statistics import (
    Counted,
    Level,
    alpha,
    majority,
    mean_and_deviation,
    n_for_margin,
    recall,
    stratified_share,
)
from schemas.audit_manifests import load_published_audits

Labels = Mapping[tuple[str, str], Judgement]  # by rater and item
MARGINS_POINTS = (5, 2, 1)  # half-widths in percentage points, for which the required N is printed


def reports(task: Task, drawn: Drawn, labels: Labels) -> dict[str, Report]:
    """Return a task's tables by the name of their file.

    Args:
        task: the task.
        drawn: the sample; labels of other items are ignored.
        labels: the last judgement of each rater on each item.
    """
    names = {item.item for item in drawn.items}
    used = {key: judgement for key, judgement in labels.items() if judgement.item in names}
    if task.name == "rating":
        return {"rating": _rating(task, drawn, used)}
    counted, unresolved = _count(task, drawn, used)
    found = {
        task.name: _strata_report(task, drawn, counted, unresolved),
        f"{task.name}_rates": _rates_report(task, drawn, used, counted),
    }
    if task.name == "audit_outliers":
        found["audit_outliers_table_xv"] = _table_xv(drawn, counted)
    return found


def agreement(question: Question, labels: Labels) -> tuple[float | None, int]:
    """Return Krippendorff's alpha of a question, and the number of items with at least two answers."""
    values = {choice.value: float(n) for n, choice in enumerate(question.choices, 1)}
    by_rater: dict[str, dict[Hashable, float]] = {}
    for (rater, item), judgement in labels.items():
        answer = judgement.answers.get(question.name)
        if answer in values:
            by_rater.setdefault(rater, {})[item] = values[answer]
    n_answers = Counter(item for answers in by_rater.values() for item in answers)
    level: Level = "ordinal" if len(question.choices) > 2 else "nominal"
    return alpha(by_rater, level), sum(n >= 2 for n in n_answers.values())


def _rating(task: Task, drawn: Drawn, labels: Labels) -> Report:
    stratum_of = {item.item: item.stratum for item in drawn.items}
    published = {(row.question, row.source): row for row in load_published_audits().rating}
    rows: list[Row] = []
    for question in task.questions:
        for subset in (*sorted({stratum.name for stratum in drawn.strata}), "Total"):
            of_subset = {key: j for key, j in labels.items() if subset in ("Total", stratum_of[j.item])}
            known = published.get((question.name, subset))
            rows.append(
                {
                    "question": question.name,
                    "subset": subset,
                    **_rating_figures(question, of_subset),
                    "published_mean": known.mean if known else None,
                    "published_deviation": known.deviation if known else None,
                    "published_n": known.n if known else None,
                }
            )
    return Report("rating of captions, 1 to 5 (5 is best)", tuple(rows[0]), tuple(rows))


def _rating_figures(question: Question, labels: Labels) -> Row:
    answers = [j.answers.get(question.name, UNSURE) for j in labels.values()]
    levels = [int(answer) for answer in answers if answer != UNSURE]
    mean, deviation = mean_and_deviation(levels)
    n_at = Counter(levels)
    value, n_shared = agreement(question, labels)
    rated = {item for (_, item), j in labels.items() if j.answers.get(question.name, UNSURE) != UNSURE}
    return {
        "mean": _rounded(mean, 2),
        "deviation": _rounded(deviation, 2),
        "n_captions": len(rated),
        "n_ratings": len(levels),
        "n_unsure": len(answers) - len(levels),
        "n_raters": len({rater for rater, _ in labels}),
        "alpha": _rounded(value, 3),
        "n_by_two_raters": n_shared,
        **{f"n_level_{choice.value}": n_at[int(choice.value)] for choice in question.choices},
    }


def _truths(task: Task, drawn: Drawn, labels: Labels) -> dict[str, str | None]:
    """Return the majority's answer for each judged item; None on a tie or if nobody was sure."""
    question = task.questions[0].name
    answers: dict[str, list[str]] = {}
    for (_, name), judgement in sorted(labels.items()):
        answers.setdefault(name, []).append(judgement.answers.get(question, UNSURE))
    return {item.item: majority(answers[item.item], UNSURE) for item in drawn.items if item.item in answers}


def _count(task: Task, drawn: Drawn, labels: Labels) -> tuple[dict[str, Counted], dict[str, int]]:
    """Return each stratum's answers, and its number of items on which raters disagree or were unsure."""
    truths = _truths(task, drawn, labels)
    n, n_yes, unresolved = Counter[str](), Counter[str](), Counter[str]()
    for item in drawn.items:
        if item.item in truths:
            n[item.stratum] += truths[item.item] is not None
            n_yes[item.stratum] += truths[item.item] == "yes"
            unresolved[item.stratum] += truths[item.item] is None
    return {s.name: Counted(s.size, n[s.name], n_yes[s.name]) for s in drawn.strata}, dict(unresolved)


def _strata_report(task: Task, drawn: Drawn, counted: Mapping[str, Counted], unresolved: Mapping[str, int]) -> Report:
    rows: list[Row] = []
    for stratum in drawn.strata:
        found = counted[stratum.name]
        share = wilson(found.n_yes, found.n) if found.n else None
        rows.append(
            {
                "stratum": stratum.name,
                "decision": stratum.decision,
                "size": stratum.size,
                "drawn": stratum.n_drawn,
                "judged": found.n,
                "unresolved": unresolved.get(stratum.name, 0),
                "yes": found.n_yes,
                **_limits("yes", share),
            }
        )
    return Report(f"{task.title}: {task.questions[0].text}", tuple(rows[0]), tuple(rows))


def _groups(task: Task, drawn: Drawn, counted: Mapping[str, Counted]) -> tuple[list[Counted], list[Counted]]:
    """Return the strata of the decision that claims yes, and those of the other one."""
    claims = [counted[s.name] for s in drawn.strata if s.decision == task.claimed]
    return claims, [counted[s.name] for s in drawn.strata if s.decision != task.claimed]


def _rates_report(task: Task, drawn: Drawn, labels: Labels, counted: Mapping[str, Counted]) -> Report:
    claims, others = _groups(task, drawn, counted)
    value, n_shared = agreement(task.questions[0], labels)
    shared = {"n_raters": len({rater for rater, _ in labels}), "n_by_two_raters": n_shared, "alpha": _rounded(value, 3)}
    n = sum(c.n for c in claims)
    rows: list[Row] = [{"rate": "precision", "meaning": f"of those {task.claimed}, the share for which {task.claim}",
                        **_with_n(stratified_share(claims), n), **shared}]  # fmt: skip
    if task.has_recall:
        n += sum(c.n for c in others)
        rows.append({"rate": "recall", "meaning": f"of all for which {task.claim}, the share {task.claimed}",
                     **_with_n(recall(claims, others), n), **shared})  # fmt: skip
    return Report(f"{task.title}: rates, weighted by stratum, with 95 % limits", tuple(rows[0]), tuple(rows))


def _with_n(rate: Estimate | None, n: int) -> Row:
    """Return a rate with its limits, and the number of judged items needed for each margin."""
    needed = {f"n_for_{points}_points": _n_needed(rate, n, points / 100) for points in MARGINS_POINTS}
    return {**_limits("", rate), "n_judged": n, **needed}


def _n_needed(rate: Estimate | None, n: int, margin: float) -> int | None:
    """Return the items needed for a margin: a simple random sample's number times this sample's design effect."""
    if rate is None or rate.margin == 0:
        return None
    return max(1, round(n_for_margin(rate.value, margin) * n / n_for_margin(rate.value, min(rate.margin, 0.49))))


def _table_xv(drawn: Drawn, counted: Mapping[str, Counted]) -> Report:
    """Return the published table: kept images that are outliers, and removed ones that are remote sensing images."""
    published = {row.group: row for row in load_published_audits().outliers}
    rows: list[Row] = []
    for group, decision in (("kept", "kept"), ("removed", "rejected")):
        strata = [counted[s.name] for s in drawn.strata if s.decision == decision]
        if decision == "kept":  # errors are the images that are not remote sensing
            strata = [Counted(c.size, c.n, c.n - c.n_yes) for c in strata]
        known = published[group]
        rows.append(
            {
                "group": group,
                "wrong_if": "no remote sensing image" if group == "kept" else "a remote sensing image",
                "n": sum(c.n for c in strata),
                "n_wrong": sum(c.n_yes for c in strata),
                **_limits("wrong", stratified_share(strata)),
                "published_n": known.n,
                "published_n_wrong": known.n_wrong,
                "published_wrong_percent": known.wrong_share_percent,
            }
        )
    return Report("outliers in the form of Table XV; shares are weighted by stratum", tuple(rows[0]), tuple(rows))


def _limits(name: str, rate: Estimate | None) -> Row:
    prefix = f"{name}_" if name else ""
    values = (rate.value, rate.low, rate.high) if rate else (None, None, None)
    names = (f"{prefix}percent", f"{prefix}percent_low", f"{prefix}percent_high")
    return {key: _rounded(None if v is None else 100 * v, 1) for key, v in zip(names, values, strict=True)}


def _rounded(value: float | None, n_digits: int) -> float | None:
    return None if value is None else round(value, n_digits)


def outlier_labels(task: Task, drawn: Drawn, labels: Labels) -> Report:
    """Return the resolved items of the outlier audit for `make calibrate`: sample_id, and rs or other."""
    truth = _truths(task, drawn, labels)
    names = {"yes": "rs", "no": "other"}
    rows = tuple({"sample_id": item, "label": names[found]} for item, found in sorted(truth.items()) if found)
    return Report("labels for make calibrate", ("sample_id", "label"), rows)


def unresolved_items(task: Task, drawn: Drawn, labels: Labels) -> list[str]:
    """Return the items of an audit without a majority, or on which nobody was sure."""
    return sorted(item for item, found in _truths(task, drawn, labels).items() if found is None)


def unjudged_strata(task: Task, drawn: Drawn, labels: Labels) -> list[str]:
    """Return the strata of an audit that have items but no answer to count, without which a rate is empty."""
    counted, _ = _count(task, drawn, labels)
    asked = [s for s in drawn.strata if s.size and (task.has_recall or s.decision == task.claimed)]
    return [s.name for s in asked if not counted[s.name].n]
