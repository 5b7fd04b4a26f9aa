import numpy as np
import pytest
import timm
import torch

from stages.models import lite0_detector
from stages.models.lite0_detector import ARCHITECTURE, INPUT_PX, N_FEATURES, Lite0


@pytest.mark.parametrize("at_once", [1, 4, 64])
def test_features_do_not_depend_on_how_many_pictures_are_seen_at_once(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    torch.manual_seed(1)
    network = Lite0(timm.create_model(ARCHITECTURE, pretrained=False, num_classes=0).state_dict())
    pictures = list(np.random.default_rng(2).integers(0, 256, (5, INPUT_PX, INPUT_PX, 3), np.uint8))
    alone = torch.cat([network.features([picture]) for picture in pictures])
    monkeypatch.setattr(lite0_detector, "_AT_ONCE_ON_CPU", at_once)
    found = network.features(pictures)
    assert found.shape == (5, N_FEATURES)
    assert float((found - alone).abs().max()) < 1e-3
