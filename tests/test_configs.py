"""Every config builds, with the right number of parameters, and an unknown variant is refused in one line."""

import importlib
import math
from pathlib import Path

import jax
import pytest

from configs import mug
from facenhance_jax import settings
from facenhance_jax.generators import released
from facenhance_jax.generators import settings as generators
from facenhance_jax.training import experiment

# Parameters of the paper's UNet, as in tests/network/test_unet.py, and of what is added to it.
UNET = 195_309_955
TOKENS = 2 * (512 + 1) * 2 * 512 + (512 + 1) * 2 * 512  # keys and values at level 4: once on the way down, twice up
E_EXP = 4_697_408
INPUT = 3 * 3 * 3 * 128  # one more or less image at the entrance


def parameters(config) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(released.params_of(config.to_dict())))


@pytest.mark.parametrize(
    ("variant", "count"),
    [
        ("", UNET + TOKENS + E_EXP),
        ("paper", UNET + TOKENS + E_EXP),
        ("no_expression", UNET + INPUT),
        ("no_previous", UNET + TOKENS + E_EXP - INPUT),
        ("no_noise", UNET + TOKENS + E_EXP),
        ("paper,no_expression", UNET + INPUT),
        ("fast", 57_013_296),
        ("hd512", UNET + TOKENS + E_EXP + 3 * 9 * (9 * 128) + 3 * 3 * (9 * 128 + 1)),
    ],
)
def test_the_variants_build_with_the_right_number_of_parameters(variant, count):
    config = mug.get_config(variant)
    assert parameters(config) == count
    assert experiment.make(settings.read(config)).settings.to_dict() == config.to_dict()


def test_the_variant_paper_has_the_papers_values():
    config = mug.get_config("paper")
    train = {"learning_rate": 2e-5, "batch_size": 4, "ema_decay": 0.9999, "loss_weighting": "x_prev", "decay": "none"}
    train |= {"warmup_steps": 0, "gradient_clip": 0.0, "accumulate": 1, "ema_warmup": False}
    assert {name: config.train[name] for name in train} == train
    model = {"prediction": "x_prev", "target": "frame", "previous": "noisy", "expression": "encoder"}
    assert {name: config.model[name] for name in model} == model
    assert config.model.unet.patch == 1
    assert config.sampling.to_dict() == {
        "steps": 1000,
        "solver": "ddim",
        "temperature": 1.0,
        "shared_noise": False,
        "corrections": 0,
    }
    assert config.schedule.to_dict() == {"timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02}
    assert config.run.steps == 400 * 20_000 // config.train.batch_size
    assert not (config.data.flip or config.data.jitter or config.data.degrade or config.data.any_previous)


@pytest.mark.parametrize("variant", ["no_expression", "no_previous", "no_noise"])
def test_an_ablation_changes_one_thing(variant):
    ours, whole = (mug.get_config(name).model.to_dict() for name in (variant, ""))
    assert len([name for name in whole if ours[name] != whole[name]]) == 1
    both = mug.get_config(f"paper,{variant}")
    assert both.train == mug.get_config("paper").train and both.model.prediction == "x_prev"


@pytest.mark.parametrize("variant", ["papre", "paper,"])
def test_an_unknown_variant_is_refused_in_one_line(variant):
    with pytest.raises(ValueError) as error:
        mug.get_config(variant)
    assert str(error.value) == (
        f"configs/mug.py has no variant {variant.split(',')[-1]!r}; "
        "it has: paper, no_expression, no_previous, no_noise, fast, hd512"
    )


@pytest.mark.parametrize("file", sorted(Path(mug.__file__).parent.glob("[a-z]*.py")), ids=lambda file: file.stem)
def test_every_config_builds_and_says_what_it_needs(file):
    module = importlib.import_module(f"configs.{file.stem}")
    config = module.get_config()
    read = generators.read if generators.is_generator(config) else settings.read
    assert parameters(config) > 0 and read(config).to_dict() == config.to_dict()
    for word in (f"python launch/train.py --config=configs/{file.name}", "memory", "steps"):
        assert word in module.__doc__, word
