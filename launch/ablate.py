"""Table 3: trains the paper's ablations and the forms of the denoiser, and scores each on people it has not seen.

    python launch/prepare.py --draw=320 --root=TREE --output=data/drawn --frames=8
    python launch/prepare.py --root=TREE --output=data/drawn64 --frames=8 --resolution=64
    python launch/ablate.py --data=data/drawn64 --output=DIR

All have drawn faces at 64x64, the same small network, seed, batches and number of updates. Run it again to go on after
an interruption: each variant is a run of its own in DIR/runs, and scored clips are kept in DIR/scores (remove that
folder to score with other metrics). DIR/tables.md gets the table.

T is 50 here, with betas 20 times the paper's, so that x_T is noise as it is there: a network that outputs x_(t-1) has
to take all steps, and 1000 for each frame would take a day on a CPU. Networks that output the velocity take 8 steps;
those whose form is compared with x_(t-1)'s take 50 as well.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import checkout  # noqa: F401  (puts the checkout on sys.path)
import ml_collections
from absl import app, flags, logging

from configs import mug
from facenhance_jax import messages, settings
from facenhance_jax.data import pipeline, sources
from facenhance_jax.evaluation import clip_sets, evaluation, methods, scores, tables
from facenhance_jax.inference.compile_cache import keep_compiled_programs
from facenhance_jax.inference.enhancer import Enhancer
from facenhance_jax.media.writing import replacing
from facenhance_jax.messages import InputError
from facenhance_jax.runs import checkpoints, run_folder
from facenhance_jax.training import experiment, loop

TIMESTEPS, FEW = 50, 8  # T, and the steps of variants that need not take all
EVALUATED = 12  # frames of a clip


@dataclass(frozen=True)
class Variant:
    """What differs from the first variant in config.model or config.train, and the steps that it is sampled with."""

    name: str
    differs: dict[str, Any] = field(default_factory=dict)
    steps: tuple[int, ...] = (FEW,)


WARPED = {"expression": "both", "place_low": True, "warp_low": True, "gate_std": 0.2}
VARIANTS = {
    "full": Variant("full: velocity, residual", steps=(FEW, TIMESTEPS)),
    "without-e-exp": Variant("without E_exp: v_low as channels", {"expression": "concat"}),
    "without-previous": Variant("without the previous frame", {"previous": "none"}),
    "without-noise": Variant("without noise on it", {"previous": "clean"}),
    "velocity-frame": Variant("velocity, frame", {"target": "frame"}, (FEW, TIMESTEPS)),
    "x-prev-frame": Variant(
        "x_prev form on the frame",
        {"prediction": "x_prev", "target": "frame", "loss_weighting": "x_prev"},
        (TIMESTEPS,),
    ),
    "placed-and-warped": Variant("full, v_low also placed and warped, gated", WARPED),
}

_DATA = flags.DEFINE_string("data", None, "data set of 64x64 frames, as launch/prepare.py wrote it", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "folder for the runs and the results", required=True)
_STEPS = flags.DEFINE_integer("updates", 1000, "training steps of each variant", lower_bound=1)
_BATCH = flags.DEFINE_integer("batch", 8, "samples of an update", lower_bound=1)
_VARIANTS = flags.DEFINE_list("variants", list(VARIANTS), "variants to train and score")
_PEOPLE = flags.DEFINE_integer("people", 8, "people to score on, six clips each", lower_bound=1, upper_bound=13)
_METRICS = flags.DEFINE_list("metrics", [], f"of {', '.join(scores.GROUPS)}; without it, all that can be computed")
_ONLY = flags.DEFINE_enum("only", "", ["", "train", "evaluate"], "one half of the work; without it, both")


def config_of(variant: str, scale: float) -> ml_collections.ConfigDict:
    """The config of a variant; `scale` is the data set's own residual_scale."""
    config = mug.get_config()
    model, schedule, data, train, run = config.model, config.schedule, config.data, config.train, config.run
    model.resolution, model.expression_channels = 64, (32, 64, 128)
    model.unet.patch, model.unet.base, model.unet.multipliers = 2, 32, (1, 2, 2)  # 32x32, 16x16, 8x8
    model.unet.attention_levels = (2,)
    model.residual_scale, model.dtype = scale, "float32"
    schedule.timesteps = TIMESTEPS
    schedule.beta_start *= 1000 / TIMESTEPS
    schedule.beta_end *= 1000 / TIMESTEPS
    data.directory, data.jitter, data.degrade = str(Path(_DATA.value).absolute()), 0.0, 0.0
    train.batch_size, train.learning_rate, train.warmup_steps = _BATCH.value, 5e-4, 50
    train.decay, train.ema_decay = "cosine", 0.99
    run.steps, run.validate_every = _STEPS.value, 0
    run.log_every, run.sample_every, run.save_every = 20, _STEPS.value, 200
    config.sampling.steps = VARIANTS[variant].steps[0]
    for name, value in VARIANTS[variant].differs.items():
        (train if name in train else model)[name] = value
    return config


def train(folder: Path) -> None:
    """Trains what is not trained yet. Raises InputError if a run was begun with another config, or was stopped."""
    scale = round(pipeline.residual_scale(sources.records(_DATA.value, "train")), 1)
    for variant in _VARIANTS.value:
        print(f"{variant}:", flush=True)
        loop.train(experiment.make(settings.read(config_of(variant, scale))), folder / variant)
        check_finished(folder / variant)


def check_finished(run: Path) -> None:
    """Raises InputError if a variant is not trained to the end."""
    if max(checkpoints.steps(run / run_folder.CHECKPOINTS), default=0) != _STEPS.value:
        raise InputError(f"{run}: not trained for {_STEPS.value} updates; run this again without --only to go on")


def evaluate(output: Path) -> None:
    """Scores the trained variants on people who are in no training set, and writes the table."""
    clips = clip_sets.Drawn(clip_sets.HELD_OUT[: _PEOPLE.value], frames=EVALUATED, size=64, low_size=64)
    made = []
    for key in _VARIANTS.value:
        check_finished(output / "runs" / key)
        model = Enhancer.load(output / "runs" / key)
        for steps in VARIANTS[key].steps:
            about = {"name": VARIANTS[key].name, "key": f"{key}-{steps}", "batch": 6}
            about["shared_noise"] = False  # as in the paper
            made.append(methods.Enhanced(model, steps=steps, **about))
    scorer = scores.Scorer(clips.frames, clips.size, _METRICS.value)
    made += [methods.PhotoCopied(), methods.Upsampled()]
    found = evaluation.Evaluation(output / "scores", clips, scorer, made, batch=6, shown=made[0].key).run()
    about = f"Drawn faces, 64x64, {_STEPS.value} updates of {_BATCH.value} samples each, T = {TIMESTEPS}."
    with replacing(output / "tables.md") as part:
        parts = [about, "", tables.ablations(found), tables.everything(found), *tables.notes(found)]
        part.write_text("\n".join(parts) + "\n", encoding="utf-8")
    print(f"{tables.text(found)}\n\n{output / 'tables.md'}")


def main(_: list[str]) -> None:
    logging.set_verbosity(logging.ERROR)  # Orbax reports every file it touches
    keep_compiled_programs()
    with messages.refusing():
        unknown = sorted(set(_VARIANTS.value) - VARIANTS.keys())
        if unknown:
            raise InputError(f"--variants {','.join(unknown)}: not one of {', '.join(VARIANTS)}")
        output = Path(_OUTPUT.value).absolute()
        if _ONLY.value != "evaluate":
            train(output / "runs")
        if _ONLY.value != "train":
            evaluate(output)


if __name__ == "__main__":
    app.run(main)
