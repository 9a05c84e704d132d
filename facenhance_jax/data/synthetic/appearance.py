"""How a drawn person looks apart from the shape of the face: colours, light, hair, clothes, background."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class Appearance:
    """Colours (linear light, 0..1) and styles of one person and of the background."""

    skin: Rgb
    lips: Rgb  # the skin's colour is multiplied by this on the lips
    iris: Rgb
    hair: Rgb
    brows: Rgb
    clothes: Rgb
    trim: Rgb
    backdrop: tuple[Rgb, Rgb, Rgb]
    light: Rgb  # unit vector towards the light; z towards the camera
    key: float  # strength of that light; the rest is ambient
    gain: Rgb  # the camera's exposure and white balance
    freckles: float
    blush: float
    wrinkles: float
    bags: float
    stubble: float
    beard: float
    moustache: float
    hair_line: float  # y of the hair line at the middle of the forehead; above the crown when bald
    hair_volume: float
    hair_end: float  # y down to which the hair hangs at the sides
    hair_curl: float
    fringe: float
    parting: float
    collar: int  # 0 round, 1 V, 2 shirt, 3 roll neck
    pattern: int  # of the clothes: 0 plain, 1 stripes, 2 checks
    scene: int  # of the background: 0 gradient, 1 blurred shapes, 2 panels, 3 wall texture
    glasses: float  # thickness of the rim; 0 for none
    makeup: float
    texture: int  # seed of every texture of this person


def draw_appearance(rng: np.random.Generator) -> Appearance:
    """A random appearance."""
    depth, skin, hair, iris = _complexion(rng)
    u = rng.random
    azimuth, height = rng.uniform(-0.85, 0.85), rng.uniform(0.25, 0.8)
    light = np.array([np.sin(azimuth) * np.cos(height), -np.sin(height), np.cos(azimuth) * np.cos(height)])
    man, kind = u() < 0.5, u()
    bald = man and u() < 0.16
    long = u() < (0.12 if man else 0.72)
    colour = lambda low, high: tuple(float(v) for v in rng.uniform(low, high) * rng.dirichlet((14, 14, 14)) * 3)  # noqa: E731
    lips = np.exp(
        rng.normal((-0.16, -0.85, -0.68), (0.06, 0.15, 0.13)) - (0 if man else u() * 0.35) * np.array([0.3, 1, 0.8])
    )
    return Appearance(
        skin=_rgb(skin),
        lips=_rgb(np.minimum(lips, 1.0)),
        iris=_rgb(iris * rng.uniform(0.7, 1.3, 3)),
        hair=_rgb(hair),
        brows=_rgb(np.minimum(hair * rng.uniform(0.35, 0.8), skin * 0.42)),
        clothes=colour(0.02, 0.5),
        trim=colour(0.05, 0.7),
        backdrop=(colour(0.05, 0.7), colour(0.05, 0.7), colour(0.03, 0.8)),
        light=_rgb(light),
        key=float(rng.uniform(0.5, 0.85)),
        gain=_rgb(rng.uniform(0.9, 1.15) * rng.uniform(0.94, 1.06, 3)),
        **_styles(rng, depth, man, kind, bald, long),
    )


def _complexion(
    rng: np.random.Generator,
) -> tuple[float, Float[np.ndarray, "3"], Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """How dark the skin is (0..1), and matching colours of skin, hair and irises."""
    u = rng.random
    depth = float(np.clip(u() ** 1.7, 0, 1))
    pale, deep = np.array([0.80, 0.56, 0.44]), np.array([0.115, 0.06, 0.04])
    skin = pale ** (1 - depth) * deep**depth * np.exp(rng.normal(0, 0.08) + rng.normal(0, (0.02, 0.03, 0.06)))
    blond, black = np.array([0.42, 0.27, 0.12]), np.array([0.012, 0.009, 0.008])
    dark = np.clip(0.25 + 0.55 * depth + rng.normal(0, 0.3), 0.0, 1.0)
    hair = blond ** (1 - dark) * black**dark * np.exp(rng.normal(0, (0.15, 0.06, 0.12)))
    if u() < 0.15:
        grey = rng.uniform(0.12, 0.5)
        hair = hair * 0.2 + grey * np.array([0.8, 0.78, 0.76])
    irises = np.array(
        [[0.06, 0.026, 0.012], [0.10, 0.055, 0.02], [0.10, 0.12, 0.05], [0.10, 0.19, 0.30], [0.2, 0.23, 0.24]]
    )
    pick = int(rng.integers(0, 2)) if depth > 0.55 else int(rng.integers(0, 5))
    return depth, skin, hair, irises[pick]


def _styles(
    rng: np.random.Generator, depth: float, man: bool, kind: float, bald: bool, long: bool
) -> dict[str, float | int]:
    """Skin marks, beard, hair, clothes, background, glasses; `kind` (0..1) chooses the beard."""
    u = rng.random
    return dict(
        freckles=float(max(0.0, u() - 0.7) * (1.5 - depth)),
        blush=float(rng.uniform(0.05, 0.35)),
        wrinkles=float(u() ** 2),
        bags=float(u()),
        stubble=float(man * u() * 0.5),
        beard=float(man and kind < 0.18) * float(rng.uniform(0.35, 0.75)),
        moustache=float(man and 0.1 < kind < 0.24) * float(rng.uniform(0.5, 0.95)),
        hair_line=-2.0 if bald else float(rng.uniform(-0.98, -0.68)),
        hair_volume=0.0 if bald else float(rng.uniform(0.05, 0.3)),
        hair_end=float(rng.uniform(0.9, 2.6) if long else rng.uniform(-0.25, 0.35)),
        hair_curl=float(u()),
        fringe=float(max(0.0, rng.uniform(-0.6, 1.0))),
        parting=float(rng.uniform(-0.6, 0.6)),
        collar=int(rng.integers(0, 4)),
        pattern=int(rng.choice(3, p=[0.6, 0.25, 0.15])),
        scene=int(rng.integers(0, 4)),
        glasses=float(u() < 0.2) * float(rng.uniform(0.012, 0.035)),
        makeup=0.0 if man else float(u()),
        texture=int(rng.integers(1, 2**31)),
    )


def _rgb(values: Float[np.ndarray, "3"]) -> Rgb:
    return tuple(float(v) for v in values)
