"""Whether a face wears glasses: their bridge is an edge across the root of the nose, where skin has none."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

STEP = 0.01  # face units
EDGE = 4.5  # grey values per STEP; 130 portraits: 29 of the 31 above wear glasses, and nearly nobody below


def worn(photo: UInt8[np.ndarray, "h w 3"], to_photo: Float[np.ndarray, "2 3"], root: Float[np.ndarray, "2"]) -> bool:
    """`to_photo` leads from face coordinates to pixels; `root` is landmark 27 in face coordinates."""
    unit = float(np.hypot(*to_photo[:, 0]))
    grey = cv2.GaussianBlur(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.2 * STEP * unit)
    x, y = np.meshgrid(np.arange(-0.1, 0.1, STEP), np.arange(-0.16, 0.3, STEP))
    at = np.stack([x + root[0], y + root[1]], -1) @ to_photo[:, :2].T + to_photo[:, 2]
    rows = cv2.remap(grey, at.astype(np.float32), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).mean(1)
    return bool(np.abs(np.diff(rows)).max() > EDGE)
