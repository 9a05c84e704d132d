"""v_low from an ordinary video: follows the face, cuts it out of every frame, and draws a preview of the result."""

import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from facenhance_jax import media, messages
from facenhance_jax.faces import alignment, tracking
from facenhance_jax.media.drawing import spread

COLUMNS = 8  # frames in a preview
SHOWN = 256  # pixels, the side of an original in a preview: four times a low-res frame's
ROOM = 1.8  # the side of an original in a preview, as a multiple of its landmarks' extent
DOT = (60, 255, 60)  # a landmark's colour


def run(video: Path | str, output: Path | str, preview: Path | str, landmarks: Path | str | None = None) -> None:
    """Writes the low-res clip of `video` (64x64, the same frame rate), a preview .png and, if asked, a landmarks .npy.

    Reads the video twice, one frame at a time, and prints what it wrote. Raises InputError like `media.open_clip` and
    `tracking.track`, before anything is written.
    """
    clip = media.open_clip(video)
    started = time.perf_counter()
    track = follow(clip)
    count, columns = len(track.landmarks), []
    shown = preview_frames(count)
    with (
        media.open_writer(output, clip.fps, source=clip.video) as writer,
        messages.progress("cutting it out", count) as bar,
    ):
        for frame, points in zip(clip, track.landmarks, strict=True):
            low = alignment.low_frame(frame, points)
            if writer.count in shown:
                columns.append((close_up(frame, points), low))
            writer.write(low)
            bar.update()
    seconds = time.perf_counter() - started
    for text in clip.notes:
        messages.note(text)
    if landmarks:
        media.write_array(landmarks, track.landmarks)
        print(f"wrote {landmarks}: 68 points of {count} frames")
    originals, lows = zip(*columns, strict=True)
    media.write_png(preview, media.strip([("original", originals), ("low-res", lows)]))
    print(f"wrote {preview}: originals with landmarks and low-res, {len(columns)} frames")
    speed = f"{count} frames in {seconds:.1f} s, {count / seconds:.1f} frames/s"
    print(f"wrote {output}: {speed}, {len(track.missing)} interpolated")


def follow(clip: media.ClipFile, *, bar: bool = True) -> tracking.Track:
    """`tracking.track`, with a progress bar of its own unless `bar` is false, and a note if there are several faces."""
    if bar:
        with messages.progress("finding the face", clip.count, clip) as frames:
            track = tracking.track(iter(frames), clip.path)
    else:
        track = tracking.track(iter(clip), clip.path)
    if track.faces > 1:
        messages.note(f"{clip.path}: {track.faces} faces were seen; one is followed, the largest of the first frame")
    return track


def low_frames(clip: media.ClipFile, size: int, track: tracking.Track) -> Iterator[UInt8[np.ndarray, "s s 3"]]:
    """The aligned face on black of every frame, s = `size` pixels, by what `follow` found in the clip."""
    note_missing(clip, track)
    return (alignment.low_frame(frame, points, size) for frame, points in zip(clip, track.landmarks, strict=True))


def note_missing(clip: media.ClipFile, track: tracking.Track) -> None:
    """Says in how many frames no face was found, if in any."""
    if track.missing:
        messages.note(f"{clip.path}: no face in {len(track.missing)} of the frames; interpolated there")


def preview_path(output: Path | str) -> Path:
    """The default path of a clip's preview, next to the clip: low.mp4 -> low.preview.png."""
    output = Path(output)
    named = output.resolve() if output.name in ("", "..") else output
    return named.parent / f"{named.stem}.preview.png"


def preview_frames(count: int) -> set[int]:
    """The numbers, from 0, of up to eight frames of `count`, evenly spread from the first to the last."""
    return set(spread(COLUMNS, count))


def close_up(frame: UInt8[np.ndarray, "h w 3"], points: Float32[np.ndarray, "68 2"]) -> UInt8[np.ndarray, "256 256 3"]:
    """The square part of a frame around a face, with its landmarks drawn as dots."""
    height, width, _ = frame.shape
    low, high = points.min(0), points.max(0)
    side = int(np.clip(ROOM * (high - low).max(), 1, min(height, width)))
    corner = np.clip((low + high - side) / 2, 0, [width - side, height - side]).astype(int)
    left, top = corner.tolist()
    part = frame[top : top + side, left : left + side]
    scale = SHOWN / side
    shown = cv2.resize(part, (SHOWN, SHOWN), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    for x, y in np.rint((points - corner + 0.5) * scale - 0.5).astype(int).tolist():
        cv2.circle(shown, (x, y), 2, DOT, cv2.FILLED, cv2.LINE_AA)
    return shown
