"""The guess of a frame out of the photo and the low-res frame: where pixels lie, what moves, and corrections.

A place is (left, top, side, angle), as `faces.placement` defines it. Positions are (x, y) in pixels; whole numbers are
pixel centres. Images are in [-1, 1].
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from facenhance_jax.network.pixels import sample_bilinear, slopes

SPREAD = 0.25  # variance of what a low-res pixel covers, in squares of its side
BILINEAR = 1 / 6  # variance of bilinear sampling, in squares of a pixel, on average over where it falls
SETTLING = 2  # steps in which the place is found
MOST_SHIFTED = 2.0  # pixels of the frame, in a step
EXPLAINED = 0.45, 0.55  # part of the difference that a shift explains, from which on it is believed in part, and wholly
ENLARGED = 3  # times that a low-res frame is enlarged, bicubic, before it is sampled between its pixels


def positions_in_low(place: Float[Array, "b 4"], size: int, low_size: int) -> Float[Array, "b {size} {size} 2"]:
    """The position of each pixel of a frame of size x size pixels in the low-res frame that lies on this place."""
    centres = jnp.arange(size)[None] + 0.5
    scale, middle = low_size / place[:, 2:3], (low_size - 1) / 2
    columns, rows = ((centres - place[:, axis, None]) * scale - 0.5 for axis in (0, 1))
    columns, rows, turn = columns[:, None], rows[..., None], jnp.deg2rad(place[:, 3])[:, None, None]
    # Written as a change, so that without a turn not a bit changes.
    x, y, less, sin = columns - middle, rows - middle, jnp.cos(turn) - 1.0, jnp.sin(turn)
    return jnp.stack([columns + (less * x + sin * y), rows + (less * y - sin * x)], axis=-1)


def low_of(
    frame: Float[Array, "b h w 3"], place: Float[Array, "b 4"], low_size: int
) -> Float[Array, "b {low_size} {low_size} 3"]:
    """The low-res frame that lies on this place of a frame, without black.

    The frame is blurred first, so that a low-res pixel is the mean of what it covers, up to 1.6 pixels of the frame. Of
    real frames, the result is 4 dB nearer to `alignment.low_frame` than without.
    """
    left, top, side, angle = jnp.split(place, 4, axis=-1)
    turn = jnp.deg2rad(angle)[..., None]
    offset = ((jnp.arange(low_size)[None] - (low_size - 1) / 2) / low_size * side)[:, None]  # from the centre
    x, y, cos, sin = offset, jnp.swapaxes(offset, 1, 2), jnp.cos(turn), jnp.sin(turn)
    columns = (left + side / 2 - 0.5)[..., None] + cos * x - sin * y
    rows = (top + side / 2 - 0.5)[..., None] + sin * x + cos * y
    tap = jnp.clip((SPREAD * (side / low_size) ** 2 - BILINEAR) / 2, 0.0, 0.25)[..., None, None]
    return sample_bilinear(_blurred(frame, tap), jnp.stack([columns, rows], axis=-1))


def _blurred(frame: Float[Array, "b h w 3"], tap: Float[Array, "b 1 1 1"]) -> Float[Array, "b h w 3"]:
    """With the kernel (tap, 1 - 2 tap, tap) in x and in y, whose variance is 2 tap."""
    for axis in (1, 2):
        ends = [(0, 0)] * 4
        ends[axis] = (1, 1)
        padded = jnp.pad(frame, ends, mode="edge")
        size = frame.shape[axis]
        before, after = (jax.lax.slice_in_dim(padded, at, at + size, axis=axis) for at in (0, 2))
        frame += tap * (before + after - 2 * frame)
    return frame


def within(low: Float[Array, "b l l 3"]) -> Float[Array, "b l l 1"]:
    """1 where the low-res face is, 0 in the black around it, soft at its edge; dark spots within the face count as it.

    Of pixels as dark as 12 of 255, those that are farther than 2 pixels from the others are the black around the face.
    """
    face = (jnp.max(low, axis=-1, keepdims=True) > -0.9).astype(low.dtype)
    face = jnp.pad(face, ((0, 0), (4, 4), (4, 4), (0, 0)))  # around the frame it is black too
    filled = -_highest(-_highest(face, 5), 7)
    spread = jax.lax.reduce_window(filled, 0.0, jax.lax.add, (1, 3, 3, 1), (1, 1, 1, 1), "SAME") / 9
    return _ending(spread[:, 4:-4, 4:-4])


def _highest(x: Float[Array, "b h w 1"], side: int) -> Float[Array, "b h w 1"]:
    """The highest value within the square of that side around each pixel."""
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, side, side, 1), (1, 1, 1, 1), "SAME")


def smooth(shift: Float[Array, "b h w 2"], patch: int) -> Float[Array, "b h w 2"]:
    """Averaged over each patch x patch square and interpolated between the squares."""
    batch, height, width, _ = shift.shape
    coarse = shift.reshape(batch, height // patch, patch, width // patch, patch, 2).mean(axis=(2, 4))
    return jax.image.resize(coarse, shift.shape, "linear")


def moved(images: Float[Array, "b h w c"], flow: Float[Array, "b h w 2"]) -> Float[Array, "b h w c"]:
    """Each pixel is taken from where `flow`, in pixels, points to."""
    rows, columns = (jnp.arange(side, dtype=jnp.float32) for side in images.shape[1:3])
    grid = jnp.stack(jnp.meshgrid(columns, rows), axis=-1)
    return sample_bilinear(images, grid[None] + flow)


def agreeing(
    frame: Float[Array, "b h w 3"],
    low: Float[Array, "b l l 3"],
    share: Float[Array, "b l l 1"],
    place: Float[Array, "b 4"],
    times: int,
) -> Float[Array, "b h w 3"]:
    """The frame, corrected `times` times so that its own low-res face comes to agree with the low-res frame.

    Iterative back-projection (Irani & Peleg 1991): the share of what the low-res frame differs, enlarged (bicubic), is
    added. A network's frame acts too little; its fine detail is not in the low-res frame and stays.
    """
    low_size = low.shape[1]
    large = ENLARGED * low_size
    if times:
        place = jax.lax.stop_gradient(settled(frame, low, share, place))
    positions = (positions_in_low(place, frame.shape[1], low_size) + 0.5) * ENLARGED - 0.5
    for _ in range(times):
        change = share * (low - low_of(frame, place, low_size))
        change = jax.image.resize(change, (change.shape[0], large, large, 3), "cubic")
        frame += sample_bilinear(_ending(change), positions)
    return frame


def settled(
    frame: Float[Array, "b h w 3"],
    low: Float[Array, "b l l 3"],
    share: Float[Array, "b l l 1"],
    place: Float[Array, "b 4"],
) -> Float[Array, "b 4"]:
    """The place, shifted so that the frame's own low-res face lies on the low-res frame, if a shift explains much.

    Low-res faces are aligned one by one, so where they lie in the frame varies, while one place is given for the clip.
    The shift is found by Gauss-Newton steps in x and y (Lucas & Kanade 1981) on the squared difference. An expression
    also looks like a shift, but that explains less of the difference: up to 0.42 of it in frames of real people, where
    the place is exact, and up to 0.78 in drawn people whose heads move.
    """
    found, explained = place, []
    for _ in range(SETTLING):
        right, down, part = _shift(low_of(frame, found, low.shape[1]), low, share)
        turn, scale = jnp.deg2rad(place[:, 3]), place[:, 2] / low.shape[1]
        right, down = (jnp.clip(scale * shift, -MOST_SHIFTED, MOST_SHIFTED) for shift in (right, down))
        shift = [jnp.cos(turn) * right - jnp.sin(turn) * down, jnp.sin(turn) * right + jnp.cos(turn) * down]
        found = found.at[:, :2].add(jnp.stack(shift, axis=1))
        explained.append(part)
    least, most = EXPLAINED
    sure = jnp.clip((explained[0] - least) / (most - least), 0.0, 1.0)
    return place + sure[:, None] * (found - place)


def _shift(
    own: Float[Array, "b l l 3"], low: Float[Array, "b l l 3"], share: Float[Array, "b l l 1"]
) -> tuple[Float[Array, " b"], Float[Array, " b"], Float[Array, " b"]]:
    """How far `own` must move to lie on `low`, in x and y, to first order; and the part of the difference explained."""
    along, change = slopes(own), low - own

    def product(a, b):
        return (share * a * b).sum(axis=(1, 2, 3))

    (xx, xy), (_, yy) = ([product(a, b) for b in along] for a in along)
    x, y = (product(a, change) for a in along)
    area = xx * yy - xy * xy + 1e-6
    right, down = (yy * x - xy * y) / area, (xx * y - xy * x) / area
    return right, down, (right * x + down * y) / (product(change, change) + 1e-6)


def _ending(image: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """The image with zeros at its edge, which sampling repeats all around."""
    return jnp.pad(image[:, 1:-1, 1:-1], ((0, 0), (1, 1), (1, 1), (0, 0)))
