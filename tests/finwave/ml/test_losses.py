from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from finwave.ml.losses import ArcFace


def head(margin: float = 0.5, scale: float = 10.0) -> ArcFace:
    made = ArcFace(2, 2, margin=margin, scale=scale)
    made.weight.data = torch.tensor([[1.0, 0.0], [0.0, 2.0]])  # norms do not count
    return made


def at(angle_deg: float) -> torch.Tensor:
    radians = math.radians(angle_deg)
    return torch.tensor([[math.cos(radians), math.sin(radians)]])


def test_by_hand():
    # Own centre at 30 degrees, the other at 60; margin 0.5 radians, scale 10.
    own, other = 10 * math.cos(math.pi / 6 + 0.5), 10 * math.cos(math.pi / 3)
    expected = math.log(1 + math.exp(other - own))

    assert head()(at(30), torch.tensor([0])).item() == pytest.approx(expected, abs=1e-5)


def test_without_margin_it_is_plain_cross_entropy():
    logits = 10 * torch.tensor([[math.cos(1.0), math.sin(1.0)]])
    expected = functional.cross_entropy(logits, torch.tensor([1]))

    loss = head(margin=0.0)(at(math.degrees(1.0)), torch.tensor([1]))

    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)


def test_loss_rises_with_the_angle_all_the_way():
    # The other centre is at right angles to all of these embeddings.
    made = ArcFace(3, 2, margin=0.5, scale=10.0)
    made.weight.data = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    angles = torch.arange(0, 181, 5).deg2rad()
    embeddings = torch.stack([angles.cos(), angles.sin(), 0 * angles], dim=1)

    losses = [made(e[None], torch.tensor([0])).item() for e in embeddings]

    assert losses == sorted(losses)


@pytest.mark.parametrize("angle", [0.0, 180.0])
def test_gradient_is_finite_exactly_on_and_opposite_the_centre(angle):
    embedding = at(angle).requires_grad_()

    head()(embedding, torch.tensor([0])).backward()

    assert torch.isfinite(embedding.grad).all()


def test_label_smoothing_takes_effect():
    smooth = ArcFace(2, 2, margin=0.5, scale=10.0, label_smoothing=0.2)
    smooth.weight.data = head().weight.data

    assert smooth(at(5), torch.tensor([0])) > head()(at(5), torch.tensor([0]))
