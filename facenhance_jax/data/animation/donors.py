"""Teeth of another person's photo, for a mouth that opens: real ones look better than painted ones."""

import cv2
import numpy as np
from jaxtyping import Float, Float32, Shaped, UInt8

from facenhance_jax.data.animation import openings
from facenhance_jax.data.animation.anatomy import Anatomy
from facenhance_jax.data.animation.mouth_inside import Rgb, own_teeth
from facenhance_jax.messages import InputError

LEAST_GAP = 0.13  # face units between the lips
LEAST_TEETH = 0.75  # of the opening's middle is bright
LIP = 0.015  # face units: the donor's lower lip is so far below the edges of the teeth


class Donor:
    """The upper teeth that one smiling photo shows."""

    def __init__(self, photo: UInt8[np.ndarray, "h w 3"], landmarks: Shaped[np.ndarray, "68 2"]) -> None:
        """Raises InputError if the photo shows no teeth, or for landmarks of no face."""
        anatomy = Anatomy(np.asarray(landmarks, np.float64), photo)
        opening, is_open = openings.mouth(anatomy, photo)
        middle = (np.abs(opening.along) < 0.4) & (opening.across > opening.upper) & (opening.across < opening.lower)
        gap = np.median((opening.lower - opening.upper)[np.abs(opening.along) < 0.3]) / anatomy.unit
        if not is_open or gap < LEAST_GAP:
            raise InputError("donor: shows no teeth; give a smiling photo whose teeth are seen")
        self.unit, self.middle, self.axis = anatomy.unit, opening.middle, opening.axis
        whole = slice(0, photo.shape[0]), slice(0, photo.shape[1])
        teeth = own_teeth(photo, opening, whole, anatomy.unit, np.full(3, 0.5))
        linear = (teeth[..., :3].clip(0, 255) / 255.0) ** 2.2
        bright = linear[middle]
        tone = bright.mean(-1)
        bright = bright[tone >= np.median(tone)].mean(0)
        if (tone > 0.45 * bright.mean()).mean() < LEAST_TEETH:
            raise InputError("donor: the mouth shows more than teeth; give a photo of a smile with the teeth together")
        self.picture = np.concatenate([linear / bright, teeth[..., 3:]], -1).astype(np.float32)
        self.edge = float(np.median(opening.lower[np.abs(opening.along) < 0.15])) / anatomy.unit - LIP

    def row(
        self, x: Float[np.ndarray, "h w"], y: Float[np.ndarray, "h w"], enamel: Rgb
    ) -> Float32[np.ndarray, "h w 4"]:
        """Their colours times their cover, and the cover, at places in face units from the middle of their edges."""
        along, across = x * self.unit, (y + self.edge) * self.unit
        columns = self.middle[0] + along * self.axis[0] - across * self.axis[1]
        rows = self.middle[1] + along * self.axis[1] + across * self.axis[0]
        seen = cv2.remap(self.picture, columns.astype(np.float32), rows.astype(np.float32), cv2.INTER_LINEAR)
        seen[..., :3] *= np.float32(enamel) * seen[..., 3:]
        return seen
