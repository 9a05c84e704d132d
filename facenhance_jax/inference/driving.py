"""The low-res clip that a video gives: its own face or, if it shows somebody else than the photo, the photo's.

Then the photo's landmarks move as the other person's do, and the trained renderer moves and paints the photo's low-res
face. The other person's own low-res face would bring that person's skin and features along.
"""

import itertools
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Shaped, UInt8

from facenhance_jax import media, messages
from facenhance_jax.data.face_clips import LOW_SIZE, aligned
from facenhance_jax.faces import recognition
from facenhance_jax.faces.portrait import Portrait
from facenhance_jax.faces.tracking import Track
from facenhance_jax.inference import extraction
from facenhance_jax.media.drawing import spread

AUTO, SAME, ANOTHER = "auto", "same", "another"  # whose face the video shows, the photo's person's or another's
LOOKED_AT = 3  # frames, in which the person is compared with the photo's
EARLY = 100  # frames with a face, among which these are
INNER_LIPS = [61, 62, 63], [67, 66, 65]  # landmarks, upper and lower
RESTING = 0.1  # share of the frames that show the face at rest: those in which the mouth is most closed
# Whole sentences are none of the six expressions. Of this one the renderer paints teeth into a mouth that opens.
EXPRESSION = "happiness"


def low_frames(
    clip: media.ClipFile, size: int, track: Track, photo: Portrait, person: str = AUTO
) -> Iterator[UInt8[np.ndarray, "s s 3"]]:
    """The low-res frames, s = `size` pixels, of a video in which `track` follows a face.

    `person` says whether that is the person of the photo; "auto" compares them. Raises InputError if the other person's
    movement is asked for and the photo has no face, or the model's low-res frames are not 64 pixels wide.
    """
    if person != ANOTHER and (person == SAME or not shows_another(clip, track, photo)):
        return extraction.low_frames(clip, size, track)
    if size != LOW_SIZE:
        raise messages.InputError(
            f"the model's low-res frames have {size} pixels; another person's movement is brought only to {LOW_SIZE}"
        )
    if person == AUTO:
        messages.note(f"{clip.path}: shows another person than the photo; the photo's own face moves as that one does")
    extraction.note_missing(clip, track)
    from facenhance_jax.generators import choosing  # not at the top: few clips need it, and all would start later

    return choosing.named(choosing.LEARNED).moved(photo, movement(track.landmarks), EXPRESSION)


def shows_another(clip: media.ClipFile, track: Track, photo: Portrait) -> bool:
    """Whether the face of the video seems to be somebody else's than the photo's; False if the photo has no face."""
    if photo.landmarks is None:
        return False
    models = recognition.models()
    own = models.describe(photo.frame, recognition.box_of(photo.landmarks))
    found = [index for index in range(len(track.landmarks)) if index not in track.missing][:EARLY]
    looked_at = {found[place] for place in spread(LOOKED_AT, len(found))}
    distances = [
        np.linalg.norm(models.describe(frame, recognition.box_of(track.landmarks[index])) - own)
        for index, frame in enumerate(itertools.islice(clip, max(looked_at) + 1))
        if index in looked_at
    ]
    return float(np.median(distances)) > recognition.SAME_PERSON


def movement(landmarks: Shaped[np.ndarray, "n 68 2"]) -> Float[np.ndarray, "n 68 2"]:
    """How far each landmark is from where it lies at rest, in pixels of the low-res face; heads are held still.

    Takes the landmarks in pixels of a video's frames. The face is at rest where its mouth is most closed.
    """
    points = np.stack([aligned(row) for row in landmarks])
    upper, lower = INNER_LIPS
    open_by = np.linalg.norm(points[:, lower] - points[:, upper], axis=-1).mean(axis=1)
    resting = np.argsort(open_by, kind="stable")[: max(round(RESTING * len(points)), 1)]
    return points - points[resting].mean(axis=0)
