"""Training for real faces, on photographs and drawn people together, from a model of drawn people.

Data: `python launch/prepare.py --kind=photos --root=PAIRS --output=data/pairs --both_ways --split=every_fourth`, the
same with `--root=PORTRAITS --output=data/single --takes=1 --relight=1`, and drawn people as for configs/demo.py, whose
model is what it starts from (`train.start_from`; launch/export.py writes it).
Training, in two parts. First the restorer of low-res frames alone, 1,500 steps or more; what straightens warped ones is
fitted to 16,000 samples before the first step (in 3 minutes), because it learns slowly by steps:
    python launch/train.py --config=configs/photos.py --workdir=RESTORER --config.train.only_restorer=True \\
      --config.train.fit_batches=1000 --config.train.batch_size=16 --config.train.learning_rate=1e-3 \\
      --config.run.steps=1500
    python launch/export.py --workdir=RESTORER --output=model/restorer
Then all of it, with the layers that tell which frames are faulty fitted first (to 4,096 samples, in 2 minutes):
    python launch/train.py --config=configs/photos.py --workdir=RUN --config.train.start_from=model/restorer \\
      --config.train.fit_batches=4000 --config.run.steps=2600
On one core of an AMD EPYC, while other programs ran, a step of the first part took 0.6 s and one of the second 1.2 s;
memory was not measured (configs/demo.py: 1.4 GB).

Both commands were run from their start, with the shares 0.55, 0.25 and 0.2. Faces of `--people=third`, whom the
training has seen, in dB: 35.18 (the released model 35.71, pasted 33.33); with warped low-res frames 30.76 (31.25), JPEG
30.95 (31.43), blurred 29.32 (30.24), noisy 31.43 (32.44), all faults 27.98 (28.45). Without that fit, noisy ones had
28.44 after 2,515 of 3,200 steps, less than pasted, and the others within 0.1 of these: gradient steps find those layers
slowly. The released model was trained longer and in more stages. Where you can, start from it:
`--config.train.start_from=facenhance_jax/model`.
"""

import ml_collections

from configs import demo


def get_config() -> ml_collections.ConfigDict:
    """`configs/demo.py`, whose network also moves the photo."""
    config = demo.get_config()
    config.model.warp_photo = True
    config.model.restore_low = True

    config.sampling.steps = 2
    config.sampling.corrections = 2
    config.sampling.temperature = 0.0  # of 0 to 0.8, the nearest to the real frames, as sharp, and steadiest

    config.data.directories = (("data/pairs", 0.5), ("data/drawn", 0.25), ("data/single", 0.25))
    config.data.split = "train"
    config.data.jitter = 0.5
    config.data.degrade = 1.0

    config.train.start_from = "model/drawn"
    config.train.noise_levels = 2  # 1 and 2 steps use no others
    config.train.detail_weight = 0.3  # the squared error alone leaves frames soft
    config.train.restored_weight = 0.1
    config.train.learning_rate = 3e-4
    config.train.warmup_steps = 50

    config.run.steps = 3_200
    config.run.sample_every = 500
    config.run.save_every = 200
    return config
