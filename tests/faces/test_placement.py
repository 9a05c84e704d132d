"""A place against alignment's matrix, the positions in the low-res frame, and motions of the photo, in closed forms."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facenhance_jax.faces import alignment, placement
from facenhance_jax.messages import InputError
from facenhance_jax.network.pixels import sample_bilinear, to_signal
from facenhance_jax.network.warping import positions_in_low

SIZE = 192


def positions_of(places):
    return positions_in_low(places, SIZE, 64)


def similarity(scale: float, degrees: float, x: float, y: float) -> np.ndarray:
    """(1, 0) turns towards (0, 1)."""
    linear = scale * np.exp(1j * np.deg2rad(degrees))
    return np.array([[linear.real, -linear.imag, x], [linear.imag, linear.real, y]])


def move(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


def turned_face(degrees: float) -> np.ndarray:
    """Landmarks of the mean face, enlarged, turned clockwise as seen, somewhere in the photo."""
    centred = alignment.mean_shape() - 31.5
    return move(centred, similarity(1.45, degrees, 101.3, 88.6))


def pixels() -> np.ndarray:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return np.stack([columns, rows], -1).astype(np.float64)


def test_the_place_of_a_face_turned_clockwise_has_a_positive_angle():
    left, top, side, angle = placement.of_landmarks(turned_face(25))
    np.testing.assert_allclose(angle, 25, atol=1e-4)
    np.testing.assert_allclose(side, 1.45 * 64, atol=1e-4)
    np.testing.assert_allclose([left + side / 2, top + side / 2], [101.8, 89.1], atol=1e-4)  # + 0.5: from corners
    eyes = turned_face(25)[[36, 45]]
    assert eyes[0, 0] < eyes[1, 0] and eyes[0, 1] < eyes[1, 1]  # the eye on the right is lower


@pytest.mark.parametrize("degrees", [0, 25, -17, 90, 179])
def test_the_positions_are_alignments_matrix(degrees):
    place = placement.of_landmarks(turned_face(degrees))
    to_crop = alignment.crop_matrix(turned_face(degrees))
    np.testing.assert_allclose(move(move(pixels(), to_crop), placement.matrix(place)), pixels(), atol=1e-4)
    positions = positions_of(jnp.asarray(place)[None])[0]
    np.testing.assert_allclose(positions, move(pixels(), to_crop), atol=1e-4)


def test_without_a_turn_the_positions_are_as_before_it_was_known():
    """The formula of the released model's training, bit for bit, and in a compiled program to the rounding."""

    def unturned(place):
        centres, scale = jnp.arange(SIZE) + 0.5, 64 / place[:, 2:3]
        columns, rows = ((centres[None] - place[:, axis, None]) * scale - 0.5 for axis in (0, 1))
        shape = (len(place), SIZE, SIZE)
        return jnp.stack([jnp.broadcast_to(columns[:, None], shape), jnp.broadcast_to(rows[..., None], shape)], axis=-1)

    places = np.array([[0, 0, 192, 0], [41.237, 30.911, 93.518, 0], [-7.3, 80.1, 130.77, 0]], np.float32)
    np.testing.assert_array_equal(positions_of(jnp.asarray(places)), unturned(places))
    np.testing.assert_allclose(jax.jit(positions_of)(places), jax.jit(unturned)(places), rtol=0, atol=1e-5)


@pytest.mark.parametrize("degrees", [0, 20, -20])
def test_a_low_res_face_laid_back_on_its_place_coincides_with_the_photo(degrees):
    x, y = pixels()[..., 0], pixels()[..., 1]
    waves = [np.sin(x / 11) * np.cos(y / 13), np.cos(x / 15 + y / 10), np.sin(y / 9 - x / 17)]
    photo = np.rint(128 + 100 * np.stack(waves, -1)).astype(np.uint8)
    low = alignment.low_frame(photo, turned_face(degrees))
    positions = positions_of(jnp.asarray(placement.of_landmarks(turned_face(degrees)))[None])
    laid = np.asarray(sample_bilinear(to_signal(low[None]), positions)[0] + 1) * 127.5
    mask = np.pad((low.max(-1) > 0).astype(np.float32)[1:-1, 1:-1], 1)
    mask = cv2.erode(mask, np.ones((3, 3)))
    inside = np.asarray(sample_bilinear(jnp.asarray(mask)[None, ..., None], positions))[0, ..., 0] == 1
    assert inside.sum() > 5000
    assert np.abs(laid - photo)[inside].max() < 3  # bilinear twice; half a low-res pixel aside would be 6


def test_a_place_moves_and_is_mirrored_like_its_landmarks():
    face = turned_face(14)
    motion = similarity(0.93, -31, 7.7, 60.2)
    moved = placement.moved(placement.of_landmarks(face), motion)
    np.testing.assert_allclose(moved, placement.of_landmarks(move(face, motion)), atol=1e-4)
    mirrored = face[alignment.MIRROR] * [-1, 1] + [SIZE - 1, 0]
    found = placement.mirrored(placement.of_landmarks(face), SIZE)
    np.testing.assert_allclose(found, placement.of_landmarks(mirrored), atol=1e-4)


def test_the_text_is_read_back_and_an_older_one_has_no_angle():
    assert placement.to_text(np.float32([1.5, -2, 90.1234, -3.25])) == "1.500 -2.000 90.123 -3.250"
    np.testing.assert_array_equal(
        placement.from_text("1.500 -2.000 90.123 -3.250"), np.float32([1.5, -2, 90.123, -3.25])
    )
    np.testing.assert_array_equal(placement.from_text("1.5 2 90.125"), [1.5, 2, 90.125, 0])
    for bad in ("", "1 2", "1 2 3 4 5", "1 2 x"):
        with pytest.raises(InputError, match="is not 'left top side angle'; prepare the data set again"):
            placement.from_text(bad)
