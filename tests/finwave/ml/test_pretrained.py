from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from finwave.ml import pretrained
from finwave.ml.errors import TrainingError
from finwave.ml.pretrained import build_backbone


@pytest.fixture(autouse=True)
def weights(tmp_path, monkeypatch):
    monkeypatch.setenv("FINWAVE_WEIGHTS", str(tmp_path))
    monkeypatch.delenv("FINWAVE_ALLOW_HUB", raising=False)
    return tmp_path


def build(architecture: str) -> tuple[torch.nn.Module, str]:
    return build_backbone(architecture, image_size_px=32, pretrained=True, pooled=True)


@pytest.mark.parametrize(
    "architecture", ["tf_efficientnet_lite0", "tf_efficientnet_lite0.in1k"]
)
def test_packaged_weights_are_imagenets(architecture):
    backbone, note = build(architecture)

    assert "ImageNet" in note
    # Trained first-layer filters are far from their random start, and running
    # statistics far from 0 and 1.
    assert backbone.bn1.running_var.std() > 0.1
    assert backbone.conv_stem.weight.abs().max() > 0.5


def test_packaged_weights_equal_timms(real_data, monkeypatch):
    ours, _ = build("tf_efficientnet_lite0")
    path = real_data / "weights" / "tf_efficientnet_lite0_in1k_fp16.safetensors"
    theirs = pretrained._read(path)

    for name, value in ours.state_dict().items():
        if "num_batches" not in name:
            assert torch.allclose(value, theirs[name], rtol=2e-3, atol=1e-3), name


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_local_folder_comes_first(weights, suffix):
    random, _ = build("test_vit")
    state = {name: value + 1 for name, value in random.state_dict().items()}
    path = weights / f"test_vit{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": state}, path)
    else:
        save_file(state, path)

    backbone, note = build("test_vit")

    assert str(path) in note
    assert torch.equal(backbone.norm.bias, state["norm.bias"])


def test_a_broken_local_file_is_a_plain_failure(weights):
    (weights / "test_resnet.safetensors").write_bytes(b"nothing")

    with pytest.raises(TrainingError, match=r"test_resnet\.safetensors"):
        build("test_resnet")


def test_a_pickle_that_runs_code_is_refused(weights):
    class Evil:
        def __reduce__(self):
            return (print, ("ran",))

    torch.save({"weight": Evil()}, weights / "test_resnet.pth")

    with pytest.raises(TrainingError):
        build("test_resnet")


def test_local_weights_of_another_network_are_a_plain_failure(weights):
    save_file({"nothing": torch.zeros(1)}, weights / "test_resnet.safetensors")

    with pytest.raises(TrainingError):
        build("test_resnet")


def test_without_any_weights_it_says_so_loudly_and_asks_no_network(weights):
    backbone, note = build("test_resnet")

    assert "RANDOM" in note
    assert str(weights) in note
    assert isinstance(backbone, torch.nn.Module)


def test_torchvision_and_timm_import_in_a_fresh_process():
    code = "import finwave.ml.pretrained, torchvision, timm; print(timm.__version__)"

    done = subprocess.run([sys.executable, "-W", "error", "-c", code], check=False)

    assert done.returncode == 0
