from xml.etree import ElementTree

import pytest

from flows.page.drawings import ENDLESS, bars, count, flow, heat_map, histogram, world_map

HOSTILE = "<script>alert(1)</script> & \"quotes' ]]>"


def shapes(drawing: str, kind: str) -> list[dict[str, str]]:
    root = ElementTree.fromstring(drawing)  # raises if it is not well-formed
    return [dict(one.attrib) for one in root.iter() if one.attrib.get("class") == kind]


def test_bar_lengths_are_proportional_and_both_figures_are_printed() -> None:
    drawing = bars([("a", 100, 50), ("b", 50, None), ("c", 0, None)], "title", thin="published")
    widths = [float(one["width"]) for one in shapes(drawing, "bar")]
    assert widths[0] == pytest.approx(2 * widths[1]) and widths[2] == 0
    assert float(shapes(drawing, "other")[0]["width"]) == pytest.approx(widths[1])
    assert "a, published: 50" in drawing


def test_bars_without_rows_are_no_drawing() -> None:
    assert bars([], "Months") == ""


def test_a_logarithmic_scale_shortens_large_bars() -> None:
    widths = [float(one["width"]) for one in shapes(bars([("a", 999, None), ("b", 9, None)], "", is_log=True), "bar")]
    assert widths[0] == pytest.approx(3 * widths[1], rel=0.01)


def test_every_text_is_escaped() -> None:
    drawings = [
        bars([(HOSTILE, 1, None)], HOSTILE, unit=HOSTILE),
        histogram({HOSTILE: [1.0]}, [0, 1], HOSTILE, {HOSTILE: 0.5}),
        heat_map([[1]], [HOSTILE], [HOSTILE], HOSTILE),
        world_map({(0, 0): 1}, 5, HOSTILE),
        flow([(HOSTILE, 2, 0, ""), (HOSTILE, 1, 1, HOSTILE)], HOSTILE),
    ]
    for drawing in drawings:
        ElementTree.fromstring(drawing)
        assert "<script" not in drawing


def test_a_mark_is_drawn_where_its_value_is() -> None:
    drawing = histogram({"n": [1, 2, 3, 4]}, [0, 1, 2, 3, 4], "", {"threshold": 2.0})
    axis = shapes(drawing, "axis")[0]
    middle = (float(axis["x1"]) + float(axis["x2"])) / 2
    assert float(shapes(drawing, "mark")[0]["x1"]) == pytest.approx(middle)
    assert not shapes(histogram({"n": [1]}, [0, 1], "", {"threshold": 7.0}), "mark")


def test_the_last_bin_may_have_no_upper_edge() -> None:
    assert ">more</text>" in histogram({"n": [1, 2]}, [0, 1, ENDLESS], "")


def test_a_cell_of_the_map_is_at_its_coordinates() -> None:
    cell = shapes(world_map({(35, 71): 3}, 5, ""), "cell")[0]
    assert float(cell["x"]) == pytest.approx(640 - 640 / 72, abs=0.1) and float(cell["y"]) == 0  # north-east corner


def test_numbers_have_separators() -> None:
    assert [count(value) for value in (1234567, 0, 0.1234)] == ["1,234,567", "0", "0.123"]


def test_no_number_has_an_exponent() -> None:
    assert [count(value, is_padded=True) for value in (0.7, 18, 100.4, 8.69e-7)] == ["0.700", "18", "100", "<0.0001"]
    found = [count(value) for value in (1234.5, -0.25, 0.00012, 8.69e-7, -8.69e-7)]
    assert found == ["1,234", "-0.25", "0.00012", "<0.0001", ">-0.0001"]


def test_a_flow_is_as_wide_as_what_is_left_and_described() -> None:
    drawing = flow([("found", 400, 0, ""), ("left", 100, 300, "lost")], "title")
    widths = [float(one["width"]) for one in shapes(drawing, "bar")]
    assert widths[0] == pytest.approx(4 * widths[1])
    assert (
        "<title>title</title><desc>found 400; left 100, 300 lost</desc>" in drawing and "− 300 lost (75.0 %)" in drawing
    )
    ElementTree.fromstring(flow([("none", 0, 0, ""), ("none", 0, 0, "lost")], ""))


def test_land_is_drawn_where_it_is_and_behind_the_counts() -> None:
    drawing = world_map({(0, 0): 1}, 5, "", [(89, 179), (0, 0)])  # the north-east and the south-west corner
    (land,) = shapes(drawing, "land")
    assert land["d"] == "M636.4 0.0h3.6v3.6h-3.6zM0.0 316.4h3.6v3.6h-3.6z"
    assert drawing.index('class="land"') < drawing.index('class="cell"')
    assert not shapes(world_map({(0, 0): 1}, 5, ""), "land")


def test_names_that_are_wider_than_a_column_of_a_heat_map_are_slanted_and_whole() -> None:
    wide = heat_map([[1, 2], [3, 4]], ["a", "b"], ["coyo700m", "laioncoco"], "")
    assert wide.count("rotate(") == 2 and ">coyo700m<" in wide and ">laioncoco<" in wide
    narrow = heat_map([[1, 2], [3, 4]], ["a", "b"], ["wit", "sbu"], "")
    assert "rotate(" not in narrow
    tops = [min(float(one["y"]) for one in shapes(drawing, "cell")) for drawing in (wide, narrow)]
    assert tops[0] > tops[1]  # the cells are below the slanted names
