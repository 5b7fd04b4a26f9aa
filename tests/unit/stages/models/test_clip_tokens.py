from stages.models.clip_tokens import count_tokens

# Counted with open_clip 3's SimpleTokenizer, including begin and end.
COUNTED = {
    "An aerial image of a farm, 2019's best!": 16,
    "": 2,
    "<script>alert(1)</script>": 12,
    "Ünïcödé 北京 satellite 🛰️🛰️": 20,
    "UTM zone 33N, 52.5°N 13.4°E; GSD 0.5 m...": 28,
    "x" * 500: 127,
    "don't we'll  \t\n they've": 8,
    "café naïve Éire": 8,
}


def test_token_counts_equal_clips() -> None:
    assert dict(zip(COUNTED, count_tokens(list(COUNTED)), strict=True)) == COUNTED
