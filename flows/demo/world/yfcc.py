"""Writer of the generated world's YFCC15M: YFCC100M metadata files with 23 columns, and the list of the subset."""

import bz2
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote_plus

from flows.demo.world.corpora import YFCC
from flows.demo.world.rows import Row

LIST_NAME = "yfcc100m_subset_data.tsv.bz2"
# Latitude and longitude; half of the photos are near one of them, the others have no position.
_TOWNS = (
    (47.62, -122.29), (-37.16, 144.88), (24.55, -81.80), (35.68, 139.69), (-1.29, 36.82), (-22.91, -43.17),
    (64.15, -21.94),
)  # fmt: skip
_IMPOSSIBLE = ("4501-01-01 00:00:00.0", "0000-00-00 00:00:00.0", "2009-02-30 12:00:00.0", "")
_LICENCES = (
    ("Attribution License", "by"), ("Attribution-NonCommercial License", "by-nc"),
    ("Attribution-ShareAlike License", "by-sa"),
)  # fmt: skip
_FIRST = datetime(2003, 5, 1, 6, tzinfo=UTC)


def write_photos(folder: Path, parts: Mapping[int, Sequence[Row]], seed: str) -> None:
    """Write one metadata file per part, the first compressed, and the list; some photos and videos are not listed."""
    rng, listed = random.Random(f"photos {seed}"), []
    for number, (part, rows) in enumerate(parts.items()):
        lines = [_line(row, rng) for row in rows if row.reason not in ("no_metadata_row", "listed_again")]
        listed += [row.sample_id.removeprefix(f"{YFCC}_") for row in rows]
        # No planned row has an id of this size.
        for _ in range(max(3, len(rows) // 3)):
            unlisted = Row(YFCC, "Landsat scene, not of the subset", "http://127.0.0.1:9/x.jpg")
            unlisted.sample_id = f"{YFCC}_{rng.randrange(8 * 10**9, 9 * 10**9)}"
            lines.insert(rng.randrange(len(lines) + 1), _line(unlisted, rng, is_video=rng.random() < 0.5))
        data = b"".join(line + b"\n" for line in lines)
        path = folder / f"yfcc100m_dataset-{part}{'' if number else '.bz2'}"
        path.write_bytes(data if number else bz2.compress(data))
    numbers = sorted(rng.sample(range(10**8), len(listed)))
    rng.shuffle(listed)
    entries = (f"{n}\t{photo}\t{rng.getrandbits(128):032x}\n" for n, photo in zip(numbers, listed, strict=True))
    (folder / LIST_NAME).write_bytes(bz2.compress("".join(entries).encode()))


def _line(row: Row, rng: random.Random, *, is_video: bool = False) -> bytes:
    photo = row.sample_id.removeprefix(f"{YFCC}_")
    taken = _FIRST + timedelta(seconds=rng.randrange(10 * 365 * 86_400))
    stated = rng.choice(_IMPOSSIBLE) if rng.random() < 0.1 else f"{taken:%Y-%m-%d %H:%M:%S}.0"
    uploaded = int((taken + timedelta(days=rng.randrange(2, 60))).timestamp())
    title, description = _parted(row.caption or "", rng)
    licence, code = rng.choice(_LICENCES)
    owner, secret = f"{rng.randrange(10**7, 10**8)}@N0{rng.randrange(10)}", f"{rng.getrandbits(40):010x}"
    fields = [
        photo, owner, "Someone+Else", stated, str(uploaded), rng.choice(("", "NIKON+D90")), quote_plus(title),
        quote_plus(description), "b%26w,clouds", "", *_position(rng), f"http://www.flickr.com/photos/{owner}/{photo}/",
        row.url or "", licence, f"http://creativecommons.org/licenses/{code}/2.0/", str(rng.randrange(9999)), "1",
        secret, secret, "jpg", str(int(is_video)),
    ]  # fmt: skip
    if row.reason == "wrong_field_count":
        del fields[rng.randrange(3, 23)]
    line = "\t".join(fields).encode()
    return line + b"\xff" if row.reason == "invalid_utf8" else line


def _parted(caption: str, rng: random.Random) -> tuple[str, str]:
    """Return a title and a description that, joined by a space, give the caption."""
    blanks = [n for n, char in enumerate(caption) if char == " " and 0 < n < len(caption) - 1]
    if not blanks:
        return (caption, "") if rng.random() < 0.7 else ("", caption)
    place = rng.choice(blanks)
    return caption[:place], caption[place + 1 :]


def _position(rng: random.Random) -> tuple[str, str, str]:
    """Return longitude and latitude in degrees, and accuracy, in column order; "" for no position."""
    north, east = rng.choice(_TOWNS)
    shift = rng.uniform(-0.05, 0.05)
    return (f"{east + shift:.6f}", f"{north - shift:.6f}", "15") if rng.random() < 0.5 else ("", "", "")
