"""The layers of a drawn portrait that do not change from frame to frame: background, clothes, skin, hair.

They are painted once for each person, in linear light.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

from facenhance_jax.data.synthetic.appearance import Appearance, Rgb
from facenhance_jax.data.synthetic.face_shape import FaceShape, brow_line, bump, half_width, smoothstep

Map = Float[np.ndarray, "h w"]
Colours = Float[np.ndarray, "h w 3"]


def clouds(rng: np.random.Generator, shape: tuple[int, int], cell: float, stretch: float = 1.0) -> Map:
    """Smooth noise of unit variance; its spots are about `cell` pixels wide and `cell * stretch` high."""
    rows, columns = max(3, int(shape[0] / (cell * stretch)) + 2), max(3, int(shape[1] / cell) + 2)
    small = rng.standard_normal((rows, columns)).astype(np.float32)
    noise = cv2.resize(small, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return noise / max(float(noise.std()), 1e-6)


def mix(under: Colours, colour: Colours | Float[np.ndarray, "3"] | Rgb, mask: Map) -> Colours:
    """Blends a colour over the colours under it."""
    return under + (np.asarray(colour, np.float32) - under) * mask[..., None].astype(np.float32)


@dataclass(frozen=True)
class Portrait:
    """A person at rest without eyes and lips; a frame is colours * (shade + sum of strength * creases) + gloss."""

    colours: Colours
    shade: Map
    gloss: Map
    height: Map  # of the head above its outline, face units
    skin: Map  # where creases show
    relief: Map  # heights of everything, face units


class Painter:
    """Paints the layers of one person over each other, from the background to the hair.

    `x` and `y` are the face coordinates of the pixels, `unit` is the number of pixels in half the width of the face.
    """

    def __init__(self, shape: FaceShape, appearance: Appearance, x: Map, y: Map, unit: float) -> None:
        self.shape, self.appearance, self.x, self.y, self.unit = shape, appearance, x, y, unit
        self.far = np.abs(x)
        self.rng = np.random.default_rng(appearance.texture)
        self.wide = half_width(shape, y).astype(np.float32)
        self.head = self.soften(self.edge(self.wide - self.far) * (self.wide > 0.02), 0.012)

    def edge(self, inside: Map, soft: float = 1.5) -> Map:
        """A mask that rises from 0 to 1 over `soft` pixels where `inside` (face units) changes sign."""
        return np.clip(inside * (self.unit / soft) + 0.5, 0.0, 1.0).astype(np.float32)

    def soften(self, image: np.ndarray, sigma: float) -> np.ndarray:
        """A Gaussian blur; sigma in face units."""
        return cv2.GaussianBlur(image, (0, 0), max(sigma * self.unit, 0.4))

    def noise(self, cell: float, stretch: float = 1.0) -> Map:
        """`clouds` with spots of `cell` face units."""
        return clouds(self.rng, self.x.shape, max(cell * self.unit, 1.0), stretch)

    def hill(self, at: tuple[float, float], wide: float, high: float) -> Map:
        """A Gaussian hill on both sides of the face."""
        return bump(self.far, self.y, at, wide, high)

    def paint(self) -> Portrait:
        """Paints all layers; skin and clothes are lit as one relief."""
        height = self.head_height()
        relief, neck = self.relief(height)
        light = self.lighting(relief)
        skin = np.maximum(self.head, neck)
        colours = self.background()
        colours = self.back_hair(colours)
        skin_colours = self.skin_colours()
        colours = mix(colours, skin_colours, np.maximum(neck, self.ears()))
        colours = self.garment(colours)
        colours = mix(colours, skin_colours, self.head)
        lit = np.maximum(np.maximum(skin, self.ears()), self.clothes_mask()).astype(np.float32)
        shade = 1.0 + lit * (light - 1.0)
        hair, hair_colours = self.front_hair()
        colours = mix(colours, hair_colours, hair)
        shade = (shade + hair * (0.75 + 0.25 * shade - shade)).astype(np.float32)
        skin = (self.head * (1.0 - hair)).astype(np.float32)
        gloss = self.gloss(relief) * skin
        return Portrait(
            colours.astype(np.float32),
            shade,
            gloss.astype(np.float32),
            (height * self.head).astype(np.float32),
            skin,
            relief.astype(np.float32),
        )

    def head_height(self) -> Map:
        """The relief of the face: an egg with brow ridges, eye sockets, nose, cheeks, muscles of the lips, and chin."""
        s, x, y, hill = self.shape, self.x, self.y, self.hill
        across = np.clip(self.far / np.maximum(self.wide, 1e-3), 0.0, 1.0)
        down = np.where(y > 0, np.clip(y / s.chin, 0, 1) ** 6, np.clip((y + 0.35) / (s.crown + 0.35), 0, 1) ** 2.2)
        z = s.depth * np.sqrt(np.clip(1.0 - across**2.3, 0, 1)) * (0.35 + 0.65 * np.sqrt(np.clip(1.0 - down, 0, 1)))
        z = z + 0.06 * hill((0.36, s.brow_y + 0.05), 0.24, 0.09) + 0.03 * bump(x, y, (0, s.brow_y + 0.02), 0.1, 0.1)
        z = z - 0.13 * hill((s.eye_x - 0.03, -0.02), 0.2, 0.12) + 0.06 * hill((s.eye_x, 0.0), 0.13, 0.085)
        tip, wing = s.nose_tip, s.nose_width
        rise = np.clip((y + 0.12) / (tip + 0.12), 0, 1)
        ridge = (s.bridge + (s.nose_height - s.bridge) * rise**1.4) * smoothstep(-0.3, 0.05, y)
        breadth = 0.085 + 0.075 * rise
        nose = ridge * np.exp(-0.5 * (x / breadth) ** 2) + 0.07 * bump(x, y, (0, tip), 0.11, 0.1)
        nose = nose + 0.13 * hill((wing * 0.8, tip + 0.045), 0.065, 0.075)
        z = z + nose * smoothstep(tip + 0.23, tip + 0.06, y)
        z = z + s.cheek * hill((0.55, 0.42), 0.22, 0.2) - s.hollow * hill((0.6, 0.88), 0.16, 0.24)
        z = z + 0.07 * bump(x, y, (0, s.mouth_y), 0.33, 0.2) - 0.02 * bump(x, y, (0, s.mouth_y - 0.2), 0.035, 0.07)
        below = s.mouth_y + s.lower_lip
        z = z - 0.035 * bump(x, y, (0, below + 0.11), 0.2, 0.06) + 0.07 * bump(x, y, (0, s.chin - 0.2), 0.2, 0.13)
        return z.astype(np.float32)

    def neck_mask(self) -> Map:
        s = self.shape
        wide = s.neck + 0.5 * smoothstep(1.7, 2.5, self.y) ** 2
        return self.edge(wide - self.far) * self.edge(self.y - 0.7)

    def clothes_mask(self) -> Map:
        """Shoulders below the neck line."""
        neck = self.shape.neck
        shoulder = self.y - (self.shape.chin + 0.16) - 0.42 * np.clip(self.far - neck, 0, None) ** 0.85
        depth = (0.38, 0.6, 0.5, -0.1)[self.appearance.collar]
        line = (
            self.shape.chin
            + 0.22
            + depth * np.clip(1.0 - (self.far / (neck + 0.1)) ** (2.0, 1.0, 1.1, 2.0)[self.appearance.collar], 0, 1)
        )
        return self.edge(np.minimum(shoulder, self.y - line), 2.0)

    def ears(self) -> Map:
        ear = 1.0 - ((self.far - 1.0) / 0.1) ** 2 - ((self.y - 0.2) / 0.3) ** 2
        return self.edge(ear * 0.1) * float(self.appearance.hair_end < 0.6 or self.appearance.hair_volume == 0.0)

    def relief(self, height: Map) -> tuple[Map, Map]:
        """Heights of everything that casts shadows or is lit, and the mask of the neck."""
        neck, s = self.neck_mask(), self.shape
        throat = -0.5 + 0.55 * np.sqrt(np.clip(1.0 - (self.far / (s.neck + 0.35)) ** 2, 0, 1))
        cloth = -0.35 + 0.5 * np.exp(-((self.far / 1.1) ** 2)) + 0.03 * self.soften(self.noise(0.35), 0.05)
        relief = -1.2 + (throat + 1.2) * neck
        ears = 0.1 - 0.5 * ((self.far - 1.02) / 0.12) ** 2
        relief = relief + (ears - relief) * self.ears()
        clothes = self.clothes_mask()
        relief = relief + (cloth - relief) * clothes
        relief = relief + (height - relief) * self.head
        return relief.astype(np.float32), neck

    def normals(self, relief: Map) -> tuple[Map, Map, Map]:
        """Unit normals of a relief. Slopes are limited to 2.5, because outlines are steps in the relief."""
        across = np.clip(cv2.Sobel(relief, cv2.CV_32F, 1, 0, ksize=3, scale=self.unit / 8), -2.5, 2.5)
        down = np.clip(cv2.Sobel(relief, cv2.CV_32F, 0, 1, ksize=3, scale=self.unit / 8), -2.5, 2.5)
        length = 1.0 / np.sqrt(across * across + down * down + 1.0)
        return -across * length, -down * length, length

    def shading(self, relief: Map, light: Rgb | None = None) -> tuple[Map, Map]:
        """Light from one direction, softened as by skin, and ambient light, which is stronger from above."""
        nx, ny, nz = self.normals(relief)
        lx, ly, lz = self.appearance.light if light is None else light
        direct = np.clip((nx * lx + ny * ly + nz * lz + 0.22) / 1.22, 0, None)
        return self.appearance.key * direct, (1.0 - self.appearance.key) * (0.72 - 0.28 * ny + 0.12 * nz)

    def lighting(self, relief: Map) -> Map:
        """The shading with cast shadows and darker hollows."""
        direct, around = self.shading(relief)
        lx, ly, lz = self.appearance.light
        flat = max(np.hypot(lx, ly), 1e-3)
        shadow = np.ones_like(relief)
        smooth = self.soften(relief, 0.02)
        for step in np.arange(0.04, 0.75, 0.04):
            shift = np.float32([[1, 0, -lx / flat * step * self.unit], [0, 1, -ly / flat * step * self.unit]])
            there = cv2.warpAffine(smooth, shift, relief.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
            over = there - smooth - step * lz / flat
            shadow = np.minimum(shadow, 1.0 - smoothstep(0.0, 0.14, over))
        shadow = self.soften(shadow.astype(np.float32), 0.03)
        hollow = np.clip(1.0 + 1.6 * (relief - self.soften(relief, 0.13)) * (relief > -1.0), 0.55, 1.12)
        return ((direct * (0.4 + 0.6 * shadow) + around * (0.6 + 0.4 * shadow)) * hollow * 1.12).astype(np.float32)

    def gloss(self, relief: Map) -> Map:
        """The shine of skin, mostly on nose, forehead and cheeks."""
        nx, ny, nz = self.normals(self.soften(relief, 0.03))
        lx, ly, lz = self.appearance.light
        norm = np.sqrt(lx**2 + ly**2 + (lz + 1.0) ** 2)
        half = np.clip((nx * lx + ny * ly + nz * (lz + 1.0)) / norm, 0, 1)
        return 0.07 * self.appearance.key * half**24 * (1.0 + 0.25 * self.noise(0.03))

    def skin_colours(self) -> Colours:
        """Skin with red and pale parts, pores, freckles, stubble or beard, brows, nostrils and eye shadow."""
        s, k, hill = self.shape, self.appearance, self.hill
        skin = np.broadcast_to(np.float32(k.skin), (*self.x.shape, 3)).copy()
        skin *= (1.0 + 0.035 * self.noise(0.3) + 0.03 * self.noise(0.08) + 0.035 * self.noise(0.025))[..., None]
        red = k.blush * (
            hill((0.55, 0.5), 0.2, 0.16)
            + 0.7 * bump(self.x, self.y, (0, s.nose_tip), 0.16, 0.12)
            + 0.5 * hill((1.03, 0.2), 0.1, 0.2)
        )
        skin *= 1.0 - red[..., None] * np.float32((0.02, 0.55, 0.5))
        if k.freckles > 0:
            spots = smoothstep(1.3, 2.0, self.noise(0.035)) * (
                hill((0.4, 0.4), 0.3, 0.2) + 0.6 * hill((0, 0.3), 0.2, 0.2)
            )
            skin *= 1.0 - np.clip(2.0 * k.freckles * spots, 0, 0.55)[..., None] * np.float32((0.6, 0.9, 1.0))
        bags = k.bags * 0.22 * hill((s.eye_x - 0.05, 0.15), 0.15, 0.05) + 0.16 * hill((s.eye_x, -0.02), 0.2, 0.1)
        bags = bags + 0.35 * k.makeup * hill((s.eye_x, -0.1), 0.17, 0.05)
        skin *= 1.0 - np.clip(bags, 0, 0.6)[..., None] * np.float32((0.75, 1.0, 0.9))
        nostril = hill((s.nose_width * 0.48, s.nose_tip + 0.1), 0.036, 0.02)
        wing = hill((s.nose_width * 1.02, s.nose_tip + 0.06), 0.02, 0.06)
        skin *= (1.0 - 0.8 * np.clip(1.5 * nostril, 0, 1) - 0.25 * wing)[..., None]
        skin = self.beard(skin)
        return mix(skin, k.brows, self.brows())

    def beard(self, skin: Colours) -> Colours:
        """Stubble, beard and moustache."""
        s, k, far, y = self.shape, self.appearance, self.far, self.y
        cheek = 0.52 + 0.6 * np.clip(1.0 - (far / 0.98) ** 2.5, 0, 1)
        area = smoothstep(0.0, 0.2, y - cheek) * (0.3 + 0.7 * self.head)
        lips = 1.0 - ((far / (s.mouth_width * 1.12)) ** 2 + ((y - s.mouth_y - 0.02) / 0.2) ** 2)
        area = area * smoothstep(0.15, -0.25, lips)
        lip = smoothstep(s.nose_tip + 0.13, s.nose_tip + 0.19, y) * smoothstep(
            s.mouth_y - s.upper_lip, s.mouth_y - s.upper_lip - 0.06, y
        )
        lip = lip * smoothstep(s.mouth_width + 0.08, s.mouth_width - 0.06, far + 0.25 * (s.mouth_y - y - 0.2))
        grain = np.clip(0.82 + 0.13 * self.noise(0.018, 2.2) + 0.1 * self.noise(0.1), 0, 1.3)
        cover = np.maximum(area * max(k.beard, 0.5 * k.stubble), lip * max(0.9 * k.beard, k.moustache, 0.3 * k.stubble))
        return mix(skin, tuple(0.7 * v + 0.004 for v in k.brows), np.clip(cover * grain, 0, 0.85).astype(np.float32))

    def brows(self) -> Map:
        """The mask of the brows: thick at the inner end, thin at the outer end, made of strokes."""
        s = self.shape
        along = (self.far - s.brow_inner) / (s.brow_outer - s.brow_inner)
        off = self.y - brow_line(s, np.clip(along, -0.15, 1.1))
        thick = s.brow_thick * (1.0 - 0.55 * np.clip(along, 0, 1) ** 1.6)
        body = (
            smoothstep(1.25, 0.45, np.abs(off) / thick) * smoothstep(-0.12, 0.08, along) * smoothstep(1.06, 0.9, along)
        )
        strokes = np.sin((self.far * 1.0 + off * 1.3) * 130.0 + 2.0 * self.noise(0.06))
        return np.clip(body * (0.8 + 0.14 * strokes + 0.1 * self.noise(0.03)), 0, 0.95).astype(np.float32)

    def background(self) -> Colours:
        """What is behind the person."""
        first, second, third = (np.float32(c) for c in self.appearance.backdrop)
        rows, columns = self.x.shape
        angle = self.rng.uniform(0, np.pi)
        across = (np.cos(angle) * self.x + np.sin(angle) * self.y) / 4.5 + 0.5
        colours = mix(
            np.broadcast_to(first, (rows, columns, 3)).copy(), second, np.clip(across, 0, 1).astype(np.float32)
        )
        scene = self.appearance.scene
        if scene == 1:
            for _ in range(int(self.rng.integers(6, 16))):
                at, size = self.rng.uniform(-2.4, 2.4, 2), self.rng.uniform(0.15, 0.8)
                spot = self.edge(size - np.hypot(self.x - at[0], self.y - at[1]), 6.0 + 10 * self.rng.random())
                colours = mix(colours, third * self.rng.uniform(0.2, 1.6, 3), spot * self.rng.uniform(0.3, 0.9))
        if scene == 2:
            for _ in range(int(self.rng.integers(2, 6))):
                left, wide = self.rng.uniform(-2.4, 2.0), self.rng.uniform(0.2, 1.2)
                top = self.rng.uniform(-2.6, 1.0)
                panel = self.edge(np.minimum(wide - np.abs(self.x - left), self.y - top), 4.0)
                colours = mix(colours, third * self.rng.uniform(0.2, 1.6, 3), panel * 0.8)
            colours = self.soften(colours, self.rng.uniform(0.01, 0.08))
        if scene == 3:
            colours = colours * np.exp(0.1 * self.noise(0.06) + 0.12 * self.noise(0.3))[..., None]
        return np.clip(colours * np.exp(0.06 * self.noise(0.9) + 0.012 * self.noise(0.03))[..., None], 0.004, 0.95)

    def garment(self, colours: Colours) -> Colours:
        """Clothes with weave, pattern and collar."""
        k = self.appearance
        cloth = np.broadcast_to(np.float32(k.clothes), colours.shape).copy()
        period = self.rng.uniform(0.12, 0.4)
        stripes = smoothstep(-0.2, 0.2, np.sin(self.y * 2 * np.pi / period))
        checks = 0.5 * stripes + 0.5 * smoothstep(-0.2, 0.2, np.sin(self.x * 2 * np.pi / period))
        cloth = mix(cloth, k.trim, ((0.0 * stripes, stripes, checks)[k.pattern] * 0.7).astype(np.float32))
        cloth *= (1.0 + 0.06 * self.noise(0.02) + 0.12 * self.noise(0.25, 2.0))[..., None]
        mask = self.clothes_mask()
        rim = mask * (1.0 - self.soften(self.edge(mask - 0.5, 1e-3 + self.unit), 0.035)) * 2.0
        cloth = mix(cloth, k.trim, np.clip(rim, 0, 1) * (0.8 if k.collar != 1 else 0.3))
        return mix(colours, np.clip(cloth, 0.004, 0.9), mask)

    def strands(self, tone: float) -> Colours:
        """The hair's colour, with strands that fall from the parting, and its shine."""
        k = self.appearance
        fall = np.where(self.y < 0, np.arctan2(self.x - 0.4 * k.parting, 0.5 - self.y + 0.3), self.x)
        bend = k.hair_curl * 0.25 * np.sin(self.y * 7.0 + 2.0 * self.soften(self.noise(0.3), 0.1))
        columns = ((fall + 0.12 * bend + 4.0) * 0.12).astype(np.float32) % 1.0
        table = clouds(self.rng, (64, 1024), 3.0, 8.0) + 0.7 * clouds(self.rng, (64, 1024), 9.0, 3.0)
        rows = np.clip((self.y + 3.0) * 10.0, 0, 63).astype(np.float32)
        noise = cv2.remap(table.astype(np.float32), columns * 1023, rows, cv2.INTER_LINEAR)
        reach = np.hypot(self.x, (self.y - 0.2) * 0.8)
        shine = (
            np.exp(-(((reach - 0.95) / 0.16) ** 2))
            * np.exp(-(((self.x - 1.2 * k.light[0]) / 0.7) ** 2))
            * (self.y < 0.2)
        )
        bright = tone * np.exp(0.33 * noise) * (0.75 + 0.35 * k.light[0] * self.x - 0.2 * np.clip(self.y, -1, 1.5))
        colours = np.float32(k.hair) * np.clip(bright, 0.15, 3.0)[..., None]
        gleam = (np.float32(k.hair) * 1.2 + 0.03) * (shine * np.clip(0.8 + 0.5 * noise, 0, 2))[..., None]
        return (colours + gleam).astype(np.float32)

    def hair_outline(self) -> Map:
        """Positive inside the outline of the hair."""
        k, s = self.appearance, self.shape
        top = s.crown - 0.8 * k.hair_volume
        above = np.clip(self.y / top, 0, 1)
        wide = (1.02 + 0.9 * k.hair_volume) * (1.0 - above**2.4) ** 0.5
        wide = np.where(above < 1.0, wide, -0.2) + 0.06 * k.hair_curl * (above < 0.9) * np.sin(
            self.y * 9.0 + 3.0 * np.sign(self.x)
        )
        wide = wide + 0.12 * np.clip(self.y, 0, 2) * float(k.hair_end > 0.8)
        return np.minimum(wide - self.far, (k.hair_end - self.y) * 0.6 + 0.1 * self.noise(0.08, 3.0) * 0.3)

    def back_hair(self, colours: Colours) -> Colours:
        """Adds the hair behind head and neck."""
        if self.appearance.hair_volume == 0.0:
            return colours
        mask = self.soften(self.edge(self.hair_outline(), 2.0), 0.015)
        return mix(colours, self.strands(0.55), mask)

    def front_hair(self) -> tuple[Map, Colours]:
        """The hair over the forehead and along the temples: its mask and colours."""
        k = self.appearance
        if k.hair_volume == 0.0:
            return np.zeros_like(self.x), np.zeros((*self.x.shape, 3), np.float32)
        aside = np.abs(self.x - 0.15 * k.parting) / 0.99
        temple = 0.2 if k.hair_end < 0.6 else 0.9
        line = k.hair_line + (temple - k.hair_line) * np.clip(aside, 0, 1.2) ** (4.5 + 3.0 * k.hair_curl)
        lowest = self.shape.brow_y - 0.14 - self.shape.brow_arch * 0.5
        fringe = k.hair_line + k.fringe * (lowest - k.hair_line) * smoothstep(
            1.0, 0.4, np.abs(self.x - 0.7 * k.parting) / 1.1
        )
        ragged = 0.035 * self.noise(0.05, 6.0) * (0.4 + k.fringe)
        inside = np.maximum(line, fringe) + ragged - self.y
        inside = np.minimum(inside, self.hair_outline())
        inside = np.where(self.y < 0.3, inside, np.minimum(inside, self.far - 0.8))
        return self.soften(self.edge(inside.astype(np.float32), 3.0), 0.015), self.strands(1.0)
