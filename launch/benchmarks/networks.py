"""The networks that the benchmarks know by name."""

import ml_collections

from configs import demo, mug, smoke

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
