"""Import this before timm: it makes torchvision importable beside a CPU build of torch.

PyPI's torchvision for Linux is built against CUDA. Beside `torch+cpu` its compiled
operators do not load, and `import torchvision`, hence `import timm`, fails with
"operator torchvision::nms does not exist" (pytorch/vision#9085). timm's models need
none of these operators; declaring them is enough. Where torchvision imports by itself
this module does nothing.
"""

from __future__ import annotations

import importlib
import sys

import torch


def make_torchvision_importable() -> bool:
    """Import torchvision, declaring its operators when they are missing.

    Returns:
        Whether the operators had to be declared.

    Raises:
        RuntimeError, OSError: torchvision does not import for another reason.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    else:
        return False

    for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
        del sys.modules[name]  # what the failed import left half made
    torch.library.define("torchvision::nms", "(Tensor a, Tensor b, float c) -> Tensor")
    torch.library.define("torchvision::qnms", "(Tensor a, Tensor b, float c) -> Tensor")
    importlib.import_module("torchvision")
    return True


make_torchvision_importable()
