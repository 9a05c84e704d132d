"""A tiny MUG-shaped tree of drawn people with every quirk of the real one, and a fake OpenFace output for it."""

from pathlib import Path

import cv2
import numpy as np

from facenhance_jax.data.synthetic.population import draw_clip, draw_subject
from facenhance_jax.faces import alignment

SIZE, LENGTH = 96, 9
BROKEN = 3  # frames of a clip that broke off
# subject, folders, numbers of the frames: sessions, nsg and end takes, other starts than 0, a gap, a broken clip.
TAKES = (
    (1, "001/anger/take000", range(LENGTH)),
    (1, "001/neutral/take000", range(2)),
    (1, "001/happiness/take000nsg", range(161, 161 + LENGTH)),
    (1, "001/happiness/take001", [*range(4), *range(5, LENGTH + 1)]),
    (1, "001/surprise/take000end", range(LENGTH)),
    (2, "002/session0/anger/take000", range(LENGTH)),
    (2, "002/session0/neutral/take000", range(2)),
    (2, "002/session1/anger/take000", range(LENGTH)),
    (3, "003/anger/take000", range(BROKEN)),
    (3, "003/disgust/take000", range(LENGTH)),
    (3, "003/fear/take000", range(120, 120 + LENGTH)),
)
CLIPS = [
    "001/session0/anger/take000",
    "001/session0/happiness/take000nsg",
    "001/session0/happiness/take001",
    "001/session0/neutral/take000",
    "001/session0/surprise/take000end",
    "002/session0/anger/take000",
    "002/session0/neutral/take000",
    "002/session1/anger/take000",
    "003/session0/disgust/take000",
    "003/session0/fear/take000",
]


def draw(root: Path) -> Path:
    """The tree, with landmarks.npy in every take."""
    people = {number: draw_subject(0, number) for number in (1, 2, 3)}
    for number, name, numbers in TAKES:
        folder = root / name
        folder.mkdir(parents=True)
        frames, landmarks = draw_clip(people[number], folder.parent.name, 0, len(numbers), SIZE)
        suffix = "JPG" if name.endswith("end") else "jpg"
        for frame, index in zip(frames, numbers, strict=True):
            cv2.imwrite(str(folder / f"img_{index:04d}.{suffix}"), frame[..., ::-1])
        np.save(folder / "landmarks.npy", landmarks)
    for stray in ("001/surprise/take000end/clip.avi", "001/anger/take000/._img_0000.jpg", "001/Thumbs.db", "ids.txt"):
        (root / stray).write_bytes(b"stray")
    (root / "003/sadness/take000").mkdir(parents=True)  # nothing was recorded
    (root / "003/sadness/take000/clip.avi").touch()
    second = root / "002/anger/take000"  # next to the session folders: it would have the same name as session0's
    second.mkdir(parents=True)
    (second / "img_0000.jpg").write_bytes((root / "002/session0/anger/take000/img_0000.jpg").read_bytes())
    return root


def without_landmarks(root: Path) -> Path:
    for path in root.rglob("landmarks.npy"):
        path.unlink()
    return root


def openface(
    root: Path,
    output: Path,
    *,
    failed: tuple[int, ...] = (),
    aligned: bool = True,
    points: bool = True,
    old: bool = False,
) -> Path:
    """What FeatureExtraction would have written about each take of the tree, from the drawn landmarks.

    `failed`: frames (from 0) without a face: every other one gets a black image, the rest none. `old`: the dialect
    without face_id and with ", " between names.
    """
    for landmarks_file in sorted(root.rglob("landmarks.npy")):
        take = landmarks_file.parent
        base = output / take.relative_to(root)
        base.parent.mkdir(parents=True, exist_ok=True)
        images = sorted(path for path in take.iterdir() if path.suffix.lower() == ".jpg" and path.name[0] != ".")
        landmarks = np.load(landmarks_file)
        names = ["frame", *([] if old else ["face_id"]), "timestamp", "confidence", "success"]
        names += [f"{axis}_{point}" for axis in "xy" for point in range(68)] if points else []
        lines = [(", " if old else ",").join(names)]
        folder = base.with_name(f"{base.name}_aligned")
        if aligned:
            folder.mkdir()
        for number, (image, shape) in enumerate(zip(images, landmarks, strict=True)):
            good = number not in failed
            values = [number + 1, *([] if old else [0]), number / 25, 0.98 * good, int(good)]
            values += [f"{value:.4f}" for value in shape.T.ravel() * good] if points else []
            lines.append(",".join(map(str, values)))
            if aligned and (good or number % 2):
                low = alignment.low_frame(cv2.imread(str(image))[..., ::-1], shape) * good
                cv2.imwrite(str(folder / f"frame_det_00_{number + 1:06d}.bmp"), low[..., ::-1])
        base.with_name(f"{base.name}.csv").write_text("\n".join(lines) + "\n")
    return output
