"""From a run's folder to a released model, its card, and an enhancer."""

import numpy as np
import pytest
import small_run
from small_run import assert_same, final_state, make_config

from facenhance_jax import checkpoints, training
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
