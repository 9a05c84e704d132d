"""A small evaluation's folder with known numbers and flat frames, as `results` would have written it."""

import csv
import json
from pathlib import Path

import numpy as np

from facenhance_jax.evaluation.results import FORMAT

FRAMES, SIZE, LOW = 10, 16, 4
BRIGHT = 6  # the frame in which enhanced and real differ most
CLIPS = [("9001/anger", "anger"), ("9001/<fear>", "<fear>"), ("9002/anger", "anger")]
METHODS = {"enhanced-2": 2, "enhanced-8": 8, "photo": None, "upsampled": None}
NAMES = {"photo": "photo copied", "upsampled": "low-res upsampled"}
HASH = "ab" * 32


def psnr(clip: int, method: str) -> float:
    return [30.25, 32.5, 28.75][clip] + {"enhanced-2": -4, "enhanced-8": 0, "photo": -8, "upsampled": -12}[method]


def frames(clip: int) -> dict[str, np.ndarray]:
    """Flat frames: real ones of 100 + frame, enhanced ones 10 grey levels off, 12 + clip in the bright frame."""
    flat = np.zeros((FRAMES, SIZE, SIZE, 3), np.uint8)
    real = flat + np.arange(100, 100 + FRAMES, dtype=np.uint8)[:, None, None, None]
    enhanced = real + 10
    enhanced[BRIGHT] += 2 + clip
    low = flat[:, :LOW, :LOW] + np.arange(FRAMES, dtype=np.uint8)[:, None, None, None]
    return {"identity": flat[0] + 200, "low": low, "enhanced": enhanced, "real": real, "face": flat[..., 0] > 0}


def found() -> dict:
    """results.json of the folder."""
    rows = []
    for key, steps in METHODS.items():
        row = {"method": NAMES.get(key, "enhanced"), "key": key, "steps": steps, "n": 3, "clips": {}, "absent": {}}
        row["psnr"] = sum(psnr(clip, key) for clip in range(3)) / 3
        rows.append(
            row | ({"model": HASH, "seed": 7, "shared_noise": True, "seconds_per_frame": steps / 16} if steps else {})
        )
    rows[1] |= {"landmarks": 4.125, "clips": {"landmarks": 2}, "absent": {"landmarks": "9002/anger: no face"}}
    rows.append({"method": "real", "key": "real", "steps": None, "n": 3, "clips": {}, "absent": {}, "fvd_half": 151.39})
    kept = [("first of anger",), ("first of <fear>",), ("worst psnr",)]
    names = [name for name, _ in CLIPS]
    return {
        "format": FORMAT,
        "settings": {"data": "drawn (synthetic) faces", "drawn": True, "frames": FRAMES, "size": SIZE, "n": 3},
        "metrics": {
            "psnr": {"label": "PSNR", "unit": "dB", "best": "high", "digits": 2},
            "fvd_half": {"label": "FVD/2", "unit": "", "best": "low", "digits": 1},
            "landmarks": {"label": "landmarks", "unit": "percent", "best": "low", "digits": 2},
        },
        "extractors": {
            "fvd": {"extractor": "I3D", "weights_sha256": "cd" * 32, "frames": FRAMES, "size": SIZE, "stride": 1}
        },
        "absent": {"acd": "needs dlib & more", "fvd": "not asked for"},
        "rows": rows,
        "kept": [
            {"clip": name, "file": f"kept/000{i}.npz", "why": list(why), "method": "enhanced-8"}
            for i, (name, why) in enumerate(zip(names, kept, strict=True))
        ],
    }


def write(place: Path) -> Path:
    """Writes the folder."""
    (place / "kept").mkdir(parents=True)
    (place / "results.json").write_text(json.dumps(found()))
    for clip in range(3):
        np.savez_compressed(place / f"kept/000{clip}.npz", **frames(clip))
    with (place / "clips.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["clip", "subject", "expression", "method", "steps", "psnr", "landmarks"])
        for clip, (name, expression) in enumerate(CLIPS):
            for key, steps in METHODS.items():
                error = 3.5 + clip if key == "enhanced-8" and clip < 2 else ""
                lines.writerow([name, name[:4], expression, key, steps or "", psnr(clip, key), error])
            lines.writerow([name, name[:4], expression, "real", "", "", ""])
    return place
