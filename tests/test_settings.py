"""A config's values: what is read, what is refused in one line, and how those of earlier versions are upgraded."""

import json

import pytest

from configs import demo, mug, smoke
from facenhance_jax import settings
from facenhance_jax.inference.enhancer import PACKAGED_MODEL
from facenhance_jax.messages import InputError

# config.json of the first released model, without the sections that its network does not depend on.
FIRST_RELEASE = {
    "model": {
        "attention_levels": (2,),
        "base": 64,
        "dtype": "float32",
        "expression": "both",
        "expression_channels": (32, 64, 128),
        "gate_std": 0.2,
        "low_size": 64,
        "multipliers": (1, 2, 2),
        "patch": 4,
        "place_low": True,
        "prediction": "velocity",
        "previous": "noisy",
        "res_blocks": 1,
        "residual_scale": 18.0,
        "resolution": 192,
        "target": "residual",
        "temperature": 0.8,
        "warp_low": True,
    },
    "schedule": {"beta_end": 0.02, "beta_start": 0.0001, "timesteps": 1000},
}


def test_settings_hold_the_values_of_the_config():
    for config in (smoke.get_config(), mug.get_config("paper")):
        assert settings.read(config).to_dict() == config.to_dict()
        assert settings.read(config.to_dict()) == settings.read(config)


def test_a_model_of_an_earlier_version_gives_the_same_network_and_sampling():
    old, new = settings.read_model(FIRST_RELEASE), settings.read_model(demo.get_config())
    assert (old.model, old.schedule, old.sampling) == (new.model, new.schedule, new.sampling)
    packaged = json.loads((PACKAGED_MODEL / "config.json").read_text())
    assert settings.upgraded(packaged) == packaged  # it is up to date


def test_an_x_prev_model_of_an_earlier_version_takes_all_its_steps():
    x_prev = {"prediction": "x_prev", "gate_std": 0.0, "warp_low": False}
    old = FIRST_RELEASE | {"model": FIRST_RELEASE["model"] | x_prev}
    assert settings.read_model(old).sampling.steps == 1000


def test_a_run_of_an_earlier_version_keeps_the_settings_it_was_trained_with():
    config = smoke.get_config().to_dict()
    before = config | {"model": config["model"] | config["model"]["unet"] | {"temperature": 0.8}}
    before["train"] = {name: value for name, value in config["train"].items() if not name.startswith("ema_")}
    before["train"]["ema_decay"] = config["train"]["ema_decay"]
    before["data"] = config["data"] | {"workers": 4}
    del before["model"]["unet"], before["sampling"]
    assert settings.read(before) == settings.read(config)


def test_unknown_fields_missing_fields_and_missing_sections_are_named():
    config = smoke.get_config().to_dict()
    config["train"]["colour"] = "blue"
    with pytest.raises(InputError, match="config.train: has no field 'colour'; its fields are seed, start_from"):
        settings.read(config)
    del config["train"]["colour"], config["train"]["seed"]
    with pytest.raises(InputError, match="config.train: the field 'seed' is missing"):
        settings.read(config)
    del config["train"]
    with pytest.raises(InputError, match="config: the field 'train' is missing"):
        settings.read(config)


@pytest.mark.parametrize(
    "section, field, value, message",
    [
        ("model.unet", "base", 33, "config.model.unet: base must be a positive multiple"),
        ("model.unet", "patch", "two", "config.model.unet: "),
        ("schedule", "beta_end", 2.0, "config.schedule: no such schedule"),
        ("train", "loss_weighting", "snr", "config.train: loss_weighting must be x_prev or velocity"),
        ("train", "decay", "step", "config.train: decay must be none or cosine"),
        ("run", "steps", 0, "config.run: steps must be at least 1"),
        ("train", "accumulate", 0, "config.train: accumulate must be at least 1"),
        ("train", "batch_size", 0, "config.train: batch_size must be at least 1"),
        ("train", "seed", -1, "config.train: seed must be from 0"),
        ("train", "learning_rate", -1.0, "config.train: learning_rate must be at least 0"),
        ("train", "ema_decay", 1.0, "config.train: ema_decay must be from 0 to below 1"),
        ("model.unet", "multipliers", (), "config.model.unet: multipliers must be one or more"),
        ("run", "parallel", "tpu", "config.run: parallel must be one of jit, fsdp, pmap"),
        ("run", "save_minutes", -1.0, "config.run: save_minutes must be at least 0"),
        ("run", "profile_steps", (3, 2), "config.run: profile_steps must be .first, last."),
        ("data", "split", "half", "config.data: split must be one of train, test, all, not 'half'"),
        ("data", "jitter", 2.0, "config.data: jitter must be from 0 to 1, not 2.0"),
        ("sampling", "temperature", 1.5, "config.sampling: temperature must be from 0 to 1, not 1.5"),
        ("sampling", "steps", 1001, "config.sampling: steps must be from 1 to 1000, not 1001"),
        ("sampling", "solver", "euler", "config.sampling: solver must be one of ddim, 2m, not 'euler'"),
    ],
)
def test_a_wrong_value_in_a_config_is_one_line(section, field, value, message):
    config = smoke.get_config()
    with config.ignore_type():
        config.update_from_flattened_dict({f"{section}.{field}": value})
    with pytest.raises(InputError, match=message) as error:
        settings.read(config)
    assert "\n" not in str(error.value)
