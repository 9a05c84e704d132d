"""The networks that the benchmarks know by name."""

import jax
import ml_collections
import numpy as np

from configs import demo, mug, smoke
from facenhance_jax.network.denoiser import Denoiser

NETWORKS = ("mug", "paper", "fast", "released", "smoke")


def network(name: str, platform: str) -> ml_collections.ConfigDict:
    """The config of one of `NETWORKS`: configs/mug.py, its variants paper and fast, configs/demo.py and smoke.py.

    On an accelerator the released model computes in bfloat16, as the others do by themselves, except paper.
    """
    if name == "smoke":
        return smoke.get_config()
    config = demo.get_config() if name == "released" else mug.get_config("" if name == "mug" else name)
    if name == "released" and platform != "cpu":
        config.model.dtype = "bfloat16"
    return config


def parameters(denoiser: Denoiser) -> dict:
    """Small random numbers as parameters, on the host: fresh ones would be a program to compile for each shape."""
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: 0.02 * rng.standard_normal(leaf.shape, np.float32), denoiser.abstract_params())
