"""The printed gaps: commands can be pasted, and words say which gaps stop a build."""

from pathlib import Path

from flows.preflight.gaps import Gap
from flows.preflight.report import gap_lines
from schemas.manifests import load_models
from stages.models import weights
from stages.models.weights import advise

LONG = ".venv/bin/hf download " + "a-long-name.safetensors " * 12 + "--local-dir models/m"


def printed(*gaps: Gap) -> list[str]:
    return [line for line, _ in gap_lines(gaps)]


def test_a_command_is_one_line_and_prose_is_wrapped() -> None:
    lines = printed(
        Gap("model", "m", "prose " * 60 + f"\n    {LONG}\nmore prose", "or fetch it with\n    make weights")
    )
    assert [line for line in lines if line.strip() == LONG] and "make weights" in [line.strip() for line in lines]
    assert max(len(line) for line in lines if LONG not in line) <= 118
    assert "      more prose" in lines, "prose is apart from a command"


def test_a_quoted_command_is_not_broken() -> None:
    for n in range(100, 118):
        lines = printed(Gap("list", "x", "y" * n + " as `make inventory` says"))
        assert any("`make inventory`" in line for line in lines)


def test_words_say_which_gaps_stop_a_build() -> None:
    wanted = Gap("list", "w", "is wanted", is_fatal=False)
    lines = printed(wanted, Gap("disk", "d", "is full"), wanted)
    assert [line for line in lines if not line.startswith(" ")] == [
        "1 gap that would stop a build", "2 gaps that would stop nothing",
    ]  # fmt: skip
    assert lines[1] == "  disk d: is full"


def test_each_line_of_advice_on_a_model_is_a_command_or_prose() -> None:
    models = [model for model in load_models().values() if not model.folder]
    assert len(models) >= 8
    for model in models:
        commands = [line for line in advise(model, Path("m")).splitlines() if line.startswith("    ")]
        assert commands and all(
            line.split()[0] in (".venv/bin/hf", ".venv/bin/python", "make", "curl", "(cd") for line in commands
        )
        assert not [line for line in commands if " then " in line or "`" in line], model.name


def test_advised_commands_name_the_python_of_the_environment() -> None:
    sources = [path.read_text(encoding="utf-8") for path in Path(weights.__file__).parent.glob("*.py")]
    assert len(sources) > 5 and not [text for text in sources if "with `python -m" in text]
    assert all(command.startswith(".venv/bin/python ") for command in (weights.CONVERT, weights.CONVERT_DETECTOR))
