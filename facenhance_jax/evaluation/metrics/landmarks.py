"""Expression fidelity: how far the enhanced face's landmarks are from the real one's, and how much it acts.

Landmarks are 68 (x, y) pixel coordinates in iBUG order. They are found in both clips by the same predictor, whose error
then cancels in part. (`faces.tracking` uses dlib's predictor, whose training data exclude commercial use.)
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from facenhance_jax.faces.alignment import RIGID, similarity
from facenhance_jax.messages import InputError

OUTER_CORNERS = 36, 45  # of the eyes
BROWS, MOUTH = slice(17, 27), slice(48, 68)
STILL = 2.0  # percent of the eye distance: a mouth or brows that move less (RMS) are as good as still


@dataclass(frozen=True)
class ExpressionError:
    """Mean landmark errors of a clip, in percent of the distance between the real face's outer eye corners."""

    face: float  # all 68 points
    mouth: float  # points 48 to 67
    brows: float  # points 17 to 26
    frames: int  # of the clip
    missing: int  # frames of these without landmarks in one clip or both; the means leave them out


def expression_error(enhanced: Float[np.ndarray, "n 68 2"], real: Float[np.ndarray, "m 68 2"]) -> ExpressionError:
    """Mean over frames of 100 * mean_i |e_i - r_i| / |r_36 - r_45|; i runs over all points, the mouth's, or the brows'.

    A frame in which no face was found has NaN; it counts as missing if that is so in either clip. Raises InputError for
    clips of different lengths, if no frame has landmarks in both clips, or if the eyes of a real face coincide.
    """
    if len(enhanced) != len(real):
        raise InputError(f"landmarks: {len(enhanced)} enhanced frames and {len(real)} real ones; give as many of each")
    enhanced, real = enhanced.astype(np.float64), real.astype(np.float64)
    known = np.flatnonzero(np.isfinite(enhanced).all(axis=(1, 2)) & np.isfinite(real).all(axis=(1, 2)))
    if not len(known):
        raise InputError(
            f"landmarks: none of {len(real)} frames has them in both clips; give clips that show a face from the front"
        )
    left, right = OUTER_CORNERS
    apart = np.linalg.norm(real[known, left] - real[known, right], axis=-1)
    if not apart.all():
        raise InputError(f"landmarks: the eyes of real frame {known[apart.argmin()]} coincide; find the face again")
    errors = 100 * np.linalg.norm(enhanced[known] - real[known], axis=-1) / apart[:, None]
    face, mouth, brows = (float(errors[:, points].mean()) for points in (slice(None), MOUTH, BROWS))
    return ExpressionError(face, mouth, brows, len(real), len(real) - len(known))


def acting(
    made: Float[np.ndarray, "n 68 2"],
    real: Float[np.ndarray, "n 68 2"],
    photo: Float[np.ndarray, "68 2"],
    part: slice,
) -> float:
    """How far a part of the face (`MOUTH` or `BROWS`) moves as the real one does: 1 is right, 0 is a copied photo.

    m and r are the displacements of the part's points from the photo's, in the made and the real frames, after each
    face was laid on the photo's by the points that expressions hardly move (`alignment.RIGID`). It is the projection
    of m on r over |r|: sum(m r) / sum(r r) over the frames, points and axes. More than 1 is too much; a movement
    across the real one adds nothing. Frames without landmarks in one clip or both are left out.

    Raises InputError if no frame has landmarks in both, or if the part hardly moves in the real clip: that would be a
    ratio of the landmarks' errors.
    """
    photo = photo.astype(np.float64)
    known = np.flatnonzero(np.isfinite(made).all(axis=(1, 2)) & np.isfinite(real).all(axis=(1, 2)))
    if not len(known):
        raise InputError("acting: no frame has landmarks in both clips; give clips that show a face from the front")
    m, r = (
        np.stack([_laid_on(points, photo) for points in clip[known]])[:, part] - photo[part] for clip in (made, real)
    )
    left, right = OUTER_CORNERS
    moves = 100 * np.sqrt((r**2).sum(-1).mean()) / np.linalg.norm(photo[left] - photo[right])
    if moves < STILL:
        raise InputError(f"acting: the real one moves by {moves:.1f} % of the eye distance, less than {STILL:g}")
    return float((m * r).sum() / (r**2).sum())


def _laid_on(points: Float[np.ndarray, "68 2"], photo: Float[np.ndarray, "68 2"]) -> Float[np.ndarray, "68 2"]:
    rigid, points = list(RIGID), points.astype(np.float64)
    matrix = similarity(points[rigid], photo[rigid])
    return points @ matrix[:, :2].T + matrix[:, 2]
