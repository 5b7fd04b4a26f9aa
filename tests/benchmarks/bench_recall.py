"""bench-recall: which edited copies of pictures both measures of dedup find, and which other pictures they join.

Pictures are generated, or those of a folder (IMAGES=…). All thresholds are the defaults of the stages; the words of
summaries come from other seeds. ONLY="border|5 degrees" makes only these edits.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from flows.demo.world.drawings import FROM_ABOVE, KINDS
from stages.dedup.codes import N_CODES, Codes, encode_keypoints, have_near
from stages.dedup.neighbours import components, distance
from stages.dedup.pairs import compare_described, describe_in_colour
from stages.dedup.settings import JudgeParams, PairParams
from stages.dedup.summary import summarise
from stages.images.colours import Colours
from stages.images.keypoints import Keypoints, find_keypoints
from stages.images.windows import Windows, find_windows, window_distance
from stages.screen.perceptual_hash import hash_grey, reduce_grey
from tests.benchmarks.harness import Goal, Row, cpu_seconds, most_events, report, sized
from tests.benchmarks.recall_edits import EDITS

N_GALLERY = sized(int(os.environ.get("N_PICTURES", "300")), 8)  # distinct ones, among which false joins are counted
N_COPIED = sized(int(os.environ.get("N_COPIED", "60")), 2)  # of these, each copied by every edit
N_HASHED = sized(int(os.environ.get("N_HASHED", "4000")), 30)  # distinct drawings that are compared by hash alone
SEED = int(os.environ.get("RS5M_SEED") or "36")  # SEED= of make; thresholds were chosen with 31 to 34
ONLY = [name for name in os.environ.get("ONLY", "").split("|") if name] or list(EDITS)
MAX_FALSE_SHARE = 1 / 500  # of nearest neighbours
MIN_PRECISION = 0.98

Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Described:
    """A picture as both measures see it."""

    kind: str
    hashes: npt.NDArray[np.uint64]
    detail: float
    keypoints: Keypoints
    summary: Values
    codes: Codes
    windows: Windows
    colours: Colours


def describe(image: Image.Image, kind: str) -> Described:
    """Return what screen and summarise_keypoints find."""
    found = hash_grey(image.convert("L"))
    keypoints, windows, colours = describe_in_colour(image)
    hashes = np.array(found["phash_orientations"], np.uint64)
    summary, codes = summarise(keypoints).astype(np.float32), encode_keypoints(keypoints)
    return Described(kind, hashes, found["phash_detail"], keypoints, summary, codes, windows, colours)


def draw_pictures() -> list[tuple[str, Image.Image]]:
    """Return kinds and pictures, generated or of IMAGES."""
    folder = os.environ.get("IMAGES")
    if not folder:
        names = sorted(KINDS)
        sizes = [(320, 240), (256, 256), (420, 300)]
        return [
            (names[n % len(names)], KINDS[names[n % len(names)]](np.random.default_rng([SEED, n]), *sizes[n % 3]))
            for n in range(N_GALLERY)
        ]
    paths = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png", ".tif", ".webp"))
    chosen = np.random.default_rng(SEED).permutation(len(paths))[:N_GALLERY]
    return [(paths[n].parent.name, Image.open(paths[n]).convert("RGB")) for n in sorted(chosen)]


def is_near(one: Described, other: Described) -> bool:
    """Return whether the hashes of two pictures are near, as cluster has it."""
    params = PairParams()
    if min(one.detail, other.detail) < params.min_detail:
        return False
    bits = min(int(distance(one.hashes, other.hashes[0]).min()), int(distance(other.hashes, one.hashes[0]).min()))
    return bits <= params.max_distance


def have_near_windows(one: Described, other: Described) -> bool:
    """Return whether find_pairs would compare two pictures for the hashes of their insides."""
    params = PairParams()
    return window_distance(one.windows, other.windows, params.min_detail) <= params.max_window_distance


def have_near_codes(one: Described, others: Sequence[Described]) -> list[bool]:
    """Return whether find_pairs would compare a picture with each of others whose summaries are near."""
    found = np.zeros((len(others) + 1, N_CODES), np.uint64)
    sizes = np.array([len(picture.codes) for picture in (one, *others)])
    for row, picture in zip(found, (one, *others), strict=True):
        row[: len(picture.codes)] = picture.codes
    n_first, first = np.repeat(sizes[:1], len(others)), np.repeat(found[:1], len(others), axis=0)
    return have_near(first, found[1:], n_first, sizes[1:], PairParams().min_near_codes).tolist()


def nearest(one: Described, others: Sequence[Described], summaries: Values) -> tuple[set[int], set[int]]:
    """Return the pictures that are nearest to a new one by summaries, and those with near hashes of their insides."""
    params = PairParams()
    cosines = summaries @ one.summary
    found = np.argsort(-cosines, kind="stable")[: params.n_summary_neighbours]
    by_summary = {int(n) for n in found if cosines[n] >= params.min_summary_cos}
    by_summary |= {int(n) for n in found[:1] if cosines[n] >= params.min_first_cos}
    return by_summary, {n for n, other in enumerate(others) if have_near_windows(one, other)}


def candidates(one: Described, others: Sequence[Described], summaries: Values) -> list[int]:
    """Return the pictures that find_pairs would compare with a new one."""
    by_summary, by_window = nearest(one, others, summaries)
    listed = sorted(by_summary)
    is_alike = have_near_codes(one, [others[n] for n in listed])
    return sorted({n for n, is_one in zip(listed, is_alike, strict=True) if is_one} | by_window)


def agree(one: Described, other: Described) -> bool:
    """Return whether the keypoints of two pictures, or their insides, make them copies."""
    params = JudgeParams()
    found = compare_described(*((each.keypoints, each.windows, each.colours) for each in (one, other)))
    n_inliers, correlation = found["n_inliers"], found["pair_correlation"]
    is_near = n_inliers >= params.min_near_inliers and correlation >= params.min_near_correlation
    is_close = n_inliers >= params.min_close_inliers and correlation >= params.min_pair_correlation
    is_sure = n_inliers >= params.min_sure_inliers
    limit = params.max_sure_colour_distance if is_sure else params.max_colour_distance
    has_colours = (found["pair_colour_distance"] or 0) <= limit
    if has_colours and (is_near or is_close or n_inliers >= params.min_inliers):
        return True
    is_alike = found["window_correlation"] >= params.min_window_correlation
    is_coloured_alike = found["window_colour_distance"] <= params.max_colour_distance
    return is_alike and is_coloured_alike and have_near_windows(one, other)


def measure_edits(
    pictures: Sequence[tuple[str, Image.Image]], gallery: Sequence[Described], summaries: Values
) -> tuple[list[Row], list[Goal], float]:
    """Return rows and goals of each edit, and the share of right joins in all joins of copies."""
    rows: list[Row] = []
    goals: list[Goal] = []
    n_right = n_wrong = 0
    # A picture without detail joins equal pixels alone.
    textured = [n for n, one in enumerate(gallery) if one.detail >= PairParams().min_detail]
    copied = [textured[int(n)] for n in np.linspace(0, len(textured) - 1, min(N_COPIED, len(textured)))]
    for number, (name, (edit, least)) in enumerate(EDITS.items()):
        if name not in ONLY:
            continue
        n_hashed = n_paired = n_agreed = n_found = 0
        for n in copied:
            rng = np.random.default_rng([SEED, number, n])
            copy = describe(edit(pictures[n][1], rng), "")
            near = {m for m, other in enumerate(gallery) if is_near(copy, other)}
            asked = candidates(copy, gallery, summaries)
            joined = near | {m for m in asked if m not in near and agree(copy, gallery[m])}
            n_hashed, n_paired, n_found = n_hashed + (n in near), n_paired + (n in asked), n_found + (n in joined)
            n_agreed += agree(copy, gallery[n])
            n_right, n_wrong = n_right + (n in joined), n_wrong + len(joined - {n})
        shares = [count / max(1, len(copied)) for count in (n_hashed, n_paired, n_agreed, n_found)]
        rows.append(Row(f"{name}: found by hash", shares[0], ""))
        rows.append(Row(f"{name}: candidate by summary or inside", shares[1], ""))
        rows.append(Row(f"{name}: confirmed where it is a candidate", shares[2], ""))
        rows.append(Row(f"{name}: found by both measures", shares[3], f"of {len(copied)}"))
        goals.append(Goal(f"{name}: share of copies missed", round(1 - shares[3], 4), round(1 - least, 2)))
        print(
            "{}: hash {:.2f}, candidate {:.2f}, confirmed {:.2f}, found {:.2f}".format(name, *shares), file=sys.stderr
        )
    return rows, goals, n_right / max(1, n_right + n_wrong)


def measure_false(gallery: Sequence[Described], summaries: Values) -> tuple[list[Row], Goal]:
    """Return the pairs of different pictures that are joined, by kind, and the share of nearest neighbours joined."""
    asked, compared, joined = 0, 0, {"hash": 0, "keypoints": 0}
    of_kind: dict[str, int] = {}
    for n, one in enumerate(gallery):
        others = np.delete(np.arange(len(gallery)), n)
        given = one, [gallery[m] for m in others], summaries[others]
        pairs = [int(others[m]) for m in candidates(*given)]
        asked, compared = asked + len(set.union(*nearest(*given))), compared + len(pairs)
        false = {"hash": [m for m in range(n) if is_near(one, gallery[m])], "keypoints": []}
        false["keypoints"] = [m for m in pairs if agree(one, gallery[m])]
        for measure, found in false.items():
            joined[measure] += len(found)
            of_kind[one.kind] = of_kind.get(one.kind, 0) + len(found)
    n_pairs = len(gallery) * (len(gallery) - 1) // 2
    rows = [
        Row("nearest neighbours by summaries and insides, per picture", asked / len(gallery), ""),
        Row("of these compared by keypoints: near codes or insides, share", compared / max(1, asked), ""),
        Row(f"different pictures joined by hash, of {n_pairs:,} pairs", joined["hash"], ""),
        Row(f"different pictures joined by keypoints, of {asked:,} nearest neighbours", joined["keypoints"], ""),
        Row(
            "bound of the share of nearest neighbours joined", most_events(joined["keypoints"]) / max(1, asked), "95 %"
        ),
        *(Row(f"different pictures joined: {kind}", n, "") for kind, n in sorted(of_kind.items()) if n),
    ]
    return rows, Goal("share of nearest neighbours joined", joined["keypoints"] / max(1, asked), MAX_FALSE_SHARE)


def measure_hashes() -> list[Row]:
    """Return the drawings that the hash joins to others, by kind; no two are drawn from one seed."""
    params, names = PairParams(), sorted(KINDS)
    kinds = [names[n % len(names)] for n in range(N_HASHED)]
    found = [
        hash_grey(KINDS[kind](np.random.default_rng([SEED, 1, n]), 160, 120).convert("L"))
        for n, kind in enumerate(kinds)
    ]
    textured = [n for n, one in enumerate(found) if one["phash_detail"] >= params.min_detail]
    ways = np.array([found[n]["phash_orientations"] for n in textured], np.uint64)
    labels = components(np.ascontiguousarray(ways[:, 0]), params.max_distance, ways[:, 1:])
    joined = [kinds[textured[n]] for n in np.flatnonzero(labels != np.arange(labels.size))]
    rows = [Row(f"drawings joined by hash: {kind}, of {kinds.count(kind):,}", joined.count(kind), "") for kind in names]
    return [
        Row("drawings compared by hash", N_HASHED, f"{N_HASHED - len(textured)} without detail"),
        Row("bound of the share of them joined", most_events(len(joined)) / max(1, len(textured)), "95 %"),
        *rows,
    ]


def measure_costs(images: Sequence[Image.Image], gallery: Sequence[Described]) -> list[Row]:
    """Return CPU time of a picture and of a pair, beside the hash of the same pictures."""
    few = images[: sized(40, 2)]
    hashed = cpu_seconds(lambda: [reduce_grey(image.convert("L")) for image in few])
    found = cpu_seconds(lambda: [(summarise(find_keypoints(image)), find_windows(image)) for image in few])
    pairs = [(gallery[n], gallery[n - 1]) for n in range(1, len(few))]
    compared = cpu_seconds(lambda: [agree(*pair) for pair in pairs])
    coded = cpu_seconds(lambda: [have_near_codes(gallery[0], gallery) for _ in range(3)]) / len(gallery) / 3
    ms = 1000 / len(few)
    return [
        Row(
            "keypoints, summary and inside of a picture, ms",
            found * ms,
            "CPU ms",
            hashed * ms,
            found / max(hashed, 1e-6),
        ),
        Row("comparison of the codes of a pair, ms", coded * 1000, "CPU ms", None, None),
        Row("comparison of a pair, ms", compared * 1000 / len(pairs), "CPU ms", None, None),
    ]


def main() -> None:
    """Measure, print, write build/bench/recall.json."""
    pictures = draw_pictures()
    gallery = [describe(image, kind) for kind, image in pictures]
    summaries = np.array([one.summary for one in gallery])
    false_rows, false_goal = measure_false(gallery, summaries)
    rows, goals, precision = measure_edits(pictures, gallery, summaries)
    n_above = sum(kind in FROM_ABOVE for kind, _ in pictures)
    n_points = [len(one.keypoints.points) for one in gallery]
    rows = [
        Row("keypoints of a picture, median", float(np.median(n_points)), f"5 %: {np.quantile(n_points, 0.05):.0f}"),
        Row("pictures without detail, not copied", sum(one.detail < PairParams().min_detail for one in gallery), ""),
        Row("pictures", len(pictures), "" if os.environ.get("IMAGES") else f"{n_above} drawn from above"),
        *measure_costs([image for _, image in pictures], gallery),
        *rows,
        *false_rows,
        *(measure_hashes() if not os.environ.get("IMAGES") else []),
    ]
    precision_goal = Goal("joins of copies that are false", 1 - precision, round(1 - MIN_PRECISION, 2))
    report("recall", rows, [*goals, precision_goal, false_goal])


if __name__ == "__main__":
    main()
