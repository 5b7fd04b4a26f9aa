from flows.page.section import Figure


def test_a_column_of_numbers_is_numeric_with_empty_cells_too() -> None:
    figure = Figure(
        "", "", columns=("name", "n", "none", "yes"), rows=[("a", None, None, True), ("b", 2.5, None, False)]
    )
    assert figure.numeric == [False, True, False, False]
