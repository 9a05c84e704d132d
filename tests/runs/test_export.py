"""From a run's folder to a released model, its card, and an enhancer."""

import json

import jax
import numpy as np
import pytest
from kill_and_resume import SMALLEST
from small_run import assert_same, make_config

from configs import smoke
from facenhance_jax import cli, media, settings
from facenhance_jax.evaluation import methods
from facenhance_jax.inference.enhancer import Enhancer
from facenhance_jax.media.pictures import resize
from facenhance_jax.messages import InputError
from facenhance_jax.runs import cards, checkpoints, export, run_folder
from facenhance_jax.training import experiment


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run at step 3, its settings, and its EMA, which differs from its parameters."""
    config = smoke.get_config()
    config.update_from_flattened_dict(SMALLEST | {"data.directory": "/somewhere", "train.start_from": "/elsewhere"})
    chosen, workdir = settings.read(config), tmp_path_factory.mktemp("run")
    state = experiment.make(chosen).initial_state()
    state = state._replace(ema=jax.tree.map(lambda leaf: leaf + 1.0, state.params))
    run_folder.write_config(workdir, chosen)
    with checkpoints.RunCheckpoints(workdir / "checkpoints") as saves:
        saves.save(3, state)
    return workdir, chosen, state.ema


def test_a_released_model_is_the_ema_of_the_newest_checkpoint_with_its_config(run, tmp_path):
    workdir, chosen, ema = run
    assert export.export_model(workdir, tmp_path / "model", "# A card") == 3
    expected = {name: section for name, section in chosen.to_dict().items() if name != "data"}
    del expected["train"]["start_from"]  # a path on the machine that trained, like those in `data`
    assert checkpoints.load_config(tmp_path / "model") == expected
    assert settings.read_model(expected).model == chosen.model
    assert_same(checkpoints.load_params(tmp_path / "model", ema), ema)
    assert (tmp_path / "model" / "card.md").read_text() == "# A card"


def test_a_folder_without_a_run_or_checkpoint_is_refused_in_one_line(tmp_path):
    with pytest.raises(InputError, match="not a training run .it has no config.json.; give the --workdir"):
        export.export_model(tmp_path, tmp_path / "model")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="no checkpoint yet; train until run.save_every first"):
        export.export_model(tmp_path, tmp_path / "model")


def test_the_card_is_made_from_the_runs_records(tmp_path):
    config = make_config()
    config.data.directory, config.model.resolution, config.model.unet.patch = "/somewhere/faces", 64, 2
    config = config.to_dict()
    scores = {"psnr": 31.234, "psnr_copied": 30.0, "ssim": 0.91, "ssim_copied": 0.9}
    lines = [
        {"step": 100, "loss": 1.0, "steps_per_second": 0.5},  # 200 s
        {"step": 700, "loss": 0.5, "steps_per_second": 1.0},  # 600 s
        {"step": 700} | {f"validation_{name}": value for name, value in scores.items()},
        {"step": 900, "loss": 0.4, "steps_per_second": 0.001},  # after the checkpoint
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = export.model_card(tmp_path, config, 700, {"kernel": np.zeros((1000, 2600))})
    for text in (
        "step 700",
        "| network | 2.6 M parameters, 64x64 frames, patch 2, outputs velocity, diffuses the residual",
        "| data | the set `faces`, split `train` |",
        "| steps | 700 of 8 samples |",
        "| time | 13 minutes of training |",
        f"## What it must not be used for\n\n{cards.MUST_NOT}\n",
        "step 700 | sampled 31.23 dB PSNR, 0.9100 SSIM; photo copied 30.00 dB PSNR, 0.9000 SSIM |",
    ):
        assert text in found, found
    assert "hardware" not in found and "/somewhere" not in found
    (tmp_path / "environment.json").write_text(json.dumps(run_folder.environment()))
    assert "| hardware | 4 x cpu |" in export.model_card(tmp_path, config, 700, {})


def test_an_enhancer_loads_a_runs_folder_like_a_released_model(run):
    workdir, chosen, ema = run
    enhancer = Enhancer.load(workdir)
    assert_same(enhancer.params, ema)
    assert (enhancer.size, enhancer.low_size, enhancer.sampling) == (32, 64, chosen.sampling)
    assert enhancer.name == f"the training run {workdir.name}, step 3"


def test_a_run_in_the_papers_form_needs_no_flag(tmp_path, capfd):
    """Its config says how it is sampled: all its steps, other noise for each frame."""
    config = smoke.get_config()
    config.update_from_flattened_dict(SMALLEST)
    config.model.update(prediction="x_prev", target="frame")
    config.schedule.timesteps = config.sampling.steps = 3
    config.sampling.shared_noise = False
    chosen = settings.read(config)
    state = experiment.make(chosen).initial_state()
    ema = jax.tree.map(lambda leaf: leaf + 0.01 * jax.random.normal(jax.random.key(1), leaf.shape), state.params)
    run_folder.write_config(tmp_path / "run", chosen)
    with checkpoints.RunCheckpoints(tmp_path / "run" / "checkpoints") as saves:
        saves.save(3, state._replace(ema=ema))
    rng = np.random.default_rng(0)
    low, photo = (rng.integers(0, 256, shape, np.uint8) for shape in ((2, 64, 64, 3), (64, 64, 3)))
    np.save(tmp_path / "low.npy", low)
    media.write_png(tmp_path / "photo.png", photo)
    inputs = ["--low", f"{tmp_path}/low.npy", "--identity", f"{tmp_path}/photo.png", "--output", f"{tmp_path}/frames"]
    assert cli.main(["enhance", "--model", f"{tmp_path}/run", *inputs]) == 0, capfd.readouterr().err
    model = Enhancer.load(tmp_path / "run")
    asked = dict(steps=3, solver="ddim", temperature=0.8, shared_noise=False)
    expected = model.enhance(low, resize(photo, 32), **asked)
    np.testing.assert_array_equal(np.stack(list(media.open_clip(tmp_path / "frames"))), expected)
    assert methods.Enhanced(model, batch=1).describe().items() >= asked.items()  # what launch/evaluate.py uses
