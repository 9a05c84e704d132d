"""The light generator that needs no training: the photo is animated, and its face is cut out of every frame."""

from dataclasses import replace
from zlib import crc32

import numpy as np
from jaxtyping import UInt8

from facenhance_jax.data.animation.anatomy import JAW as JAW_DROP
from facenhance_jax.data.animation.anatomy import Pose
from facenhance_jax.data.animation.animator import Animator
from facenhance_jax.data.animation.performing import plan
from facenhance_jax.data.layout import EXPRESSIONS
from facenhance_jax.faces import alignment
from facenhance_jax.faces.portrait import Portrait
from facenhance_jax.generators import asking

LOW_SIZE = 64  # pixels
# Of the jaw's drop that the animator would show. The low-res face ends at the resting chin: what becomes of one that
# drops out of it the enhancer must guess, and its guesses are coarse.
JAW = 0.75


class Animated:
    """Makes a photo perform an expression by `data.animation`."""

    name = "animated"

    def generate(
        self, photo: Portrait, expression: str, strength: float, frames: int, seed: int
    ) -> UInt8[np.ndarray, "n 64 64 3"]:
        """The low-res clip of `perform`."""
        return self.perform(photo, expression, strength, frames, seed).low

    def perform(self, photo: Portrait, expression: str, strength: float, frames: int, seed: int) -> asking.Performance:
        """A framed photo's way from neutral to the apex of an expression, a function of the arguments.

        The first frame is the photo's own low-res face; with `strength` 0 all frames are. 1 is usual, 1.5 the most.
        Raises InputError for an unknown expression, a strength that is not from 0 to 1.5, no frames, or a photo without
        landmarks.
        """
        asking.number_of(EXPRESSIONS, expression, strength, frames)
        animator = Animator(photo.frame, asking.landmarks_of(photo))
        person = [seed, crc32(animator.photo)]
        planned = plan(expression, frames, seed=person, take=0, strength=strength, hold=True)
        poses = [_with_less_jaw(pose) for pose in planned]
        share = min(map(animator.largest_share, poses))
        drawn = [animator.draw(pose, share) for pose in poses]
        low = [alignment.low_frame(frame, points, LOW_SIZE) for frame, points in drawn]
        return asking.Performance(np.stack(low), np.stack([points for _, points in drawn]))


def _with_less_jaw(pose: Pose) -> Pose:
    muscles = pose.muscles.copy()
    muscles[:, JAW_DROP] *= JAW
    return replace(pose, muscles=muscles)
