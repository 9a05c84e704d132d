"""A tiny training that uses every part, for tests: `python launch/train.py --config=configs/smoke.py --workdir=DIR`.

It is `configs/demo.py` at 32x32 with a very small network: 6 steps, a minute or two on two CPU cores to compile, and
1 GB of memory (estimated). `--config.data.directory` names a data set with frames of 32 pixels; one written by
`launch/prepare.py` also needs `--config.model.low_size=64`.
"""

import ml_collections

from configs import demo


def get_config() -> ml_collections.ConfigDict:
    """`configs/demo.py`, tiny."""
    config = demo.get_config()
    config.model.resolution = 32
    config.model.low_size = 16
    config.model.place_low = True
    config.model.unet.patch = 2
    config.model.unet.base = 32
    config.model.unet.multipliers = (1, 1)
    config.model.unet.attention_levels = (1,)
    config.model.expression_channels = (32, 32)
    config.train.batch_size = 4
    config.train.warmup_steps = 2
    config.run.steps = 6
    config.run.log_every = 1
    config.run.sample_every = 3
    config.run.save_every = 3
    config.run.validate_batches = 1
    return config
