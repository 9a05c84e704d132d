"""The variants of Table 3 are trained in the same way, and differ only in what their names say."""

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from absl import flags

from facenhance_jax import settings
from facenhance_jax.diffusion import formulas
from facenhance_jax.training import experiment

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def ablate():
    """The program with its flags parsed; it can define them only once in a process."""
    specification = importlib.util.spec_from_file_location("ablate_program", ROOT / "launch/ablate.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules["ablate_program"] = module
    known = flags.FLAGS
    specification.loader.exec_module(module)
    known(["ablate", "--data=here", "--output=there", "--updates=70"])
    yield module
    del sys.modules["ablate_program"]
    for name in known.flags_by_module_dict().get("ablate_program", []):
        delattr(known, name.name)


def flat(config):
    return {(section, name): value for section, fields in config.to_dict().items() for name, value in fields.items()}


def test_variants_differ_only_in_what_their_names_say(ablate):
    full = flat(ablate.config_of("full", 20.0))
    assert full["model", "prediction"] == "velocity" and full["model", "target"] == "residual"
    assert full["model", "expression"] == "encoder" and full["model", "previous"] == "noisy"
    differing = {}
    for key in ablate.VARIANTS:
        other = flat(ablate.config_of(key, 20.0))
        assert other.keys() == full.keys()
        differing[key] = {name: value for name, value in other.items() if value != full[name]}
    assert differing == {
        "full": {},
        "without-e-exp": {("model", "expression"): "concat"},
        "without-previous": {("model", "previous"): "none"},
        "without-noise": {("model", "previous"): "clean"},
        "velocity-frame": {("model", "target"): "frame"},
        "x-prev-frame": {
            ("model", "prediction"): "x_prev",
            ("model", "target"): "frame",
            ("train", "loss_weighting"): "x_prev",
            ("sampling", "steps"): 50,
        },
        "placed-and-warped": {("model", name): value for name, value in ablate.WARPED.items()},
    }


def test_every_variant_can_be_built_and_sampled_with_its_steps(ablate):
    for key, variant in ablate.VARIANTS.items():
        config = ablate.config_of(key, 20.0)
        made = experiment.make(settings.read(config))
        for steps in variant.steps:
            made.settings.denoiser().plan(steps)
        assert (made.settings.run.steps, made.settings.run.validate_every) == (70, 0)


def test_the_shorter_schedule_ends_in_noise_as_the_papers_does(ablate):
    """cos(phi_T), the share of the signal that is left in x_T: less than a hundredth, as with 1000 timesteps."""
    short = formulas.linear_schedule(**ablate.config_of("full", 20.0).schedule)
    paper = formulas.linear_schedule(timesteps=1000, beta_start=1e-4, beta_end=0.02)
    assert short.timesteps == 50
    assert 0 < np.cos(short.phi[-1]) < 0.01 and 0 < np.cos(paper.phi[-1]) < 0.01


def test_the_table_has_every_baseline(ablate, monkeypatch, tmp_path):
    class Stop(Exception):
        pass

    def evaluation(folder, clips, scorer, made, **options):
        raise Stop([one.key for one in made])

    monkeypatch.setattr(ablate, "check_finished", lambda run: None)
    monkeypatch.setattr(ablate.Enhancer, "load", lambda path: None)
    monkeypatch.setattr(ablate.methods, "Enhanced", lambda model, **about: SimpleNamespace(**about))
    monkeypatch.setattr(ablate.scores, "Scorer", lambda *arguments: None)
    monkeypatch.setattr(ablate.evaluation, "Evaluation", evaluation)
    with pytest.raises(Stop) as stopped:
        ablate.evaluate(tmp_path)
    assert stopped.value.args[0][-4:] == ["placed-and-warped-8", "photo", "pasted", "upsampled"]
