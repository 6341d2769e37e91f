"""Repeatability: one seed, and random generators that depend on nothing but a key."""

from __future__ import annotations

import os

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed torch, and ask for algorithms that give the same result each time.

    Order and augmentation do not use this state but `rng_for`; it serves the initial
    weights, and the random layers that some architectures have.
    """
    torch.manual_seed(seed)
    if torch.cuda.is_available():
        # cuBLAS wants to be told before its first use, or it refuses to be repeatable.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True


def rng_for(*key: int) -> np.random.Generator:
    """Return the generator of a key, such as (seed, epoch, index); the same each time.

    A resumed training process needs no stored state to go on exactly.
    """
    return np.random.default_rng(key)
