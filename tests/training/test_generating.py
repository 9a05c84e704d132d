"""The generators' trainings: batches that can be resumed, exact resumption by the loop, and what each loss measures."""

import itertools
import signal

import face_sets
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_run import assert_same, logged, raising

from configs import imaginator, motiongan, renderer
from facenhance_jax.data import face_clips
from facenhance_jax.generators import curves, released, settings
from facenhance_jax.generators.renderer import mouth_of
from facenhance_jax.messages import InputError
from facenhance_jax.runs import checkpoints, run_folder
from facenhance_jax.training import face_batches, generating, loop

SMALL = {
    "model.labels": face_sets.LABELS,
    "train.batch_size": 8,
    "train.warmup_steps": 0,
    "run.log_every": 1,
    "run.validate_batches": 1,
    "run.save_minutes": 0.0,
}


@pytest.fixture
def data(tmp_path):
    return face_sets.write(tmp_path / "faces", train=16, test=8)


def small(module, data, **changes):
    config = module.get_config()
    values = SMALL | {"data.directories": ((str(data), 1.0),)}
    values |= {name.replace("__", "."): value for name, value in changes.items()}
    config.update_from_flattened_dict(values)
    return config


def motion_config(data, model__noise=4, **changes):
    return small(motiongan, data, model__width=8, model__noise=model__noise, **changes)


def experiment(config):
    return generating.make(settings.read(config))


SMALLEST = {
    motiongan: {"model__width": 8, "model__noise": 4},
    renderer: {"model__base": 4, "model__multipliers": (1,)},
}


@pytest.mark.parametrize("module", [motiongan, renderer])  # ImaGINator's passed too, but takes two minutes
def test_a_stopped_training_goes_on_to_the_same_bits(module, tmp_path, data, monkeypatch):
    short = dict(run__steps=4, run__sample_every=2, run__save_every=100, run__validate_every=4)
    config = small(module, data, **SMALLEST[module], **short)
    loop.train(experiment(config), tmp_path / "straight")
    with monkeypatch.context() as patch:
        patch.setattr(loop.Pictures, "draw", raising(lambda: signal.raise_signal(signal.SIGTERM)))
        loop.train(experiment(config), tmp_path / "stopped")
    assert checkpoints.steps(tmp_path / "stopped/checkpoints") == [2]
    loop.train(experiment(config), tmp_path / "stopped")
    abstract = jax.eval_shape(experiment(config).initial_state)
    states = [checkpoints.restore(tmp_path / name / "checkpoints", 4, abstract) for name in ("straight", "stopped")]
    assert_same(*states)
    losses = [
        [(line["step"], line.get("loss")) for line in logged(tmp_path / name)] for name in ("straight", "stopped")
    ]
    assert losses[0] == losses[1] and [step for step, _ in losses[0]] == [1, 2, 3, 4, 4]
    # The average is what a run gives to whoever loads it, and the statistics came with it.
    network, arrays = released.load(tmp_path / "straight")
    assert network.config.labels == face_sets.LABELS
    jax.tree.map(np.testing.assert_array_equal, arrays, states[0].ema)
    if module is motiongan:
        measured = generating.statistics(settings.read(config))["reference"]
        np.testing.assert_allclose(arrays["reference"], measured, rtol=1e-4)


def test_a_run_of_a_generator_keeps_its_config(tmp_path, data):
    config = motion_config(data)
    chosen = settings.read(config)
    assert chosen.to_dict() == config.to_dict()
    run_folder.write_config(tmp_path / "run", chosen)
    run_folder.check_config(tmp_path / "run", chosen, allow_change=False)
    other = settings.read(motion_config(data, model__noise=5))
    with pytest.raises(InputError, match="model.noise"):
        run_folder.check_config(tmp_path / "run", other, allow_change=True)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("model.kind", "videogan", "config.model.kind: 'videogan' is none of motiongan, renderer, imaginator"),
        ("model.frames", 30, "config.model: frames must be a multiple of 8, not 30"),
        ("train.critic_updates", 0, "config.train: critic_updates must be at least 1, not 0"),
        ("train.penalty_weight", -1.0, "config.train: penalty_weight must be at least 0"),
        ("data.directories", (), "config.data: directories must name one or more data sets"),
    ],
)
def test_a_wrong_value_is_one_line(field, value, message):
    values = motiongan.get_config().to_dict()
    section, name = field.split(".")
    values[section][name] = value
    with pytest.raises(InputError) as error:
        settings.read(values)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


@pytest.mark.parametrize(("module", "kind"), [(motiongan, "motion"), (renderer, "frame"), (imaginator, "clip")])
def test_batches_are_a_function_of_seed_and_step(module, kind, data):
    made = experiment(small(module, data))
    straight, later = list(itertools.islice(made.batches(0), 4)), next(made.batches(3))
    assert straight[3].keys() == later.keys() and len(later["label"]) == 8
    for name, value in later.items():
        np.testing.assert_array_equal(value, straight[3][name], strict=True)
    assert any(np.any(value != straight[2][name]) for name, value in later.items())


def test_a_mirrored_record_is_the_record_of_the_mirrored_face(data):
    record = face_clips.source(data, "train", 32)[0]
    mirror = face_batches.mirrored(record)
    np.testing.assert_allclose(mirror["landmarks"][:, 8], record["landmarks"][:, 8] * [-1, 1] + [63, 0], atol=1e-4)
    np.testing.assert_allclose(mirror["landmarks"][:, 36], record["landmarks"][:, 45] * [-1, 1] + [63, 0], atol=1e-4)
    own = face_clips.masked(mirror["photo"], mirror["photo_landmarks"])
    assert np.mean(own != face_clips.masked(record["photo"], record["photo_landmarks"])[:, ::-1]) < 0.02
    twice = face_batches.mirrored(mirror)
    np.testing.assert_allclose(twice["landmarks"], record["landmarks"], atol=1e-4)
    np.testing.assert_array_equal(twice["low"], record["low"])


def test_what_a_training_cannot_use_is_one_line(data):
    made = experiment(motion_config(data, model__labels=("anger", "surprise")))
    with pytest.raises(InputError, match="the expression 'fear' is none of config.model.labels"):
        list(itertools.islice(made.batches(0), 3))
    made = experiment(motion_config(data, data__validation_split="train"))
    with pytest.raises(InputError, match="config.data.validation_split: 'train' is not held out"):
        made.validation_batches()


def test_the_statistics_are_those_of_the_training_clips(data):
    config = motion_config(data)
    found = generating.statistics(settings.read(config))
    records = list(face_clips.source(data, "train", 32))
    landmarks = jnp.asarray(np.stack([record["landmarks"] for record in records]))
    q, length = curves.to_sphere(curves.normalised(landmarks))
    np.testing.assert_allclose(found["reference"], curves.mean_of(np.asarray(q)), atol=1e-6)
    for number, expression in enumerate(face_sets.LABELS):
        own = np.array([record["expression"] == expression for record in records])
        np.testing.assert_allclose(found["mean_log_length"][number], np.log(length)[own].mean(), rtol=1e-4)
        np.testing.assert_allclose(found["std_log_length"][number], np.log(length)[own].std(), rtol=1e-3)


def test_the_renderers_loss_is_that_of_a_known_frame(data):
    """A fresh renderer shows the moved photo through its gate; where nothing moves the error is known."""
    config = small(renderer, data, model__base=8, model__multipliers=(1,), train__detail_weight=0.0)
    config.train.mouth_weight = 2.5
    made = experiment(config)
    batch = next(made.batches(0))
    still = np.stack([batch["points"][:, 0]] * 2, axis=1)
    batch |= {"points": still, "high": batch["photo"], "mask": np.ones_like(batch["mask"])}
    batch = {name: jnp.asarray(value) for name, value in batch.items()}
    mouth = np.asarray(mouth_of(batch["points"][:, 1]), np.float64)[..., None]
    assert 4 < mouth.sum() / len(mouth) < 200
    gate = 1 / (1 + np.exp(-3.0 * (1 - 2 * mouth)))
    away = (1 - gate) * np.abs(np.asarray(batch["photo"], np.float64) / 127.5 - 1)
    expected = ((1 + 2.5 * mouth) * away).mean()
    loss = made.loss(made.initial_state().params, batch, jax.random.key(0))[0]
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
