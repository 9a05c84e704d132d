"""From a run's folder to a released model, its card, and an enhancer."""

import json

import numpy as np
import pytest
import small_run
from small_run import assert_same, final_state, make_config

from configs import smoke
from facenhance_jax import build, card, checkpoints, runs, training
from facenhance_jax import state as state_room
from facenhance_jax.enhancer import Enhancer
from facenhance_jax.errors import InputError


@pytest.fixture(autouse=True)
def small_model(monkeypatch):
    small_run.use(monkeypatch)


def test_a_release_is_the_average_of_the_newest_checkpoint_with_its_config(tmp_path):
    config = make_config()
    config.data = dict(directory="/somewhere")
    training.train(config, tmp_path / "run")
    assert training.export_model(tmp_path / "run", tmp_path / "model", "# A card") == 6
    expected = {name: config.to_dict()[name] for name in ("model", "run", "train")}
    del expected["train"]["start_from"]  # as little as `data` a matter of the model
    assert checkpoints.load_config(tmp_path / "model") == expected
    end = final_state(tmp_path / "run", config)
    loaded = checkpoints.load_params(tmp_path / "model", end.ema)
    assert_same(loaded, end.ema)
    assert np.abs(np.asarray(loaded["kernel"] - end.params["kernel"])).max() > 0
    assert (tmp_path / "model" / "card.md").read_text() == "# A card"


def test_what_cannot_be_released_is_one_line(tmp_path):
    with pytest.raises(InputError, match="not a training run .it has no config.json.; give the --workdir"):
        training.export_model(tmp_path, tmp_path / "model")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="no checkpoint yet; train until run.save_every first"):
        training.export_model(tmp_path, tmp_path / "model")


def test_the_card_is_made_of_the_runs_own_records(tmp_path):
    config = make_config().to_dict()
    config["data"] = {"directory": "/somewhere/faces", "split": "train"}
    config["model"] = {"resolution": 32, "patch": 2, "prediction": "velocity", "target": "residual", "dtype": "float32"}
    scores = {"psnr": 31.234, "psnr_copied": 30.0, "ssim": 0.91, "ssim_copied": 0.9}
    lines = [
        {"step": 100, "loss": 1.0, "steps_per_second": 0.5},  # 200 s
        {"step": 700, "loss": 0.5, "steps_per_second": 1.0},  # 600 s
        {"step": 700} | {f"validation_{name}": value for name, value in scores.items()},
        {"step": 900, "loss": 0.4, "steps_per_second": 0.001},  # after the checkpoint
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = card.model_card(tmp_path, config, 700, {"kernel": np.zeros((1000, 2600))})
    for text in (
        "step 700",
        "| network | 2.6 M parameters, 32x32 frames, patch 2, prints velocity, diffuses the residual",
        "| data | the set `faces`, split `train` |",
        "| steps | 700 of 8 samples |",
        "| time | 13 minutes of training |",
        "step 700 | sampled 31.23 dB PSNR, 0.9100 SSIM; photo copied 30.00 dB PSNR, 0.9000 SSIM |",
    ):
        assert text in found, found
    assert "hardware" not in found and "/somewhere" not in found
    (tmp_path / "environment.json").write_text(json.dumps(runs.environment()))
    assert "| hardware | 4 x cpu |" in card.model_card(tmp_path, config, 700, {})


def test_an_enhancer_takes_a_run_for_a_model(tmp_path, monkeypatch):
    monkeypatch.undo()  # the real network, small
    config = smoke.get_config()
    runs.write_config(tmp_path, config)
    params, ema = (build.denoiser(config).init(seed) for seed in (1, 2))
    state = state_room.initial_state(params, build.optimizer(config), 0)._replace(ema=ema)
    with checkpoints.RunCheckpoints(tmp_path / "checkpoints") as saves:
        saves.save(3, state)
    enhancer = Enhancer.load(tmp_path)
    assert_same(enhancer.params, ema)
    assert (enhancer.size, enhancer.low_size) == (32, 16)
