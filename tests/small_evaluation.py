"""A small evaluation's folder with known numbers and flat frames, as `results` would have written it."""

import json
from pathlib import Path

import numpy as np

from facenhance_jax.evaluation.results import FORMAT

FRAMES, SIZE, LOW = 10, 16, 4
BRIGHT = 6  # the frame in which enhanced and real differ most
CLIPS = {"9001/anger": "first of anger", "9001/<fear>": "first of <fear>", "9002/anger": "worst psnr"}


def frames(clip: int) -> dict[str, np.ndarray]:
    """Flat frames: real ones of 100 + frame, enhanced ones 10 grey levels off, 12 + clip in the bright frame."""
    flat = np.zeros((FRAMES, SIZE, SIZE, 3), np.uint8)
    real = flat + np.arange(100, 100 + FRAMES, dtype=np.uint8)[:, None, None, None]
    enhanced = real + 10
    enhanced[BRIGHT] += 2 + clip
    return {"identity": flat[0] + 200, "low": real[:, :LOW, :LOW] - 100, "enhanced": enhanced, "real": real}


def found() -> dict:
    """results.json of the folder."""
    about = {"n": 3, "steps": None, "clips": {}, "absent": {}}
    made = about | {"method": "enhanced", "model": "ab" * 32, "seed": 7, "shared_noise": True}
    landmarks = {"landmarks": 4.125, "clips": {"landmarks": 2}, "absent": {"landmarks": "9002/anger: no face"}}
    return {
        "format": FORMAT,
        "settings": {"data": "drawn (synthetic) faces", "drawn": True, "frames": FRAMES, "size": SIZE, "n": 3},
        "metrics": {
            "psnr": {"label": "PSNR", "unit": "dB", "best": "high", "digits": 2},
            "fvd_half": {"label": "FVD/2", "unit": "", "best": "low", "digits": 1},
            "landmarks": {"label": "landmarks", "unit": "percent", "best": "low", "digits": 2},
        },
        "extractors": {"fvd": {"weights_sha256": "cd" * 32, "frames": FRAMES, "size": SIZE, "stride": 1}},
        "absent": {"acd": "needs dlib & <b>more", "fvd": "not asked for"},
        "rows": [
            made | {"key": "enhanced-2", "steps": 2, "psnr": 26.5, "seconds_per_frame": 0.125},
            made | {"key": "enhanced-8", "steps": 8, "psnr": 30.5, "seconds_per_frame": 0.5} | landmarks,
            about | {"method": "photo copied", "key": "photo", "psnr": 22.5},
            about | {"method": "real", "key": "real", "fvd_half": 151.39},
        ],
        "kept": [
            {"clip": clip, "file": f"kept/000{index}.npz", "why": [why], "method": "enhanced-8"}
            for index, (clip, why) in enumerate(CLIPS.items())
        ],
    }


def write(place: Path) -> Path:
    """Writes the folder."""
    (place / "kept").mkdir(parents=True)
    (place / "results.json").write_text(json.dumps(found()))
    lines = ["clip,subject,expression,method,steps,psnr,landmarks"]
    for index, (clip, psnr, landmarks) in enumerate(zip(CLIPS, (30.25, 32.5, 28.75), ("3.5", "4.75", ""), strict=True)):
        np.savez_compressed(place / f"kept/000{index}.npz", **frames(index))
        first = f"{clip},{clip[:4]},{clip[5:]}"
        lines += [f"{first},enhanced-2,2,{psnr - 4},", f"{first},enhanced-8,8,{psnr},{landmarks}"]
        lines += [f"{first},photo,,{psnr - 8},", f"{first},real,,,"]
    (place / "clips.csv").write_text("\n".join(lines) + "\n")
    return place
