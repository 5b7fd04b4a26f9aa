"""The page names the files of the worst mistakes, and the classes of both labels."""

import html
from pathlib import Path

import numpy as np
from PIL import Image

from flows.detector.examples import Example
from flows.detector.measure import measure
from flows.detector.page import PAGE, shorten, write_pages
from flows.detector.training import Trained


def test_mistakes_are_shown_with_their_file_names(tmp_path: Path) -> None:
    examples = [Example(tmp_path / f"{n}_<{'long' * 12}>.png", "rs" if n else "other", "s", f"k{n}") for n in range(2)]
    for example in examples:
        Image.new("RGB", (8, 8)).save(example.path)
    probs = np.array([0.9, 0.1])
    metrics = measure(examples, probs, 0.5)
    left_out = {"left_out": "classes", "classes_left_out": metrics, "marked": [], "n_trained_on": 0, "n_drawn": 0}
    facts = {"name": "x", "sha256": "", "data": "", "not_read": [], "seconds": 1, "licence": "", "evaluation": None}
    trained = Trained(None, metrics | left_out, np.arange(2), probs, ["test"] * 2)
    write_pages(tmp_path, trained, examples, facts | {"baseline_auc": 0.5})
    page = (tmp_path / PAGE).read_text()
    for example in examples:
        assert html.escape(shorten(str(example.path))) in page
    assert "By class of others" in page and page.count("s/k0") >= 2


def test_long_names_are_shortened_at_their_beginning() -> None:
    assert shorten("/a/b/short.jpg") == "short.jpg"
    name = "x" * 60 + "_123.jpg"
    assert len(shorten(name)) == 40 and shorten(name).startswith("…x") and shorten(name).endswith("_123.jpg")
