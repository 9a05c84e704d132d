"""The pictures of a light generator: `python launch/train.py --config=configs/renderer.py --workdir=DIR`.

Data: as for configs/motiongan.py. The two together are a generator, `express --generator learned`.
3,000 steps take about 20 minutes of one core of an AMD EPYC, and 1.1 GB of memory; see launch/README.md.
"""

import ml_collections

from configs import motiongan


def get_config() -> ml_collections.ConfigDict:
    """`configs/motiongan.py` with another network and another loss."""
    config = motiongan.get_config()
    config.model = ml_collections.ConfigDict()
    config.model.kind = "renderer"
    config.model.base = 32  # channels at the first level, 32x32
    config.model.multipliers = (1, 2, 3, 4)  # channels by level, in units of base
    config.model.labels = motiongan.LABELS

    config.data.directories = (("data/faces/pairs", 0.5), ("data/faces/single", 0.3), ("data/faces/drawn", 0.2))

    for name in ("critic_updates", "penalty_weight", "tangent_weight", "geodesic_weight", "length_weight"):
        del config.train[name]
    config.train.batch_size = 16  # frames of one update, over all devices
    config.train.learning_rate = 6e-4
    config.train.gradient_clip = 1.0
    config.train.detail_weight = 0.1  # of the error in the amount of fine detail, which keeps frames sharp
    config.train.mouth_weight = 8.0  # more for the error between the lips, which the photo does not show

    config.run.steps = 3_000
    config.run.sample_every = 1_000
    config.run.save_every = 500
    config.run.validate_every = 1_000
    config.run.validate_batches = 4
    return config
