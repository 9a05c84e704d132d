"""The model inside the package, trained on drawn faces.

Velocity form on the residual, with squares of 4x4 pixels folded into channels, sized for two CPU cores.
Data: `python launch/prepare.py --draw=320 --root=TREE --output=data/drawn --frames=8`.
Training: `python launch/train.py --config=configs/demo.py --workdir=DIR`: 3,600 steps, 52 minutes on two CPU cores
(measured once, while other programs ran), 1.4 GB of memory.
"""

import ml_collections

from configs import mug


def get_config() -> ml_collections.ConfigDict:
    """`configs/mug.py`, smaller."""
    config = mug.get_config()
    config.model.unet.patch = 4
    config.model.unet.base = 64
    config.model.unet.multipliers = (1, 2, 2)  # 48x48, 24x24, 12x12
    config.model.unet.attention_levels = (2,)  # 12x12, as in the paper
    config.model.expression = "both"
    config.model.place_low = True
    config.model.expression_channels = (32, 64, 128)  # 64x64 to 8x8 tokens
    config.model.residual_scale = 18.0  # measured by launch/prepare.py
    config.model.gate_std = 0.2  # camera noise and JPEG artefacts, in units of the target
    config.model.warp_low = True
    config.model.dtype = "float32"

    config.sampling.temperature = 0.8  # at 1, frames are sharper than real ones because some noise is left in them

    config.data.directory = "data/drawn"
    config.data.split = "all"  # launch/evaluate.py draws other people for the evaluation
    config.data.jitter = 0.0
    config.data.degrade = 0.0
    config.data.any_previous = True  # so that the network cannot copy the previous frame

    config.train.batch_size = 4
    config.train.learning_rate = 5e-4
    config.train.warmup_steps = 200
    config.train.decay = "cosine"
    config.train.ema_decay = 0.999  # a run this short cannot average over 10,000 steps

    config.run.steps = 3_600
    config.run.log_every = 20
    config.run.sample_every = 300
    config.run.save_every = 200
    config.run.validate_every = 0  # nobody is held out
    return config
