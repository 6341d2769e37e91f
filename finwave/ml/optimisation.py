"""Optimiser, learning rates and gradients of the training loop."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from finwave.ml.config import TrainConfig
from finwave.ml.errors import TrainingError


def build_optimizer(
    config: TrainConfig, model: nn.Module, head: nn.Module
) -> torch.optim.Optimizer:
    """Return the optimiser: the backbone in groups of its own, with its own rate.

    Norms, biases and other vectors are spared the weight decay (He et al. 2019, "Bag of
    Tricks", sec. 3.1). `factor` of a group is its share of the head's learning rate.
    """
    backbone: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        (backbone if name.startswith("backbone.") else rest).append(parameter)
    rest += list(head.parameters())
    groups = []
    for parameters, factor in (
        (backbone, config.backbone_learning_rate_factor),
        (rest, 1.0),
    ):
        for is_vector in (True, False):
            some = [p for p in parameters if (p.ndim < 2) == is_vector]
            decay = 0.0 if is_vector else config.weight_decay
            groups.append({"params": some, "factor": factor, "weight_decay": decay})
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=0.9)
    # Fused: one pass over each tensor instead of a dozen.
    return torch.optim.AdamW(
        groups, lr=config.learning_rate, betas=(0.9, 0.999), fused=True
    )


def set_learning_rate(
    config: TrainConfig, optimizer: torch.optim.Optimizer, epochs: float
) -> float:
    """Set the rate for a moment of the training and return that of the head.

    A function of the moment alone: there is no state to resume.

    Args:
        config: highest and lowest rate, warm-up, schedule.
        optimizer: its groups have a `factor`.
        epochs: how many epochs are done, such as 1.25.

    Reference:
        Loshchilov and Hutter 2017, "SGDR", eq. 5, without restarts.
    """
    rate = config.learning_rate
    if epochs < config.warmup_epochs:
        rate *= epochs / config.warmup_epochs
    elif config.schedule == "cosine":
        # A warm-up longer than the training leaves nothing to anneal.
        span = max(config.epochs - config.warmup_epochs, 1e-9)
        done = min((epochs - config.warmup_epochs) / span, 1.0)
        low = min(config.min_learning_rate, rate)
        rate = low + (rate - low) * (1 + math.cos(math.pi * done)) / 2
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]
    return rate


def clip(limit: float, *modules: nn.Module) -> Tensor:
    """Limit the norm of the gradient (0: no limit) and return what it was."""
    parameters = [p for module in modules for p in module.parameters()]
    return nn.utils.clip_grad_norm_(parameters, limit or math.inf)


def freeze(backbone: nn.Module, is_frozen: bool) -> None:
    """Freeze a backbone, its batch statistics included, or thaw its weights."""
    backbone.requires_grad_(not is_frozen)
    if is_frozen:
        backbone.eval()


def check_finite(loss: float, norm: float, *, epoch: int, config: TrainConfig) -> None:
    """Stop a training that has diverged, before its weights are spoilt.

    Raises:
        TrainingError: the loss or the gradient is not a finite number.
    """
    if math.isfinite(loss) and math.isfinite(norm):
        return
    advice = f"Start again with a lower learning rate, such as {rate_below(config)}"
    if config.gradient_clip == 0:
        advice += ", and limit the gradient"
    message = f"Training diverged in epoch {epoch}: the loss became infinite. {advice}."
    raise TrainingError(message)


def rate_below(config: TrainConfig) -> str:
    return f"{config.learning_rate / 10:g}"
