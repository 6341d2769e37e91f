from __future__ import annotations

import pytest
import torch

from finwave.ml.config import TrainConfig
from finwave.ml.errors import TrainingError
from finwave.ml.optimisation import (
    build_optimizer,
    check_finite,
    clip,
    freeze,
    set_learning_rate,
)


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4)
        )
        self.neck = torch.nn.Linear(4, 2)


def optimizer(config: TrainConfig) -> torch.optim.Optimizer:
    return build_optimizer(config, Net(), torch.nn.Linear(2, 3, bias=False))


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_every_parameter_is_in_one_group_with_its_rate_and_decay(name):
    config = TrainConfig(
        optimizer=name, weight_decay=0.01, backbone_learning_rate_factor=0.3
    )

    groups = optimizer(config).param_groups

    counts = [len(group["params"]) for group in groups]
    assert counts == [3, 1, 1, 2]  # backbone vectors, matrices; the rest's
    factor = config.backbone_learning_rate_factor
    assert [group["factor"] for group in groups] == [factor, factor, 1.0, 1.0]
    assert [group["weight_decay"] for group in groups] == [0.0, 0.01, 0.0, 0.01]


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [(0.0, 0.0), (0.5, 0.05), (1.0, 0.1), (5.5, 0.05), (10.0, 0.0), (12.0, 0.0)],
)
def test_warm_up_then_cosine(epochs, expected):
    config = TrainConfig(
        learning_rate=0.1,
        backbone_learning_rate_factor=0.3,
        warmup_epochs=1.0,
        min_learning_rate=0.0,
        epochs=10,
    )
    made = optimizer(config)

    assert set_learning_rate(config, made, epochs) == pytest.approx(expected)
    backbone, head = made.param_groups[0], made.param_groups[-1]
    assert head["lr"] == pytest.approx(expected)
    assert backbone["lr"] == pytest.approx(
        expected * config.backbone_learning_rate_factor
    )


def test_constant_schedule_and_lowest_rate():
    constant = TrainConfig(schedule="constant", learning_rate=0.1, warmup_epochs=0.0)
    cosine = TrainConfig(min_learning_rate=0.01, learning_rate=0.1)

    assert set_learning_rate(constant, optimizer(constant), 9.0) == 0.1
    assert set_learning_rate(cosine, optimizer(cosine), 10.0) == pytest.approx(0.01)


def test_gradient_is_limited_only_when_asked():
    layer = torch.nn.Linear(1, 1, bias=False)
    layer.weight.grad = torch.tensor([[8.0]])

    assert clip(0.0, layer).item() == 8.0
    assert layer.weight.grad.item() == 8.0
    assert clip(2.0, layer).item() == 8.0
    assert layer.weight.grad.item() == pytest.approx(2.0)


def test_a_frozen_backbone_learns_nothing_not_even_its_statistics():
    net = Net().train()

    freeze(net.backbone, True)
    net.backbone(torch.randn(4, 3, 2, 2))

    assert not any(p.requires_grad for p in net.backbone.parameters())
    assert net.backbone[1].running_mean.abs().sum() == 0
    freeze(net.backbone, False)
    assert all(p.requires_grad for p in net.backbone.parameters())


@pytest.mark.parametrize(("loss", "norm"), [(float("nan"), 1.0), (1.0, float("inf"))])
def test_divergence_is_a_plain_failure_with_advice(loss, norm):
    with pytest.raises(TrainingError, match=r"lower learning rate, such as 0\.0001"):
        check_finite(loss, norm, epoch=2, config=TrainConfig())
