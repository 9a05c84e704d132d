"""ImaGINator, a light generator: `python launch/train.py --config=configs/imaginator.py[:narrow] --workdir=DIR`.

Data: `python launch/prepare.py --root=MUG --faces=data/faces/mug`, or drawn people as for configs/motiongan.py.

| variant | what it is | parameters of the generator | steps |
|---|---|---|---|
| (none) | the published network | 75.4 M | 60,000 |
| narrow | width 16, batch 8, for a CPU | 4.8 M | 1,100 |

Narrow, a step takes 2.6 s of one core of an AMD EPYC, and 2.4 GB of memory; see launch/README.md.
"""

import ml_collections

from configs import motiongan

NARROW = {
    "model.width": 16,
    "model.noise": 128,
    "train.batch_size": 8,
    "train.ema_decay": 0.99,  # so few steps leave no time for a slower one
    "run.steps": 1_100,
    "run.sample_every": 250,
    "run.save_every": 100,
    "run.validate_every": 500,
}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """`configs/motiongan.py` with another network and another loss."""
    config = motiongan.get_config()
    config.model = ml_collections.ConfigDict()
    config.model.kind = "imaginator"
    config.model.width = 64  # channels of the first layer
    config.model.noise = 512  # numbers that a clip is drawn from
    config.model.appearance = 100  # numbers that the photo becomes at the coarsest
    config.model.labels = motiongan.LABELS

    config.data.directories = (("data/faces/mug", 1.0),)

    for name in ("critic_updates", "penalty_weight", "tangent_weight", "geodesic_weight", "length_weight"):
        del config.train[name]
    config.train.learning_rate = 2e-4
    config.train.warmup_steps = 0
    config.train.decay = "none"
    config.train.l1_weight = 100.0  # of the mean absolute error of the clip

    config.run.steps = 60_000
    config.run.sample_every = config.run.save_every = config.run.validate_every = 2_000
    if variant == "narrow":
        config.update_from_flattened_dict(NARROW)
    elif variant:
        raise ValueError(f"configs/imaginator.py has no variant {variant!r}; it has: narrow")
    return config
