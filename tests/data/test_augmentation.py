"""What jitter and degradations do to known images: nothing at strength 0, and never more than their constants."""

import cv2
import numpy as np
import pytest

from facenhance_jax.data import augmentation
from facenhance_jax.data.augmentation import blur, compress, degrade, jitter, misplace, noise, warp
from facenhance_jax.faces import placement

BIG, SMALL = ("high", "previous", "identity"), 64
SEEDS = range(12)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def smooth(size: int, seed: int = 0) -> np.ndarray:
    """Random colours with no fine detail, none of them black."""
    colours = rng(seed).integers(40, 256, (6, 6, 3), dtype=np.uint8)
    return cv2.resize(colours, (size, size), interpolation=cv2.INTER_LINEAR)


def face() -> np.ndarray:
    """A disc of colours on black."""
    return smooth(SMALL) * cv2.circle(np.zeros((SMALL, SMALL), np.uint8), (32, 32), 20, 1, -1)[..., None]


def images() -> dict[str, np.ndarray]:
    return {name: smooth(192, seed) for seed, name in enumerate(BIG)} | {"low": face()}


def same(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> bool:
    return left.keys() == right.keys() and all((left[name] == right[name]).all() for name in left)


# ---- jitter ----------------------------------------------------------------------------------------------------------


def test_strength_0_changes_no_bit_and_draws_nothing():
    before, generator = images(), rng()
    assert same(jitter(before, generator, 0.0), before)
    assert all(image is before["low"] for image in degrade(before["low"], generator, 0.0))
    assert generator.random() == rng().random()


def test_the_generator_decides_and_the_inputs_are_left_alone():
    before = images()
    assert same(jitter(before, rng(1), 1.0), jitter(before, rng(1), 1.0))
    assert not same(jitter(before, rng(1), 1.0), jitter(before, rng(2), 1.0))
    low = before["low"]
    assert (degrade(low, rng(1), 1.0).low == degrade(low, rng(1), 1.0).low).all()
    assert any((degrade(low, rng(1), 1.0).low != degrade(low, rng(seed), 1.0).low).any() for seed in SEEDS)
    assert same(before, images())


@pytest.mark.parametrize("seed", SEEDS)
def test_one_colour_map_for_all_four_images(seed):
    """Images of a single colour have no geometry: the colour in the middle is what the colour map makes of it."""
    colour = rng(seed).integers(0, 256, 3, dtype=np.uint8)
    plain = {
        name: np.broadcast_to(colour, (size, size, 3)).copy()
        for name, size in zip((*BIG, "low"), (48,) * 3 + (16,), strict=True)
    }
    made = jitter(plain, rng(seed), 1.0)
    assert all((image == made["low"][0, 0]).all() for image in made.values())
    assert (made["low"][0, 0] != colour).any()


@pytest.mark.parametrize("seed", SEEDS)
def test_one_motion_for_the_three_big_images_and_none_for_the_low_one(seed):
    """The same picture under all names stays the same under all; a low frame only changes its colours."""
    picture, low = smooth(192), smooth(SMALL)
    made = jitter(dict.fromkeys(BIG, picture) | {"low": low}, rng(seed), 1.0)
    assert all((made[name] == made["high"]).all() for name in BIG)
    alone = jitter({"low": low}, rng(seed), 1.0)
    assert (made["low"] == alone["low"]).all()


def test_motions_stay_within_the_constants_and_come_in_half_of_the_cases(monkeypatch):
    """Measured on pictures of a dot in the centre and one to its right, without changes of colour."""
    for name in ("BRIGHTNESS", "CONTRAST", "SATURATION"):
        monkeypatch.setattr(augmentation, name, 0.0)
    dots = {"centre": np.zeros((193, 193, 3), np.uint8), "right": np.zeros((193, 193, 3), np.uint8)}
    cv2.circle(dots["centre"], (96, 96), 3, (255, 255, 255), -1)
    cv2.circle(dots["right"], (146, 96), 3, (255, 255, 255), -1)
    found = []
    for seed in range(400):
        made = jitter(dots, rng(seed), 0.5)
        if same(made, dots):
            continue
        centre, right = (centroid(made[name]) for name in ("centre", "right"))
        arm = (right - centre) @ [1, 1j] / 50
        found.append([*np.abs(centre - 96), abs(np.degrees(np.angle(arm))), abs(abs(arm) - 1)])
    assert 160 < len(found) < 240
    most = np.array([0.02 * 193, 0.02 * 193, 4.0, 0.04])  # half of the constants, for strength 0.5
    assert (np.max(found, axis=0) <= most + [0.05, 0.05, 0.1, 0.002]).all()
    assert (np.max(found, axis=0) > 0.9 * most).all()


def centroid(image: np.ndarray) -> np.ndarray:
    """(x, y) of the centroid of an image's brightness."""
    weights = image[..., 0].astype(float)
    y, x = np.indices(weights.shape)
    return np.array([(weights * x).sum(), (weights * y).sum()]) / weights.sum()


def test_black_and_white_stay_and_mid_grey_changes_by_the_constant(monkeypatch):
    low = np.repeat(np.array([0, 128, 255], np.uint8), 3).reshape(1, 3, 3)
    made = np.concatenate([jitter({"low": low}, rng(seed), 1.0)["low"] for seed in range(300)])
    assert (made[:, 0] == 0).all() and (made[:, 2] == 255).all()
    monkeypatch.setattr(augmentation, "CONTRAST", 0.0)
    greys = np.concatenate([jitter({"low": low}, rng(seed), 1.0)["low"] for seed in range(300)])[:, 1]
    assert (greys[:, 0] == greys[:, 1]).all() and (greys[:, 0] == greys[:, 2]).all()  # saturation keeps greys
    assert 102 <= greys.min() <= 104 and 149 <= greys.max() <= 151


def test_contrast_and_saturation_change_by_the_constants(monkeypatch):
    monkeypatch.setattr(augmentation, "BRIGHTNESS", 0.0)
    near = np.array([[[98] * 3, [158] * 3]], np.uint8)
    slopes = [np.ptp(jitter({"low": near}, rng(seed), 1.0)["low"][..., 0].astype(int)) / 60 for seed in range(300)]
    # 1 -+ 0.15 in the very middle, 0.14 over 60 levels
    assert 0.845 <= min(slopes) < 0.88 and 1.12 < max(slopes) <= 1.155
    monkeypatch.setattr(augmentation, "CONTRAST", 0.0)
    colour = np.array([[[150, 100, 120]]], np.uint8)
    grey = 0.299 * 150 + 0.587 * 100 + 0.114 * 120
    reds = [(jitter({"low": colour}, rng(seed), 1.0)["low"][0, 0, 0] - grey) / (150 - grey) for seed in range(300)]
    assert 0.68 <= min(reds) < 0.75 and 1.25 < max(reds) <= 1.32


def test_black_stays_black_in_the_low_frame():
    low = face()
    for seed in SEEDS:
        made = jitter({"low": low}, rng(seed), 1.0)["low"]
        assert not made[(low == 0).all(axis=-1)].any()


# ---- degradations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.5, 1.0, augmentation.BLUR])
def test_a_blurred_impulse_is_a_gaussian(sigma):
    impulse = np.zeros((31, 31, 3), np.uint8)
    impulse[15, 15] = 255
    y, x = np.indices((31, 31)) - 15
    gaussian = np.exp(-(x**2 + y**2) / (2 * sigma**2))
    expected = np.repeat((255 * gaussian / gaussian.sum())[..., None], 3, axis=-1)
    np.testing.assert_allclose(blur(impulse, sigma), expected, atol=1.5)  # grey levels


@pytest.mark.parametrize("std", [2.0, augmentation.NOISE])
def test_noise_has_the_standard_deviation_asked_for_and_leaves_black_alone(std):
    image = np.full((SMALL, SMALL, 3), 128, np.uint8)
    image[:8] = 0
    added = noise(image, rng(), std)[8:].astype(float) - 128
    np.testing.assert_allclose(added.std(), np.sqrt(std**2 + 1 / 12), rtol=0.03)  # rounding adds 1/12
    np.testing.assert_allclose(added.mean(), 0, atol=0.3)
    assert abs(np.corrcoef(added[..., 0].ravel(), added[..., 1].ravel())[0, 1]) < 0.06
    assert not noise(image, rng(), std)[:8].any()


def test_noise_stays_within_0_and_255():
    """An overflow would turn bright pixels dark."""
    assert noise(np.full((32, 32, 3), 254, np.uint8), rng(), 8.0).min() > 200
    assert noise(np.full((32, 32, 3), 1, np.uint8), rng(), 8.0).max() < 60


@pytest.mark.parametrize("seed", SEEDS)
def test_a_warp_moves_no_point_farther_than_asked(seed):
    """In a gradient along x or y, the grey level says where a pixel came from."""
    slope = np.repeat(np.arange(SMALL, dtype=np.uint8)[None, :, None] * 3, SMALL, axis=0).repeat(3, axis=-1)
    inner = slice(3, -3)  # the borders become black
    for turned in (slope, slope.transpose(1, 0, 2).copy()):
        moved = (warp(turned, rng(seed), augmentation.WARP).astype(float) - turned)[inner, inner, 0] / 3
        assert 0.2 < np.abs(moved).max() <= augmentation.WARP + 0.2
        steps = np.abs(np.diff(moved, axis=0)).max(), np.abs(np.diff(moved, axis=1)).max()
        assert max(steps) < 0.5  # between neighbouring pixels: the warp is smooth, up to a rounding of 1/3


def test_a_warp_of_nothing_changes_nothing():
    assert (warp(face(), rng(), 0.0) == face()).all()


def test_jpeg_changes_more_at_lower_quality_and_bleeds_at_most_15_pixels():
    low = face()
    errors = [
        np.abs(compress(low, quality).astype(int) - low).mean() for quality in (100, 80, augmentation.LOWEST_QUALITY)
    ]
    assert 0 < errors[0] < errors[1] < errors[2] < 10
    touched = compress(low, augmentation.LOWEST_QUALITY).any(axis=-1)
    near = cv2.dilate(low.any(axis=-1).astype(np.uint8), np.ones((31, 31), np.uint8)).astype(bool)  # 15 px around
    assert touched[~low.any(axis=-1)].any() and not touched[~near].any()
    colours = np.abs(compress(low, 95).astype(int) - low).reshape(-1, 3).mean(axis=0)
    assert colours.max() < 3  # red and blue are not swapped


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_each_fault_comes_in_a_sixth_of_the_frames_and_up_to_the_constants(monkeypatch, strength):
    asked = {"warp": [], "blur": [], "noise": [], "compress": []}
    for name, sizes in asked.items():
        monkeypatch.setattr(augmentation, name, lambda image, *rest, sizes=sizes: sizes.append(rest[-1]) or image)
    for seed in range(1600):
        degrade(face(), rng(seed), strength)
    assert all(210 < len(sizes) < 330 for sizes in asked.values())
    for name, most in (("warp", 1.5), ("blur", 1.5), ("noise", 8.0)):
        assert 0.95 * strength * most < max(asked[name]) <= strength * most
        assert 0 <= min(asked[name]) < 0.2 * most and 0.6 < np.mean(asked[name]) / (strength * most) < 0.73
    assert 100 - 70 * strength <= min(asked["compress"]) <= 104 - 70 * strength
    assert 86 <= max(asked["compress"]) <= 100


def test_a_frame_without_jpeg_stays_black_outside_the_face(monkeypatch):
    """Warp and blur move the edge: by 1.5 px, and by 3.5 sigma of 1.5 px."""
    monkeypatch.setattr(augmentation, "compress", lambda image, quality: image)
    far = ~cv2.dilate(face().any(axis=-1).astype(np.uint8), np.ones((15, 15), np.uint8)).astype(bool)
    for seed in SEEDS:
        assert not degrade(face(), rng(seed), 1.0).low[far].any()


def test_the_warp_alone_is_kept(monkeypatch):
    """Without the other faults, both frames are the warped one."""
    mixed = [degrade(face(), rng(seed), 1.0) for seed in range(60)]
    for name in ("blur", "noise", "compress"):
        monkeypatch.setattr(augmentation, name, lambda image, *rest: image)
    alone = [degrade(face(), rng(seed), 1.0) for seed in range(60)]
    assert all((made.low == made.warped).all() for made in alone)
    # The noise and the quality of JPEG are drawn after the warp, so both runs warp alike.
    assert all((made.warped == only.warped).all() for made, only in zip(mixed, alone, strict=True))
    warped = sum((made.warped != face()).any() for made in mixed)
    assert 3 < warped < 20 < sum((made.low != face()).any() for made in mixed)


def test_the_place_moves_with_the_image():
    """A turned white square at `place` in a black frame: in every jittered frame, `place` still covers the square."""
    place = np.array([50, 60, 60, 20], np.float32)

    def drawn(place):
        corners = np.array([[-0.5, -0.5], [63.5, -0.5], [63.5, 63.5], [-0.5, 63.5]])
        to_photo = placement.matrix(place)
        corners = np.rint(16 * (corners @ to_photo[:, :2].T + to_photo[:, 2])).astype(np.int32)
        canvas = np.zeros((192, 192, 3), np.uint8)
        return cv2.fillConvexPoly(canvas, corners, (255, 255, 255), cv2.LINE_AA, 4)

    turned = []
    for seed in range(20):
        made = jitter(dict.fromkeys(BIG, drawn(place)) | {"place": place}, rng(seed), 1.0)
        seen, expected = made["high"][..., 0] > 100, drawn(made["place"])[..., 0] > 100
        assert (seen != expected).sum() < 100  # of 3600, mostly on the 240 pixels of its edge
        turned.append(made["place"][3] - 20)
    assert max(turned) > 4 and min(turned) < -4


def test_half_of_the_low_res_frames_stay_as_they_are():
    same = sum((degrade(face(), rng(seed), 1.0).low == face()).all() for seed in range(400))
    assert 0.53 < same / 400 < 0.67  # and of the others, 16 in 81 have no fault


def test_a_tenth_of_the_places_is_moved_within_bounds():
    place = np.float32([40, 50, 100, 5])
    moved = np.stack([misplace(place, rng(seed), 0.5) for seed in range(1000)])
    changed = (moved != place).any(axis=1)
    assert 0.07 < changed.mean() < 0.13
    centres = moved[:, :2] + moved[:, 2:3] / 2
    assert np.abs(centres - [90, 100]).max() <= 1.0001 and np.abs(moved[:, 2] - 100).max() <= 1.5001
    assert np.abs(moved[:, 3] - 5).max() <= 1.0001 and np.abs(moved[:, 3] - 5).max() > 0.8
    assert (misplace(place, rng(0), 0.0) == place).all()
