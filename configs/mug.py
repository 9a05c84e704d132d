"""Training on the MUG database: `python launch/train.py --config=configs/mug.py[:variant] --workdir=DIR`.

Data: `python launch/prepare.py --root=MUG --output=data/mug` (or another folder, given as `--config.data.directory`);
for hd512 with `--resolution=512 --output=data/mug512`. Variants can be combined, `:paper,no_noise`; a later one
overrides an earlier one. How `:paper` still differs from the paper, and what a pass over the data is: docs/paper.md.

| variant | what it is | steps | GPU memory | one H100 |
|---|---|---|---|---|
| (none) | velocity form on the residual, bfloat16 | 500,000 | 29 GB | 4 h |
| paper | the paper's settings: 2 M steps of batch 4; 140 h on a Titan V (published) | 2,000,000 | 13 GB | 9 h |
| no_expression, no_previous, no_noise | the ablations of its Table 3 | 500,000 | 29 GB | 4 h |
| fast | squares of 4x4 pixels folded into channels, for samplers of few steps | 500,000 | 5 GB | 1 h |
| hd512 | frames of 512x512, from the same low-res clips | 500,000 | 15 GB | 9 h |

Memory and hours are computed, not measured: 20 bytes for each parameter and the activations that the gradient keeps;
FLOPs as XLA counts them, at 40 % of the peak (495e12 FLOP/s in paper's float32, else 989e12), and 48 bytes of traffic
for each parameter, at 3.35e12 bytes/s. Validation, pictures and the pipeline come on top. Formulas: launch/README.md.
"""

import ml_collections

VARIANTS = {
    "paper": {
        "model.prediction": "x_prev",
        "model.target": "frame",
        "model.residual_scale": 1.0,  # not used by target = frame
        "model.dtype": "float32",
        "sampling.steps": 1000,
        "sampling.shared_noise": False,
        "data.flip": False,
        "data.jitter": 0.0,
        "data.degrade": 0.0,
        "train.batch_size": 4,
        "train.learning_rate": 2e-5,
        "train.warmup_steps": 0,
        "train.gradient_clip": 0.0,
        "train.ema_warmup": False,
        "train.loss_weighting": "x_prev",
        "run.steps": 2_000_000,  # the paper's "about 2 million"; see docs/paper.md
        "run.parallel": "pmap",
    },
    "no_expression": {"model.expression": "concat"},
    "no_previous": {"model.previous": "none"},
    "no_noise": {"model.previous": "clean"},
    "fast": {
        "model.unet.patch": 4,
        "model.unet.multipliers": (1, 2, 4),  # 48x48, 24x24, 12x12
        "model.unet.attention_levels": (2,),  # 12x12, as in the paper
        # As in configs/demo.py: with patches the UNet has few channels, so the low-res frame and the noise bypass it.
        "model.expression": "both",
        "model.place_low": True,
        "model.warp_low": True,
        "model.gate_std": 0.2,
        "train.learning_rate": 2e-4,
    },
    "hd512": {
        "model.resolution": 512,
        "model.unet.patch": 2,  # the UNet's levels go from 256x256 to 8x8
        "model.unet.attention_levels": (4,),  # 16x16
        "model.unet.remat": True,
        "data.directory": "data/mug512",
    },
}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """The config of a variant, or of several ("paper,no_noise"). Every field that exists is listed here."""
    config = ml_collections.ConfigDict()

    config.model = ml_collections.ConfigDict()
    config.model.resolution = 192  # side of a frame, pixels
    config.model.low_size = 64  # side of a low-res frame, pixels
    config.model.unet = ml_collections.ConfigDict()
    config.model.unet.patch = 1  # side of the squares folded into channels at the UNet's entrance, pixels
    config.model.unet.base = 128  # channels at the first level
    config.model.unet.multipliers = (1, 1, 2, 2, 4, 8)  # channels by level, in units of base
    config.model.unet.res_blocks = 1  # residual blocks of each level (one more on the way up)
    config.model.unet.attention_levels = (4,)  # levels, from 0, with attention; level 4 is 12x12 here
    config.model.unet.remat = False  # keep no activations within the blocks: less memory, about a third more work
    config.model.expression = "encoder"  # how the UNet gets the low-res frame: encoder, concat or both
    config.model.place_low = False  # for concat, both and warp_low: lay it on the photo's face, not on the whole frame
    config.model.expression_channels = (64, 128, 256, 512)  # the expression encoder's levels: 64x64 to 4x4 tokens
    config.model.previous = "noisy"  # the previous frame's condition: noisy, clean or none
    config.model.prediction = "velocity"  # what the network outputs: velocity or x_prev
    config.model.target = "residual"  # what is diffused: residual (to the photo) or frame
    config.model.residual_scale = 12.0  # k, 1 / rms(frame - photo); launch/prepare.py prints a data set's own
    config.model.gate_std = 0.0  # std of the pixels that the gate is for, in units of the target; 0 for no gate
    config.model.warp_low = False  # whether the network also warps the low-res frame into the output
    config.model.warp_photo = False  # whether it also warps the photo into the output; needs warp_low and place_low
    config.model.restore_low = False  # whether a small network first restores the low-res frame; needs place_low
    config.model.dtype = "bfloat16"  # of the computation; parameters are always float32

    config.schedule = ml_collections.ConfigDict()
    config.schedule.timesteps = 1000  # T
    config.schedule.beta_start = 1e-4
    config.schedule.beta_end = 0.02

    config.sampling = ml_collections.ConfigDict()  # how the model is sampled by default
    config.sampling.steps = 8  # denoising steps of a frame; T with prediction = x_prev
    config.sampling.solver = "ddim"  # ddim or 2m
    config.sampling.temperature = 1.0  # scale of the noise that sampling starts from, 0 to 1
    config.sampling.shared_noise = True  # all frames of a clip start from the same noise; in the paper each has its own
    config.sampling.corrections = 0  # times that each guess of a frame is made to agree with the low-res frame

    config.data = ml_collections.ConfigDict()
    config.data.directory = "data/mug"  # what launch/prepare.py wrote
    config.data.directories = ()  # a mix instead of `directory`: (("data/a", 0.3), ("data/b", 0.7)), shares of samples
    config.data.split = "train"  # train, test or all
    config.data.validation_split = "test"  # people that the training does not see
    config.data.any_previous = False  # take the previous frame from anywhere in the clip, not just before
    config.data.flip = True  # mirror half of the samples
    config.data.jitter = 0.5  # strength, 0 to 1, of changes of colour and position (1: 8 degrees, 8 %, 8 px of 192)
    config.data.degrade = 0.5  # strength, 0 to 1, of a worse low-res frame (1: blur and warp of 1.5 px, noise, JPEG)

    config.train = ml_collections.ConfigDict()
    config.train.seed = 0
    config.train.start_from = ""  # folder of a released model whose parameters to start from; "" for fresh ones
    config.train.batch_size = 16  # samples of one update, over all devices
    config.train.accumulate = 1  # parts of a batch, which go through the network one by one to save memory
    config.train.learning_rate = 1e-4  # after the warm-up
    config.train.warmup_steps = 1000  # steps; 0 for none
    config.train.decay = "none"  # of the learning rate: none, or cosine (to 0 at the last step)
    config.train.gradient_clip = 1.0  # global norm; 0 for none
    config.train.ema_decay = 0.9999  # per step
    config.train.ema_warmup = True  # begin with a smaller decay, min(ema_decay, (1 + step) / (10 + step))
    config.train.ema_every = 1  # steps from one update of the EMA to the next, for all of them at once
    config.train.noise_levels = 0  # train at the timesteps of a sampler with so many steps alone; 0 for all timesteps
    config.train.detail_weight = 0.0  # of the error in the amount of fine detail, which keeps frames of few steps sharp
    config.train.restored_weight = 0.0  # of the restored low-res frame's error (model.restore_low)
    config.train.only_restorer = False  # train that small network alone, which is many times as fast
    config.train.fit_batches = 0  # to which the restorer's straightener and detectors are fitted at first; 0 for none
    config.train.loss_weighting = "velocity"  # velocity, or x_prev (the paper's MSE)

    config.run = ml_collections.ConfigDict()
    config.run.steps = 500_000
    config.run.log_every = 100  # steps
    config.run.sample_every = 5_000  # steps
    config.run.save_every = 5_000  # steps
    config.run.save_minutes = 20.0  # a checkpoint also after so many minutes without one; 0 for none
    config.run.validate_every = 5_000  # steps; 0 for never
    config.run.validate_batches = 4  # of held-out subjects, each time
    config.run.profile_steps = (0, 0)  # first and last step of a trace for TensorBoard and Perfetto; (0, 0) for none
    config.run.parallel = "jit"  # jit (a mesh of all devices), fsdp (the same, with the state split over them) or pmap

    for name in variant.split(",") if variant else ():
        if name not in VARIANTS:
            raise ValueError(f"configs/mug.py has no variant {name!r}; it has: {', '.join(VARIANTS)}")
        config.update_from_flattened_dict(VARIANTS[name])
    return config
