"""A mix of data sets: exact shares, every set shuffled epoch by epoch, and all of it a function of (seed, sample)."""

from collections import Counter
from itertools import islice

import cv2
import jax
import numpy as np
import pytest
from small_run import assert_same

from configs import smoke
from facenhance_jax import settings
from facenhance_jax.data import arrays, pipeline, sources
from facenhance_jax.data.shuffling import BLOCK, Mix, endless
from facenhance_jax.messages import InputError
from facenhance_jax.training import experiment


def numbers(*lengths: int) -> list[list[dict]]:
    """Sets of records that say which they are."""
    return [[{"set": which, "number": number} for number in range(length)] for which, length in enumerate(lengths)]


def first(mix: Mix, count: int, seed: int = 3) -> list[tuple[int, int]]:
    record = endless(mix, seed)
    return [(found["set"], found["number"]) for found in map(record, range(count))]


def test_ten_thousand_samples_have_exactly_the_shares():
    seen = first(Mix(numbers(40, 300, 7), [0.2, 0.5, 0.3]), 10_000)
    assert Counter(which for which, _ in seen) == {0: 2000, 1: 5000, 2: 3000}
    halves = Counter(which for which, _ in seen[:BLOCK])
    assert halves == {0: 200, 1: 500, 2: 300}


@pytest.mark.parametrize(
    ("weights", "counts"), [([1, 1, 1], [334, 333, 333]), ([2, 1], [667, 333]), ([7, 0.0071], [999, 1])]
)
def test_shares_are_rounded_to_thousandths(weights, counts):
    assert Mix(numbers(*[2] * len(weights)), weights).counts.tolist() == counts


def test_each_set_is_shuffled_epoch_by_epoch():
    seen = first(Mix(numbers(20, 50), [0.5, 0.5]), 4000)
    for which, length in enumerate((20, 50)):
        own = [number for found, number in seen if found == which]
        epochs = [own[start : start + length] for start in range(0, len(own), length)]
        assert all(sorted(epoch) == list(range(length)) for epoch in epochs)
        assert len(set(map(tuple, epochs))) == len(epochs)
    both = first(Mix(numbers(20, 20), [0.5, 0.5]), 4000)  # sets of one length do not keep step
    assert [number for which, number in both if which == 0] != [number for which, number in both if which == 1]


def test_a_seed_decides_which_set_a_sample_is_from():
    mix = Mix(numbers(20, 50), [0.5, 0.5])
    assert first(mix, 3000) == first(mix, 3000)
    record = endless(mix, 3)
    backwards = [record(index) for index in reversed(range(3000))]  # no sample depends on those before it
    assert [(found["set"], found["number"]) for found in reversed(backwards)] == first(mix, 3000)
    sets = [[which for which, _ in first(mix, 2 * BLOCK, seed)] for seed in (3, 4)]
    assert sets[0] != sets[1] and sets[0][:BLOCK] != sets[0][BLOCK:]


@pytest.mark.parametrize(("lengths", "weights"), [((0, 4), (0.5, 0.5)), ((4, 4), (1, 5000))])
def test_a_set_that_would_never_be_seen_is_refused(lengths, weights):
    with pytest.raises(InputError, match="has no clips, or a share under 1/1000; leave it out"):
        Mix(numbers(*lengths), weights)


# Batches


def clip(red: int) -> dict:
    def image(size: int) -> bytes:
        return cv2.imencode(".png", np.full((size, size, 3), (0, 0, red), np.uint8))[1].tobytes()

    words = {"subject": f"{red}", "session": "", "expression": "anger", "take": "take000"}
    return {"high": [image(12)] * 3, "low": [image(6)] * 3, "identity": image(12), **words}


RED = {"few": [clip(10), clip(11)], "many": [clip(red) for red in range(100, 140)]}


@pytest.fixture
def config(monkeypatch):
    """A config of a mix of RED's two sets."""
    monkeypatch.setattr(sources, "records", lambda directory, split: RED[directory])
    config = smoke.get_config()
    config.data.directories = (("few", 0.25), ("many", 0.75))
    config.train.batch_size, config.train.seed, config.data.flip = 4, 3, False
    config.model.update(resolution=12, low_size=6, place_low=False, expression="concat")
    return config


def reds(found) -> list[int]:
    return [int(red) for batch in found for red in batch["high"][:, 0, 0, 0]]


def test_a_training_mixes_its_data_sets(config):
    seen = reds(islice(experiment.batches(settings.read(config)), 250))
    assert sum(red < 100 for red in seen) == 250 and set(seen) == {10, 11, *range(100, 140)}
    resumed = islice(experiment.batches(settings.read(config), 200), 50)
    assert reds(resumed) == seen[800:]


def test_processes_share_a_mix(config, monkeypatch):
    whole = reds(islice(experiment.batches(settings.read(config)), 20))
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    shares = []
    for process in range(2):
        monkeypatch.setattr(jax, "process_index", lambda process=process: process)
        shares.append(reds(islice(experiment.batches(settings.read(config)), 20)))
    assert [red for pair in zip(*shares, strict=True) for red in pair] == whole
    assert all(any(red < 100 for red in share) for share in shares)  # no process is left with one set


def test_validation_has_the_same_shares_every_time(config):
    config.data.split, config.run.validate_batches = "train", 250
    found, again = (experiment.validation_batches(settings.read(config)) for _ in range(2))
    assert_same(found, again)
    assert sum(red < 100 for red in reds(found)) == 250


def test_arrays_and_prepared_sets_mix(tmp_path):
    arrays.write(tmp_path / "few.npz", {"train": RED["few"]}, drawn=False)
    mixes = [Mix([few, RED["many"]], [1, 3]) for few in (arrays.source(tmp_path / "few.npz", "train"), RED["few"])]
    options = {"batch_size": 4, "seed": 3, "jitter": 0.5}
    assert_same(*(list(islice(pipeline.batches(mix, **options), 10)) for mix in mixes))


def test_a_data_set_that_does_not_fit_is_named(config, monkeypatch):
    config.model.resolution = 24
    with pytest.raises(InputError, match="^few: frames of 12 pixels, but config.model.resolution is 24"):
        experiment.batches(settings.read(config))
    config.model.resolution = 12
    placed = [found | {"place": "1 2 3"} for found in RED["few"]]
    monkeypatch.setitem(RED, "few", placed)
    with pytest.raises(InputError, match="^config.data.directories: only some of them say where faces are"):
        experiment.batches(settings.read(config))
    config.model.place_low = True
    with pytest.raises(InputError, match="^many: does not say where faces are"):
        experiment.batches(settings.read(config))


@pytest.mark.parametrize("wrong", [("few",), (("few", 0.5, 1),), (("few", "half"),), (("few", 0.0),), (("few", -1),)])
def test_pairs_of_directory_and_weight_are_asked_for(config, wrong):
    config.data.directories = wrong
    with pytest.raises(InputError, match="config.data: directories must"):
        settings.read(config)
