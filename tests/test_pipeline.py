"""Batches out of records: the right frames together, the same again after a stop."""

from copy import deepcopy
from itertools import islice

import cv2
import numpy as np
import pytest

from facenhance_jax.data.pipeline import batches, example, residual_scale
from facenhance_jax.errors import InputError

CLIPS, FRAMES = 5, 4
PHOTO, LOW = 200, 100  # what tells the images of a record apart


def image(clip: int, mark: int, size: int) -> bytes:
    """A PNG whose pixels tell the clip (red), the frame or PHOTO (green), and the column (blue)."""
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


def take(count: int, **options) -> list[dict[str, np.ndarray]]:
    settings = {"batch_size": 4, "seed": 3, "threads": 2} | options
    return list(islice(batches(SOURCE, **settings), count))


def assert_same(left: list[dict[str, np.ndarray]], right: list[dict[str, np.ndarray]]) -> None:
    for a, b in zip(left, right, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


def labels(batch: dict[str, np.ndarray], name: str) -> list[tuple[int, int]]:
    """(clip, frame) of each example."""
    return [(int(red), int(green)) for red, green in batch[name][:, 0, 0, :2]]


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
def test_a_resumed_run_sees_what_it_would_have_seen(step):
    assert_same(take(9 - step, start_step=step), take(9)[step:])


def test_a_seed_decides_everything_whatever_the_threads():
    assert_same(take(6), take(6, threads=5))
    assert any((a["high"] != b["high"]).any() for a, b in zip(take(6), take(6, seed=4), strict=True))


def test_processes_share_the_examples_out():
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
        n = int(deepcopy(rng).integers(FRAMES))  # the frame that `example` is about to draw
        try:
            example(spoiled, rng, flip=False, any_previous=False)
            outcomes.add((n, "made"))
        except InputError as error:
            assert str(error).startswith("record 000/anger/take000, high: not a readable image")
            outcomes.add((n, "broken"))
    assert outcomes == {(0, "broken"), (1, "broken"), (2, "made"), (3, "broken")}


def test_no_clips_is_an_error():
    with pytest.raises(InputError, match="data: no clips"):
        batches([], batch_size=2, seed=0)


def test_the_residual_scale_is_one_over_the_rms_difference_to_the_photo():
    """Green differs by n - PHOTO in one channel of three, red and blue not at all."""
    expected = 1 / np.sqrt(np.mean([((n - PHOTO) / 127.5) ** 2 / 3 for n in range(FRAMES)]))
    np.testing.assert_allclose(residual_scale(SOURCE), expected, rtol=1e-6)
    np.testing.assert_allclose(residual_scale(SOURCE, clips=2), expected, rtol=1e-6)


def test_clips_that_never_leave_the_photo_have_no_residual_scale():
    still = SOURCE[0] | {"high": [SOURCE[0]["identity"]]}
    assert residual_scale([still]) == float("inf")


def test_any_previous_is_any_frame_or_the_photo_whatever_the_frame():
    rng = np.random.default_rng(0)
    seen = {frame: set() for frame in range(FRAMES)}
    for _ in range(400):
        made = example(SOURCE[0], rng, flip=False, any_previous=True)
        seen[int(made["high"][0, 0, 1])].add(int(made["previous"][0, 0, 1]))
    assert all(previous == {*range(FRAMES), PHOTO} for previous in seen.values())
