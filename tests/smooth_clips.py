"""Clips for a tree with smooth noise instead of faces, and landmarks that drift: quick to write."""

from pathlib import Path

import cv2
import numpy as np

from facenhance_jax.faces import alignment

LENGTH, SIZE = 8, 48


def write_clip(
    root: Path, name: str, *, size: tuple[int, int] = (SIZE, SIZE), seed: int = 0, suffix: str = "jpg"
) -> Path:
    """LENGTH smooth random images of height and width `size`, and landmarks that drift."""
    folder = root / name
    folder.mkdir(parents=True)
    rng = np.random.default_rng([seed, *name.encode()])
    for n in range(LENGTH):
        image = cv2.resize(rng.integers(0, 256, (6, 6, 3), np.uint8), size[::-1], interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"img_{n:04d}.{suffix}"), image)
    face = alignment.mean_shape(min(size))
    np.save(folder / "landmarks.npy", np.stack([face + n for n in range(LENGTH)]).astype(np.float32))
    return folder
