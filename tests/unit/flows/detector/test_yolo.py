from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from flows.detector.learners import YoloLearner  # noqa: E402  # imports torch
from flows.detector.yolo import cut_windows, describe, describe_start, load_start, save  # noqa: E402
from stages.contract import InputError  # noqa: E402
from stages.models.detector_description import check_description  # noqa: E402
from stages.models.yolo_detector import build_classifier  # noqa: E402


def write_start(folder: Path, names: list[str]) -> "torch.nn.Module":
    """Write an untrained classifier of some classes into a folder, and return it."""
    torch.manual_seed(1)
    description = check_description({**describe().model_dump(), "nc": len(names), "names": names}, "test")
    model = build_classifier(description)
    save(model, description, folder)
    return model


@pytest.mark.parametrize(("names", "is_kept"), [(["remote_sensing", "b"], True), (["a", "remote_sensing", "c"], False)])
def test_a_start_keeps_all_layers_that_have_the_same_classes(tmp_path: Path, names: list[str], is_kept: bool) -> None:
    own = write_start(tmp_path, names).state_dict()
    description, n_classes = describe_start(tmp_path)
    assert (description.nc, n_classes) == (2, len(names)) and description.positive == (0 if is_kept else 1)
    torch.manual_seed(0)
    model = build_classifier(description)
    load_start(model, tmp_path)
    found = model.state_dict()
    same = {
        name
        for name in found
        if found[name].shape == own[name].shape and found[name].equal(own[name].half().to(found[name].dtype))
    }
    last = {name for name in found if ".linear." in name}
    assert same == set(found) - (set() if is_kept else last) and last and len(found) > 50


def test_a_start_with_other_layers_is_refused(tmp_path: Path) -> None:
    write_start(tmp_path, ["a", "remote_sensing", "c"])
    with pytest.raises(InputError, match="does not fit"):
        load_start(build_classifier(describe(width=0.5)), tmp_path)


def test_a_file_to_start_from_is_refused_with_the_command_that_converts_it(tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_bytes(b"x")
    words = r"best\.pt is a file: expected a folder .*convert_detector \S*/best\.pt FOLDER --positive"
    with pytest.raises(InputError, match=words):
        YoloLearner(device="cpu", start=tmp_path / "best.pt", n_epochs=1)
    with pytest.raises(InputError, match="nosuch is missing"):
        describe_start(tmp_path / "nosuch")


def ramp() -> "torch.Tensor":
    """Return 64 equal images whose red rises from left to right and green from top to bottom, [64, 3, 32, 32]."""
    values = torch.linspace(0, 1, 32)
    image = torch.stack([values.expand(32, 32), values[:, None].expand(32, 32), torch.zeros(32, 32)])
    return image.expand(64, 3, 32, 32).clone()


def test_windows_have_drawn_sides_and_lie_inside_the_image() -> None:
    found = cut_windows(ramp(), torch.Generator().manual_seed(0), 0.6)
    assert found.shape == (64, 3, 32, 32) and found.min() >= 0 and found.max() <= 1
    across, down = (found[:, n].amax((1, 2)) - found[:, n].amin((1, 2)) for n in (0, 1))
    assert torch.allclose(across, down, atol=0.05), "windows are square"
    assert 0.5 < across.min() < 0.7 and across.max() > 0.9
    assert found[:, 0, 0, 0].std() > 0.05, "windows are at different places"


def test_whole_images_stay_as_they_are_and_draw_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    assert cut_windows(ramp(), generator, 1.0).equal(ramp())
    assert torch.rand(1, generator=generator).equal(torch.rand(1, generator=torch.Generator().manual_seed(0)))
