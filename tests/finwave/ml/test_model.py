from __future__ import annotations

import pytest
import torch

from finwave.ml.errors import TrainingError
from finwave.ml.model import EmbeddingModel, GeM, uses_bf16

FAMILIES = ["test_efficientnet", "test_resnet", "test_convnext", "test_vit"]


def model(architecture: str, **changes) -> EmbeddingModel:
    options = {"image_size_px": 32, "embedding_size": 24, **changes}
    return EmbeddingModel(architecture, **options)


@pytest.mark.parametrize("pooling", ["avg", "gem"])
@pytest.mark.parametrize("architecture", FAMILIES)
def test_any_family_makes_unit_embeddings(architecture, pooling):
    made = model(architecture, pooling=pooling).eval()

    embeddings = made(torch.randn(3, 3, 32, 32))

    assert embeddings.shape == (3, 24)
    assert embeddings.norm(dim=1).tolist() == pytest.approx([1, 1, 1], abs=1e-5)


def test_swin_keeps_channels_last():
    made = EmbeddingModel(
        "swin_tiny_patch4_window7_224",
        image_size_px=64,
        embedding_size=8,
        pooling="gem",
    )

    assert made.neck[0].num_features == 768


def test_gem_by_hand():
    # (mean of 1^3 and 3^3) ^ (1/3) = 14 ^ (1/3)
    pooled = GeM(3.0)(torch.tensor([[[1.0], [3.0]]]))

    assert pooled.item() == pytest.approx(14 ** (1 / 3), abs=1e-5)


@pytest.mark.parametrize(
    ("architecture", "size"), [("no_such_network", 32), ("test_vit", 33)]
)
def test_what_cannot_be_built_is_a_plain_failure(architecture, size):
    with pytest.raises(TrainingError, match=architecture):
        model(architecture, image_size_px=size)


def test_mixed_precision_can_be_switched_off():
    assert not uses_bf16("resnet50", torch.device("cpu"), "off")
    assert not uses_bf16("tf_efficientnet_lite0", torch.device("cpu"), "auto")
