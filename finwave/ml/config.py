"""What a training job is asked to do: frozen, plain data. Standard library only.

Importable anywhere: forms build it, jobs store it, the training process reads it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Literal, Self, TypeAlias, get_args

JSONValue: TypeAlias = str | int | float | bool | None
Optimizer: TypeAlias = Literal["adamw", "sgd"]
Schedule: TypeAlias = Literal["cosine", "constant"]
Pooling: TypeAlias = Literal["avg", "gem"]
MixedPrecision: TypeAlias = Literal["off", "auto"]

OPTIMIZERS: tuple[str, ...] = get_args(Optimizer)
SCHEDULES: tuple[str, ...] = get_args(Schedule)
POOLINGS: tuple[str, ...] = get_args(Pooling)
MIXED_PRECISIONS: tuple[str, ...] = get_args(MixedPrecision)


class ConfigError(ValueError):
    """A value that training cannot use; the message is a sentence for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """How an identification model is trained. Every field takes effect."""

    architecture: str = "tf_efficientnet_lite0"  # any timm model name
    image_size_px: int = 128  # side of the square that a crop is scaled to
    embedding_size: int = 512  # numbers in an embedding
    pooling: Pooling = "avg"  # how a feature map becomes a vector: avg or gem

    epochs: int = 10  # passes over the training crops
    batch_size: int = 8  # crops in one optimiser step
    balanced_sampler: bool = False  # draw individuals, then one of their crops

    optimizer: Optimizer = "adamw"  # adamw (betas 0.9, 0.999) or sgd (momentum 0.9)
    learning_rate: float = 0.001  # highest rate of the head (neck and class centres)
    # Backbone's rate over the head's. 0.3 did best with 82 animals, 1 in the few steps
    # that 21 animals give (docs/experiments.md, 2026-11-20).
    backbone_learning_rate_factor: float = 0.3
    weight_decay: float = 0.0001  # decoupled for adamw; norms and biases are spared
    schedule: Schedule = "cosine"  # cosine to min_learning_rate, or constant
    warmup_epochs: float = 0.5  # epochs over which the rate rises from zero
    min_learning_rate: float = 1e-6  # where the cosine ends (for the head)
    head_warmup_epochs: int = 0  # first epochs in which the backbone is frozen
    gradient_clip: float = 5.0  # largest norm of the gradient; 0 = no limit

    margin: float = 0.5  # ArcFace's angular margin, radians
    scale: float = 30.0  # ArcFace's scale of the cosines
    label_smoothing: float = 0.0  # share of the target spread over all classes

    augmentation: float = 1.0  # strength of the published recipe; 0 = none
    hflip: bool = False  # mirror at random: only where sides are no evidence

    validation_share: float = 0.2  # share of encounters held out for validation
    early_stopping_epochs: int = 0  # stop after so many without a better one; 0 = off
    mixed_precision: MixedPrecision = "auto"  # auto: bf16 where it was measured faster
    threads: int = 0  # CPU threads; 0 = as many as the process may use
    seed: int = 1  # of weights, order and augmentation

    def __post_init__(self) -> None:
        """Refuse values that training cannot use.

        Raises:
            ConfigError: with the field, its value and what is allowed.
        """
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not low <= value <= high:  # also refuses not-a-number
                message = f"{name} is {value}; it must be from {low} to {high}."
                raise ConfigError(message)
        for name, allowed in _CHOICES:
            value = getattr(self, name)
            if value not in allowed:
                message = (
                    f"{name} is {value!r}; it must be one of {', '.join(allowed)}."
                )
                raise ConfigError(message)
        if not self.architecture:
            message = "architecture is empty; give the name of a timm model."
            raise ConfigError(message)

    def to_json(self) -> dict[str, JSONValue]:
        """Return the fields as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, object] | str) -> Self:
        """Build from `to_json`'s result or its text; missing fields get defaults.

        Raises:
            ConfigError: for unknown fields, wrong types and unusable values.
        """
        values = json.loads(data) if isinstance(data, str) else dict(data)
        kinds = {field.name: type(field.default) for field in fields(cls)}
        unknown = sorted(set(values) - set(kinds))
        if unknown:
            message = f"Unknown training settings: {', '.join(unknown)}."
            raise ConfigError(message)
        for name, value in values.items():
            kind = kinds[name]
            if kind is float and type(value) is int:
                values[name] = float(value)
            elif type(value) is not kind:
                message = f"{name} is {value!r}; it must be of type {kind.__name__}."
                raise ConfigError(message)
        return cls(**values)


_RANGES: tuple[tuple[str, float, float], ...] = (
    ("image_size_px", 16, 1024),
    ("embedding_size", 8, 4096),
    ("epochs", 1, 1000),
    ("batch_size", 2, 1024),
    ("learning_rate", 1e-7, 10),
    ("backbone_learning_rate_factor", 0, 10),
    ("weight_decay", 0, 1),
    ("warmup_epochs", 0, 100),
    ("min_learning_rate", 0, 1),
    ("head_warmup_epochs", 0, 100),
    ("gradient_clip", 0, 1000),
    ("margin", 0, 1.5),
    ("scale", 1, 256),
    ("label_smoothing", 0, 0.5),
    ("augmentation", 0, 2),
    ("validation_share", 0, 0.5),
    ("early_stopping_epochs", 0, 1000),
    ("threads", 0, 256),
    ("seed", 0, 2**31 - 1),
)
_CHOICES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("optimizer", OPTIMIZERS),
    ("schedule", SCHEDULES),
    ("pooling", POOLINGS),
    ("mixed_precision", MIXED_PRECISIONS),
)

PRESETS: dict[str, TrainConfig] = {
    # Learns in minutes on two CPU cores, also from few crops.
    "laptop": TrainConfig(),
    # PRODUCT, section G: AdamW 1e-4 throughout, weight decay 1e-4, cosine to 1e-6,
    # batch 32, 15 epochs, EfficientNet-B4. Wants a GPU.
    "published": TrainConfig(
        architecture="tf_efficientnet_b4",
        image_size_px=380,
        epochs=15,
        batch_size=32,
        learning_rate=1e-4,
        backbone_learning_rate_factor=1.0,
        warmup_epochs=0.0,
    ),
    # More pixels and more passes with the same small network: an hour on a laptop.
    "accuracy": TrainConfig(image_size_px=224, epochs=25, batch_size=16, pooling="gem"),
}
