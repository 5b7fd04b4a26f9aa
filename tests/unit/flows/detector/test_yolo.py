import pytest

torch = pytest.importorskip("torch")

from flows.detector.yolo import cut_windows  # noqa: E402  # imports torch


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
