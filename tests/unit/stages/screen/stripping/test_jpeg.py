import io
import re

import numpy as np
import pytest
from PIL import Image

from stages.screen.stripping import segments
from stages.screen.stripping.jpeg import strip_jpeg
from stages.screen.stripping.segments import _find_scan_end

SCAN_END = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")  # the definition, without blocks
CODES = np.array([0x00, 0x01, 0x41, 0xD0, 0xD7, 0xD9, 0xDA, 0xFF], np.uint8)


def expected_end(data: bytes, start: int) -> int:
    found = SCAN_END.search(data, start)
    return found.start() if found else len(data)


@pytest.mark.parametrize("blocks", [(1, 1), (1, 2), (2, 8), (5, 5), (1 << 15, 1 << 17)])
@pytest.mark.parametrize("share_of_markers", [0.02, 0.2, 0.7])
def test_a_scan_ends_at_the_first_marker_other_than_a_restart(
    blocks: tuple[int, int], share_of_markers: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SHORT_SCAN_BYTES", blocks[0])
    monkeypatch.setattr(segments, "BLOCK_BYTES", blocks[1])
    random = np.random.default_rng(11)
    n_ended = 0
    for n_bytes in range(60):
        for _ in range(8):
            stuffed = np.where(random.random(n_bytes) < 0.5, 0xFF, 0).astype(np.uint8)
            drawn = random.choice(CODES, n_bytes)
            data = np.where(random.random(n_bytes) < share_of_markers, drawn, stuffed).tobytes()
            start = int(random.integers(0, n_bytes + 1))
            assert _find_scan_end(data, start) == expected_end(data, start)
            n_ended += expected_end(data, start) < n_bytes
    assert n_ended > 20


def test_the_end_of_a_long_scan_is_found_after_many_blocks() -> None:
    scan = b"\x12\xff\x00\x34" * 200_000
    for tail, n_behind in ((b"\xff\xd9", 2), (b"\xff\xff\xff\xda", 4), (b"", 0), (b"\xff", 0), (b"\xff\x00", 0)):
        data = scan + tail
        assert _find_scan_end(data, 1) == len(data) - n_behind


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"restart_marker_blocks": 2}]
)
def test_a_file_without_metadata_is_published_unchanged(options: dict[str, object]) -> None:
    random = np.random.default_rng(4)
    stream = io.BytesIO()
    Image.fromarray(random.integers(0, 255, (200, 300, 3), dtype=np.uint8)).save(stream, "JPEG", quality=95, **options)
    stripped = strip_jpeg(stream.getvalue(), 1)
    assert stripped.data == stream.getvalue()
    assert stripped.doubts == ()
