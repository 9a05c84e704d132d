"""The motion of a light generator, MotionGAN: `python launch/train.py --config=configs/motiongan.py --workdir=DIR`.

Data, for this and for configs/renderer.py: `python launch/prepare.py --kind=photos --root=PAIRS --split=every_fourth
--faces=data/faces/pairs`, the same with `--root=PORTRAITS --takes=3 --faces=data/faces/single`, and `--draw=160
--root=TREE --faces=data/faces/drawn` (without --kind). MUG needs `--root=MUG --faces=data/faces/mug` alone.
1,500 steps take about 6 minutes of one core of an AMD EPYC, and 1.3 GB of memory; see launch/README.md.
"""

import ml_collections

from configs import mug

LABELS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")


def get_config() -> ml_collections.ConfigDict:
    """Every field that exists is listed here, but those of `run`, which are those of configs/mug.py."""
    config = ml_collections.ConfigDict()

    config.model = ml_collections.ConfigDict()
    config.model.kind = "motiongan"
    config.model.frames = 32  # of a clip, a multiple of 8
    config.model.noise = 128  # numbers that a clip is drawn from
    config.model.width = 512  # channels of the generator's first layer; they halve twice
    config.model.labels = LABELS  # the expressions that there are

    config.data = ml_collections.ConfigDict()
    # Portraits mostly smile, and the way from a smile to anger is not that from a neutral face: none of them here.
    config.data.directories = (("data/faces/pairs", 1.0),)
    config.data.split = "train"  # train, test or all
    config.data.validation_split = "test"  # people that the training does not see
    config.data.flip = True  # mirror half of the samples

    config.train = ml_collections.ConfigDict()
    config.train.seed = 0
    config.train.batch_size = 64  # clips of one update, over all devices
    config.train.learning_rate = 1e-4  # after the warm-up
    config.train.warmup_steps = 100  # steps; 0 for none
    config.train.decay = "cosine"  # of the learning rate: none, or cosine (to 0 at the last step)
    config.train.gradient_clip = 0.0  # global norm; 0 for none
    config.train.ema_decay = 0.999  # per step
    config.train.critic_updates = 4  # in a step, before the generator's
    config.train.penalty_weight = 10.0  # of the critic's gradient penalty
    config.train.tangent_weight = 10.0  # of the mean absolute error of the tangent
    config.train.geodesic_weight = 10.0  # of the angle to the real motion, radians
    config.train.length_weight = 1.0  # of the mean absolute error of the length, standard deviations

    config.run = mug.get_config().run
    config.run.steps = 1_500
    config.run.sample_every = 500
    config.run.save_every = 500
    config.run.validate_every = 500
    config.run.validate_batches = 2
    return config
