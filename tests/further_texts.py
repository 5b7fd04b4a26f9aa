"""Handmade further texts of two sources, for the contract and for the small build."""

import os
from pathlib import Path

MANIFEST = """
[[text]]
name = "alt-texts"
corpus = "cc3m"
files = "alt/*.csv"
key_column = "id"
text_column = "text"
licence = "CC BY 4.0"

[[text]]
name = "patch-texts"
corpus = "ben"
files = "patches.jsonl"
key_column = "patch"
text_column = "texts"
licence = "CDLA-Permissive-1.0"
"""
FILES = {
    "texts.toml": MANIFEST,
    "alt/one.csv": 'id,note,text\ncc3m_0_0,x,"a lake, from above"\ncc3m_0_0,y,a second text\ncc3m_0_1,z,\n'
    "cc3m_9_9,z,of no sample\ncc3m_0_2,too few\n",
    "patches.jsonl": '{"patch": "a_patch", "texts": ["a town", "a river"]}\n{"patch": "ben_0.tif", "texts": "fields"}\n'
    '{"patch": "S2A_MSIL2A_20170617T113321_2_55", "texts": ["a port", " "]}\n{"patch": 5}\nno json\n',
}
MTIME_NS = 1_700_000_000_000_000_000


def write_texts(folder: Path) -> Path:
    """Write the manifest and its files; return the manifest's path."""
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        os.utime(path, ns=(MTIME_NS, MTIME_NS))
    return folder / "texts.toml"
