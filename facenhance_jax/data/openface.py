"""Reads what OpenFace's FeatureExtraction wrote about a clip: its CSV, and the folder of aligned faces next to it.

Written after OpenFace's documentation and output files; none of its code or models is used.
"""

import csv
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from facenhance_jax.data import layout
from facenhance_jax.faces import framing
from facenhance_jax.media.pictures import decode_image, resize
from facenhance_jax.messages import InputError

POINTS = [f"{axis}_{point}" for axis in "xy" for point in range(68)]
_ALIGNED = re.compile(r"frame_det_(\d+_)?(\d+)\.(bmp|png)", re.IGNORECASE)


@dataclass(frozen=True)
class Output:
    """What OpenFace found in the frames 0 .. n-1 of a clip (OpenFace itself counts from 1).

    Attributes:
      file: the CSV.
      success: whether the face was found in each frame; False for frames that the CSV does not list.
      landmarks: in pixels of the original frames, NaN where the face was not found; None if the CSV has no points.
      aligned: {frame: file of its aligned image}; empty if there is no `_aligned` folder.
    """

    file: Path
    success: Bool[np.ndarray, " n"]
    landmarks: Float32[np.ndarray, "n 68 2"] | None
    aligned: dict[int, Path]

    def low_frame(self, frame: int, size: int) -> UInt8[np.ndarray, "{size} {size} 3"] | None:
        """The aligned face of a frame, size x size; None if no face was found, or its image is missing or all black.

        Raises InputError if the image cannot be read or was made without the mask.
        """
        path = self.aligned.get(frame)
        if path is None or not self.success[frame]:
            return None
        image = decode_image(path.read_bytes(), path)
        if not image.any():
            return None
        if image[-1, 0].any() or image[-1, -1].any():  # the chin's hull leaves both lower corners free
            raise InputError(f"{path}: the face is not on black; run OpenFace without -nomask")
        return resize(framing.middle(*image.shape[:2]).cut(image), size)


def find(recording: layout.Recording, root: Path | str, output: Path | str) -> Path | None:
    """The CSV about a clip in OpenFace's output folder, which has the same layout as the tree `root`; None if missing.

    For the clip <root>/a/b/clip it is <output>/a/b/clip.csv, or <output>/a/b/clip/clip.csv, or the only CSV in
    <output>/a/b/clip.
    """
    folder = Path(output) / recording.stem.relative_to(root)
    inside = sorted(folder.glob("*.csv")) if folder.is_dir() else []
    named = [path for path in inside if path.stem == folder.name]
    sibling = folder.with_name(f"{folder.name}.csv")
    choices = [sibling] if sibling.is_file() else named or (inside if len(inside) == 1 else [])
    return choices[0] if choices else None


def read(file: Path, frames: int) -> Output:
    """Reads a CSV about a clip of `frames` frames, with or without `face_id`, separated by "," or ", ".

    If it lists several faces, the one found in most frames is taken. Raises InputError if the CSV cannot be read, has
    no column `frame` or `success`, or lists more frames than the clip has.
    """
    rows = _rows(file)
    counts = Counter(row["face_id"] for row in rows if row["success"])
    face = min(counts, key=lambda face_id: (-counts[face_id], face_id), default="0")
    rows = {row["frame"]: row for row in rows if row["face_id"] == face}
    if rows and max(rows) > frames:
        raise InputError(f"{file}: lists frame {max(rows)}, but the clip has {frames}; give the CSV of this clip")
    found = {number - 1: row for number, row in rows.items() if row["success"]}
    success = np.zeros(frames, bool)
    success[list(found)] = True
    landmarks = None
    if any(row["points"] is not None for row in rows.values()):
        landmarks = np.full((frames, 68, 2), np.nan, np.float32)
        for frame, row in found.items():
            landmarks[frame] = np.asarray(row["points"], np.float32).reshape(2, 68).T
    return Output(file, success, landmarks, _aligned(file, face))


def _rows(file: Path) -> list[dict]:
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            reader = csv.reader(stream, skipinitialspace=True)
            names = [name.strip() for name in next(reader, [])]
            missing = {"frame", "success"} - set(names)
            if missing:
                raise InputError(
                    f"{file}: has no column {' and no '.join(sorted(missing))}; give FeatureExtraction's CSV"
                )
            points = [names.index(name) for name in POINTS] if set(POINTS) <= set(names) else None
            column = {name: index for index, name in enumerate(names)}
            return [_row(values, column, points) for values in reader if values]
    except InputError:
        raise
    except (OSError, csv.Error, ValueError, IndexError) as error:
        raise InputError(f"{file}: not a whole CSV of OpenFace's ({error}); run OpenFace on the clip again") from error


def _row(values: list[str], column: dict[str, int], points: list[int] | None) -> dict:
    return {
        "frame": int(float(values[column["frame"]])),
        "face_id": values[column["face_id"]].strip() if "face_id" in column else "0",
        "success": float(values[column["success"]]) == 1.0,
        "points": None if points is None else [float(values[index]) for index in points],
    }


def _aligned(file: Path, face: str) -> dict[int, Path]:
    """{frame, counted from 0: file of the face's aligned image}."""
    folder = file.with_name(f"{file.stem}_aligned")
    images = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        match = _ALIGNED.fullmatch(path.name)
        if match and int((match[1] or face).rstrip("_")) == int(float(face)):
            images[int(match[2]) - 1] = path
    return images
