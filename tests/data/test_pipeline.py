"""Batches of records: the right frames together, and the same batches after a restart."""

from copy import deepcopy
from hashlib import sha256
from itertools import islice

import cv2
import jax
import numpy as np
import pytest
from small_run import assert_same

from configs import demo, mug, smoke
from facenhance_jax import settings
from facenhance_jax.data import clip_dataset, pipeline
from facenhance_jax.data.pipeline import DROPPED, batches, draw, render, residual_scale
from facenhance_jax.messages import InputError
from facenhance_jax.training import experiment

CLIPS, FRAMES = 5, 4
PHOTO, LOW = 200, 100  # marks of the photo and of low-res frames in the green channel


def image(clip: int, mark: int, size: int) -> bytes:
    """A PNG whose pixels encode the clip (red), the frame or PHOTO (green), and the column (blue)."""
    rgb = np.zeros((size, size, 3), np.uint8)
    rgb[..., 0], rgb[..., 1], rgb[..., 2] = clip, mark, np.arange(size)
    return cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()


def record(clip: int) -> dict:
    return {
        "high": [image(clip, n, 12) for n in range(FRAMES)],
        "low": [image(clip, n + LOW, 6) for n in range(FRAMES)],
        "identity": image(clip, PHOTO, 12),
        "subject": f"{clip:03d}",
        "session": "session0",
        "expression": "anger",
        "take": "take000",
    }


SOURCE = [record(clip) for clip in range(CLIPS)]


def take(count: int, source: list[dict] = SOURCE, **options) -> list[dict[str, np.ndarray]]:
    settings = {"batch_size": 4, "seed": 3, "threads": 2} | options
    return list(islice(batches(source, **settings), count))


def labels(batch: dict[str, np.ndarray], name: str) -> list[tuple[int, int]]:
    """(clip, frame) of each example."""
    return [(int(red), int(green)) for red, green in batch[name][:, 0, 0, :2]]


def one(record: dict, rng: np.random.Generator, **options) -> dict[str, np.ndarray]:
    """A batch of one example, mirrored or not."""
    return render([draw(record, rng, **{"flip": False, "any_previous": False} | options)])


def test_the_four_images_of_an_example_belong_together():
    for batch in take(20):
        assert {name: (images.shape, images.dtype.name) for name, images in batch.items()} == {
            "high": ((4, 12, 12, 3), "uint8"),
            "previous": ((4, 12, 12, 3), "uint8"),
            "identity": ((4, 12, 12, 3), "uint8"),
            "low": ((4, 6, 6, 3), "uint8"),
        }
        for (clip, n), *others in zip(
            *(labels(batch, name) for name in ("high", "previous", "identity", "low")), strict=True
        ):
            assert others == [(clip, n - 1 if n else PHOTO), (clip, PHOTO), (clip, n + LOW)]


def test_every_clip_once_an_epoch_in_another_order_and_every_frame_in_time():
    seen = [label for batch in take(25, batch_size=CLIPS) for label in labels(batch, "high")]
    epochs = [[clip for clip, _ in seen[start : start + CLIPS]] for start in range(0, len(seen), CLIPS)]
    assert all(sorted(epoch) == list(range(CLIPS)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 10
    assert set(seen) == {(clip, n) for clip in range(CLIPS) for n in range(FRAMES)}


def test_one_flip_for_all_four_images():
    flipped = []
    for batch in take(25):
        ways = {name: images[:, 0, 0, 2] > images[:, 0, -1, 2] for name, images in batch.items()}
        for name in ("previous", "identity", "low"):
            np.testing.assert_array_equal(ways[name], ways["high"])
        flipped.extend(ways["high"])
    assert 30 < sum(flipped) < 70  # of 100
    assert not any((batch["low"][:, 0, 0, 2] > batch["low"][:, 0, -1, 2]).any() for batch in take(25, flip=False))


@pytest.mark.parametrize("step", [1, 4, 7])
def test_a_resumed_run_gets_the_same_batches(step):
    assert_same(take(9 - step, start_step=step), take(9)[step:])


def test_a_seed_decides_everything_with_any_number_of_threads():
    assert_same(take(6), take(6, threads=5))
    assert any((a["high"] != b["high"]).any() for a, b in zip(take(6), take(6, seed=4), strict=True))


def test_processes_share_the_examples():
    whole = [label for batch in take(6, batch_size=4) for label in labels(batch, "high")]
    halves = [
        [label for batch in take(6, batch_size=2, process=process, processes=2) for label in labels(batch, "high")]
        for process in (0, 1)
    ]
    assert [label for pair in zip(*halves, strict=True) for label in pair] == whole


def test_only_the_frames_needed_are_decoded():
    spoiled = record(0) | {"high": [b"broken", *record(0)["high"][1:3], b"broken"]}
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(40):
        n = int(deepcopy(rng).integers(FRAMES))  # the frame that `draw` is about to choose
        try:
            one(spoiled, rng)
            outcomes.add((n, "made"))
        except InputError as error:
            assert str(error).startswith("record 000/session0/anger/take000, high: not a readable image")
            outcomes.add((n, "broken"))
    assert outcomes == {(0, "broken"), (1, "broken"), (2, "made"), (3, "broken")}


def test_no_clips_is_an_error():
    with pytest.raises(InputError, match="data: no clips"):
        batches([], batch_size=2, seed=0)


def test_the_residual_scale_is_one_over_the_rms_difference_to_the_photo():
    """Green differs by n - PHOTO; red and blue do not differ."""
    expected = 1 / np.sqrt(np.mean([((n - PHOTO) / 127.5) ** 2 / 3 for n in range(FRAMES)]))
    np.testing.assert_allclose(residual_scale(SOURCE), expected, rtol=1e-6)
    np.testing.assert_allclose(residual_scale(SOURCE, clips=2), expected, rtol=1e-6)


def test_clips_that_never_leave_the_photo_have_no_residual_scale():
    still = SOURCE[0] | {"high": [SOURCE[0]["identity"]]}
    assert residual_scale([still]) == float("inf")


def test_any_previous_is_any_frame_or_the_photo_for_every_frame():
    rng = np.random.default_rng(0)
    seen = {frame: set() for frame in range(FRAMES)}
    for _ in range(400):
        made = one(SOURCE[0], rng, any_previous=True)
        seen[labels(made, "high")[0][1]].add(labels(made, "previous")[0][1])
    assert all(previous == {*range(FRAMES), PHOTO} for previous in seen.values())


@pytest.mark.parametrize(
    ("options", "known"),
    [
        ({}, "69b1ad4178f81f8ef2858a7a1fa7b7fdd0ac1a3189a0299ef05b0a7504fe239c"),
        ({"any_previous": True}, "7ca3200d94f57e87195a7400f67c1d8fac42aa6e557b4d6ba9394c7139364b62"),
        ({"flip": False, "start_step": 3}, "50910562efc3b544742e2328833138266af3e7164bea716d350652250a59db4e"),
    ],
)
def test_runs_of_the_first_release_go_on_with_the_batches_they_would_have_had(options, known):
    """Hashes of twelve batches, made by the code before there was augmentation."""
    digest = sha256()
    for batch in take(12, **options):
        for name in sorted(batch):
            digest.update(name.encode() + batch[name].tobytes())
    assert digest.hexdigest() == known


def test_degrading_changes_the_low_frames_and_nothing_else():
    plain, degraded = take(6), take(6, degrade=1.0)
    assert any((a["low"] != b["low"]).any() for a, b in zip(plain, degraded, strict=True))
    for a, b in zip(plain, degraded, strict=True):
        assert b.pop("clean_low").shape == b.pop("warped_low").shape == b.pop("low").shape
        del a["low"]
    assert_same(plain, degraded)


def test_a_batch_has_the_low_frames_before_their_faults():
    plain, degraded = take(6, jitter=0.5), take(6, jitter=0.5, degrade=0.2)
    assert all(not {"clean_low", "warped_low"} & batch.keys() for batch in plain)
    whole = [n for n, (a, b) in enumerate(zip(plain, degraded, strict=True)) if (a["low"] == b["clean_low"]).all()]
    assert len(whole) > 3  # but for dropped frames
    changed = {name: [(b[name] != b["clean_low"]).any() for b in degraded] for name in ("low", "warped_low")}
    assert 0 < sum(changed["warped_low"]) < sum(changed["low"])  # there are other faults than warps


def test_jitter_changes_all_four_images():
    for a, b in zip(take(3), take(3, jitter=1.0), strict=True):
        assert [name for name in a if (a[name] == b[name]).all()] == []


def test_the_same_augmented_batches_with_any_number_of_threads_and_after_a_stop():
    options = {"batch_size": 2, "jitter": 0.5, "degrade": 1.0}
    with_place = [clip | {"place": f"{n}.25 2 3.5"} for n, clip in enumerate(SOURCE)]
    whole = take(7, source=with_place, **options)
    assert whole[0]["place"].dtype == np.float32
    assert_same(take(4, source=with_place, start_step=3, **options), whole[3:])
    assert_same(take(7, source=with_place, threads=5, **options), whole)


def test_a_dropped_frame_is_the_one_before_or_after():
    rng = np.random.default_rng(0)
    seen = {frame: set() for frame in range(FRAMES)}
    for _ in range(100):
        made = one(SOURCE[2], rng, augmented=True, drop=1.0)
        (clip, frame), (low_clip, low) = labels(made, "high")[0], labels(made, "low")[0]
        assert clip == low_clip == 2
        seen[frame].add(low - LOW)
    assert seen == {0: {1}, 1: {0, 2}, 2: {1, 3}, 3: {2}}


def test_a_clip_of_one_frame_keeps_it():
    single = SOURCE[0] | {"high": SOURCE[0]["high"][:1], "low": SOURCE[0]["low"][:1]}
    made = one(single, np.random.default_rng(0), augmented=True, drop=1.0)
    assert labels(made, "low") == [(0, LOW)]


def test_frames_are_dropped_with_the_probability_asked_for(monkeypatch):
    rng = np.random.default_rng(0)
    drawn = [draw(SOURCE[0], rng, flip=False, any_previous=False, augmented=True, drop=0.1) for _ in range(2000)]
    frames = [(SOURCE[0]["high"].index(d.images["high"][1]), SOURCE[0]["low"].index(d.images["low"][1])) for d in drawn]
    share = np.mean([high != low for high, low in frames])
    np.testing.assert_allclose(share, 0.1, atol=0.02)  # 3 standard deviations
    asked = []
    monkeypatch.setattr(pipeline, "draw", lambda *_, drop, **__: asked.append(drop) or drawn[0])
    take(1, degrade=0.5)
    assert set(asked) == {0.5 * DROPPED}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"jitter": 1.5}, "jitter must be .* not 1.5"),
        ({"degrade": -0.1}, "degrade .* not -0.1"),
    ],
)
def test_an_option_out_of_range_is_an_error(options, message):
    with pytest.raises(InputError, match=message):
        take(1, **options)


def test_images_of_another_size_are_an_error_that_names_the_record():
    odd = record(1) | {"identity": image(1, PHOTO, 10)}
    rng = np.random.default_rng(0)
    draws = [draw(each, rng, flip=False, any_previous=False) for each in (record(0), odd)]
    with pytest.raises(InputError, match="record 001/session0/anger/take000, .*: is 10x10, others 12x12"):
        render(draws)


@pytest.fixture
def config(monkeypatch):
    """A config whose data set is SOURCE."""
    monkeypatch.setattr(clip_dataset, "source", lambda directory, split: SOURCE)
    config = smoke.get_config()
    config.train.batch_size, config.train.seed = 4, 3
    config.model.update(resolution=12, low_size=6, place_low=False, expression="concat")
    return config


def test_a_config_says_what_the_batches_are(config):
    config.data.update(flip=False, any_previous=True, jitter=0.2, degrade=0.7)
    expected = take(5, flip=False, any_previous=True, jitter=0.2, degrade=0.7)
    assert_same(list(islice(experiment.batches(settings.read(config), 2), 3)), expected[2:])


def test_every_process_takes_its_share_of_the_configs_batch(config, monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    shares = []
    for process in range(2):
        monkeypatch.setattr(jax, "process_index", lambda process=process: process)
        shares.append(list(islice(experiment.batches(settings.read(config)), 3)))
    whole = take(3, any_previous=True)
    for batch, *parts in zip(whole, *shares, strict=True):
        for name, images in batch.items():
            np.testing.assert_array_equal(
                np.stack([part[name] for part in parts], axis=1).reshape(images.shape), images
            )
    config.train.batch_size = 5
    with pytest.raises(InputError, match="config.train.batch_size: 5 examples do not split over 2 processes"):
        experiment.batches(settings.read(config))


def test_the_released_models_config_and_the_papers_change_no_image():
    for config in (demo.get_config(), mug.get_config("paper")):
        assert (config.data.jitter, config.data.degrade) == (0.0, 0.0)


def test_the_place_goes_along_with_mirroring_and_jitter():
    with_place = [record(clip) | {"place": "2.000 3.000 4.000 5.000"} for clip in range(CLIPS)]
    options = {"batch_size": 4, "seed": 3, "threads": 2}
    for batch in islice(batches(with_place, **options), 6):
        for image, place in zip(batch["identity"], batch["place"], strict=True):
            mirrored = image[0, 0, 2] > image[0, -1, 2]
            assert place.tolist() == ([6, 3, 4, -5] if mirrored else [2, 3, 4, 5])
    spread = np.concatenate([batch["place"] for batch in islice(batches(with_place, **options, jitter=1.0), 6)])
    assert spread.dtype == np.float32 and 0.2 < np.ptp(spread[:, 2]) < 0.7  # the side: 8 % either way at most
    assert 15 < np.ptp(spread[:, 3]) <= 26  # -5 or 5, turned by up to 8 degrees either way


def test_a_data_set_that_does_not_fit_the_config_is_refused(config):
    config.model.place_low = True
    with pytest.raises(
        InputError, match="does not say where faces are, as config.model.place_low asks; prepare it again"
    ):
        experiment.batches(settings.read(config))
    config.model.resolution = 24
    with pytest.raises(InputError, match="frames of 12 pixels, but config.model.resolution is 24; make them equal"):
        experiment.batches(settings.read(config))
