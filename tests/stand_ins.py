"""Stand-ins for generated clips: drawn faces with the faults that a generator is known for. No generator made them.

They test the reading, enhancing and scoring of generated clips as long as there are none of the systems themselves. The
kinds of faults are those that FacEnhance describes (section 5.5 and Figure 4); their strength is our choice. So numbers
from these clips say nothing about VideoGAN, ImaGINator, MotionGAN or FEV-GAN.
"""

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import av
import cv2
import numpy as np
from jaxtyping import Float, UInt8

from facenhance_jax.data import augmentation, generated, layout
from facenhance_jax.data.synthetic import population
from facenhance_jax.faces import alignment
from facenhance_jax.media import open_writer, write_png

SYSTEMS = ("videogan", "imaginator", "motiongan", "fevgan")
COLUMNS = 6  # tiles in a row of VideoGAN's grid
FPS = 25

_OTHER = 0.6  # how much of another person's face "videogan" mixes in
_STIFF = 0.6  # how much of every motion "imaginator" leaves out
_MOUTH = tuple(range(48, 68))
_EYES = (tuple(range(36, 42)), tuple(range(42, 48)))

_Frames = UInt8[np.ndarray, "n 64 64 3"]
_Clips = Mapping[tuple[int, str], _Frames]  # by (person, expression)


def stand_in(system: str, low: _Frames, other: _Frames, seed: int, index: int) -> _Frames:
    """A drawn clip with the faults that `system` is known for; a function of the frames and (seed, index).

    "videogan": the face mixed with `other`, another person's clip of that expression and length (identity is lost),
    soft and noisy. "imaginator": little motion, blur, coloured noise, blocks. "motiongan": sharp, but mouth and eyes
    are pulled about, differently in every frame. "fevgan": a slight warp that stays, slightly soft.
    """
    code = SYSTEMS.index(system)
    generators = [np.random.default_rng([seed, code, index, number]) for number in range(len(low) + 1)]
    return _FAULTS[system](low, other, generators[0], generators[1:])


def write_stand_ins(
    directory: Path | str, system: str, subjects: Sequence[int], frames: int, seed: int = 0, size: int = 192
) -> None:
    """Writes stand-ins for `system` that `read_generated(directory, system)` reads back bit for bit, take "".

    The clips are the drawn people `subjects` of population 0 in the six expressions: the first half, `frames` frames,
    of take 0, drawn at `size` x `size` pixels and cut out by its exact landmarks. For "videogan" each person is mixed
    with the next one in `subjects`, and the last with the first. File names are those of the system, if known; unlike
    the system's own, videos are lossless. A note in the directory, which is made if missing, says what the clips are.
    """
    directory = Path(directory)
    directory.mkdir(parents=True)
    (directory / generated.STAND_INS).write_text(
        f"Drawn faces with faults like those of {system}. {system} did not make these clips.\n"
    )
    _WRITERS[system](directory, _stand_ins(system, subjects, frames, seed, size))


def _stand_ins(system: str, subjects: Sequence[int], frames: int, seed: int, size: int) -> _Clips:
    people = [*subjects, *([subjects[0] + 1] if len(subjects) == 1 else [])]
    drawn = {
        (subject, expression): _draw(subject, expression, frames, size)
        for subject in people
        for expression in layout.EXPRESSIONS
    }
    clips = {}
    for number, subject in enumerate(subjects):
        other = people[(number + 1) % len(people)]
        for code, expression in enumerate(layout.EXPRESSIONS):
            low, alien = drawn[subject, expression], drawn[other, expression]
            index = len(layout.EXPRESSIONS) * subject + code
            clips[subject, expression] = stand_in(system, low, alien, seed, index)
    return clips


def _draw(subject: int, expression: str, frames: int, size: int) -> _Frames:
    drawn, landmarks = population.draw_clip(population.draw_subject(0, subject), expression, 0, 2 * frames, size)
    pairs = zip(drawn[:frames], landmarks[:frames], strict=True)
    return np.stack([alignment.low_frame(frame, points, generated.SIDE) for frame, points in pairs])


# Faults: (the clip, another person's, a generator for the clip, one for each frame) -> the clip


def _lose_identity(low, other, rng, generators):
    share = _OTHER + rng.uniform(-0.1, 0.1)
    mixed = [cv2.addWeighted(frame, 1 - share, alien, share, 0) for frame, alien in zip(low, other, strict=True)]
    soft = [augmentation.blur(frame, 1.0) for frame in mixed]
    return np.stack([augmentation.noise(frame, rng, 7.0) for frame, rng in zip(soft, generators, strict=True)])


def _blur_and_block(low, other, rng, generators):
    made = []
    for frame, rng in zip(low, generators, strict=True):
        stiff = augmentation.blur(cv2.addWeighted(frame, 1 - _STIFF, low[0], _STIFF, 0), 1.4)
        coarse = rng.normal(0, 9.0, (generated.SIDE // 8, generated.SIDE // 8, 3))  # grey levels, 8 px a grain
        grains = cv2.resize(coarse, (generated.SIDE, generated.SIDE), interpolation=cv2.INTER_LINEAR)
        noisy = np.clip(np.rint(stiff + grains), 0, 255).astype(np.uint8) * stiff.any(axis=-1, keepdims=True)
        made.append(augmentation.compress(noisy, 18))
    return np.stack(made)


def _distort(low, other, rng, generators):
    lasting = _pulls(rng, 1.5)
    return np.stack([_pulled(frame, lasting + _pulls(rng, 2.0)) for frame, rng in zip(low, generators, strict=True)])


def _bend(low, other, rng, generators):
    seed = rng.integers(2**32)  # one warp for all frames
    warped = [augmentation.warp(frame, np.random.default_rng(seed), 1.2) for frame in low]
    return np.stack([augmentation.blur(frame, 0.5) for frame in warped])


def _pulls(rng: np.random.Generator, pixels: float) -> Float[np.ndarray, "5 2"]:
    """How far (x, y) the mouth's corners and middle and the two eyes are pulled; each at most `pixels` either way."""
    return rng.uniform(-pixels, pixels, (5, 2))


def _pulled(frame: UInt8[np.ndarray, "s s 3"], pulls: Float[np.ndarray, "5 2"]) -> UInt8[np.ndarray, "s s 3"]:
    shape = alignment.mean_shape(generated.SIDE)
    centres = [shape[48], shape[list(_MOUTH)].mean(0), shape[54], *(shape[list(eye)].mean(0) for eye in _EYES)]
    rows, columns = np.indices(frame.shape[:2]).astype(np.float32)
    moves = np.zeros((2, *frame.shape[:2]), np.float32)
    for (x, y), pull in zip(centres, pulls, strict=True):
        near = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 4.5**2))  # 4.5 px: about half a mouth
        moves += pull.astype(np.float32)[:, None, None] * near.astype(np.float32)
    return cv2.remap(frame, columns + moves[0], rows + moves[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


_Fault = Callable[[_Frames, _Frames, np.random.Generator, Sequence[np.random.Generator]], _Frames]
_FAULTS: dict[str, _Fault] = {
    "videogan": _lose_identity,
    "imaginator": _blur_and_block,
    "motiongan": _distort,
    "fevgan": _bend,
}


# Files in each system's own form, as `data.generated` describes it


def _write_grid(directory: Path, clips: _Clips) -> None:
    """All clips as tiles of one video, gen.mp4, and `pairs.csv`, which says what each tile shows."""
    first = next(iter(clips.values()))
    rows = -(-len(clips) // COLUMNS)
    grid = np.full((len(first), rows, generated.SIDE, COLUMNS, generated.SIDE, 3), 255, np.uint8)
    lines = []
    for index, ((subject, expression), frames) in enumerate(clips.items()):
        row, column = divmod(index, COLUMNS)
        grid[:, row, :, column] = frames
        lines.append(("gen.mp4", f"{subject:03d}", expression, row, column))
    _write_video(directory / "gen.mp4", grid.reshape(len(first), rows * generated.SIDE, COLUMNS * generated.SIDE, 3))
    _write_csv(directory / generated.PAIRS, ("file", "subject", "expression", "row", "column"), lines)


def _write_numbered(directory: Path, clips: _Clips) -> None:
    """<person>_<class>.mp4, and ImaGINator's list of people."""
    subjects = list(dict.fromkeys(subject for subject, _ in clips))
    for (subject, expression), frames in clips.items():
        code = generated.IMAGINATOR_CLASSES.index(expression)
        _write_video(directory / f"{subjects.index(subject)}_{code}.mp4", frames)
    lines = [(f"/{subject:03d}/neutral/take000", subject, "neutral", 1) for subject in subjects]
    _write_csv(directory / generated.IMAGINATOR_PEOPLE, ("video", "id", "category", "nframes"), lines)


def _write_folders(directory: Path, clips: _Clips) -> None:
    for (subject, expression), frames in clips.items():
        with open_writer(directory / f"{subject:03d}_{expression}", FPS) as writer:
            for frame in frames:
                writer.write(frame)


def _write_strips(directory: Path, clips: _Clips) -> None:
    for (subject, expression), frames in clips.items():
        write_png(directory / f"{subject:03d}_{expression}.png", np.concatenate(frames, axis=1))


def _write_video(path: Path, frames: UInt8[np.ndarray, "n h w 3"]) -> None:
    """Lossless H.264 in RGB. `media` cannot write it: its videos are for players and do not keep colours exactly."""
    with av.open(os.fspath(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=FPS, options={"crf": "0", "preset": "fast"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "rgb24"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def _write_csv(path: Path, names: Sequence[str], lines: Sequence[Sequence[str | int]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([names, *lines])


_WRITERS = {
    "videogan": _write_grid,
    "imaginator": _write_numbered,
    "motiongan": _write_folders,
    "fevgan": _write_strips,
}
