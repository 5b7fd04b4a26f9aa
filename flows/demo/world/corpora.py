"""The web corpora of the generated world: their codes, and the part numbers in their file names."""

WEB = LAION, LAION400M, COCO, COYO, WIT, YFCC, CC12M, CC3M, REDCAPS, SBU, VG = (
    "laion2b", "laion400m", "laioncoco", "coyo700m", "wit", "yfcc15m", "cc12m", "cc3m", "redcaps", "sbu", "vg",
)  # fmt: skip
LARGE = (LAION, COYO)
OTHERS = tuple(corpus for corpus in WEB if corpus not in LARGE)
# Relative shares, in the order of WEB, of rows without a keyword and of rows that name a copied image.
SHARES = (42, 4, 4, 36, 2, 2, 2, 5, 1, 1, 1)
COPY_SHARES = (24, 8, 10, 20, 5, 5, 5, 8, 5, 5, 5)
# Part numbers have gaps, so that code which uses a file's position in a listing instead of the number in its name
# fails a test. RedCaps has no such numbers: its parts are positions in the order of its file names.
PARTS = {
    LAION: (0, 1, 17), LAION400M: (0, 31), COCO: (0, 2, 127), COYO: (0, 3, 127), WIT: (0, 3), YFCC: (0, 7), CC12M: (0,),
    CC3M: (0,), REDCAPS: (0, 1, 2, 3), SBU: (0,), VG: (0,),
}  # fmt: skip
# These corpora have no null captions or URLs.
WITHOUT_NULLS = (WIT, YFCC, CC12M, CC3M, REDCAPS, SBU, VG)


def tier(corpus: str) -> int:
    """Return a corpus's rank in choosing the survivor among copies; the lowest survives."""
    return {LAION: 0, LAION400M: 0, COYO: 0, COCO: 2}.get(corpus, 1)
