"""Draws the demo's pictures: small, varied, and the same on every run.

Two motifs times eight palettes. Everything is drawn at twice the size and scaled
down, which is what makes Pillow's edges smooth.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageDraw, ImageOps

SMALL = (560, 420)
SIZE = WIDTH, HEIGHT = (1120, 840)
SKY = Image.linear_gradient("L").resize(SIZE)

# Background first, then accents from dark to light.
PALETTES: dict[str, str] = {
    "Ember": "#2b1a2e #5b2245 #a8324f #e8614c #f6a560 #fde3b4",
    "Lagoon": "#0c2a3a #11506a #1b8a8f #54c2a5 #b2e6c4 #f3f7e3",
    "Heather": "#241f3d #453c73 #7a63a8 #b58fc9 #e2bfdd #f8ecf2",
    "Orchard": "#20301c #3f5d2c #7d9440 #c5b34b #eb8f4a #f9e7c0",
    "Midnight": "#0b1026 #18224f #2f4187 #5a78c4 #9fc0ea #fbe8a6",
    "Saffron": "#3a2312 #7a3e14 #c96a12 #f0a21f #f7cf6b #fff3d6",
    "Glacier": "#1d2f3f #3b5b74 #6d93ab #a3c4d4 #d5e6ec #fbfdfc",
    "Clay": "#33211f #6b3d34 #a5654f #cf9a78 #e6c9ab #f7eee2",
}


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: what it is called, its name in the storage, and its bytes."""

    title: str
    name: str
    jpeg: bytes


def draw_picture(number: int) -> Picture:
    """Picture number `number`, counted from 1; always the same one."""
    random = Random(f"picture {number}")
    motif = MOTIFS[number % len(MOTIFS)]
    # Neighbours differ, and all pairs of motif and palette come up.
    palette = list(PALETTES)[(number * 5 + number // 8) % len(PALETTES)]
    image = motif(random, PALETTES[palette].split()).resize(SMALL, Image.Resampling.BOX)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=86)
    kind = motif.__name__
    name = f"photos/{number:04d}-{palette.lower()}-{kind}.jpg"
    return Picture(f"{palette} {kind}", name, buffer.getvalue())


def dunes(random: Random, ink: list[str]) -> Image.Image:
    """Ridges before a low sun."""
    image = ImageOps.colorize(SKY, ink[4], ink[5])
    draw = ImageDraw.Draw(image)
    x, y = random.uniform(0.2, 0.8) * WIDTH, random.uniform(0.2, 0.42) * HEIGHT
    draw.circle((x, y), random.uniform(0.08, 0.15) * HEIGHT, fill=ink[3])
    for layer, shade in enumerate(ink[4::-1]):
        waves = [
            (size, step * random.uniform(0.6, 2.6), random.uniform(0, math.tau))
            for step, size in enumerate((0.07, 0.035, 0.015), 1)
        ]
        ridge = []
        for x in range(0, WIDTH + 8, 8):
            turn = math.tau * x / WIDTH
            sway = sum(size * math.sin(rate * turn + at) for size, rate, at in waves)
            ridge.append((x, HEIGHT * (0.42 + 0.12 * layer + sway)))
        draw.polygon([*ridge, SIZE, (0, HEIGHT)], fill=shade)
    return image


def rings(random: Random, ink: list[str]) -> Image.Image:
    """Circles in circles, each a little off centre."""
    image = ImageOps.colorize(SKY, ink[0], ink[1])
    draw = ImageDraw.Draw(image)
    x, y = random.uniform(0.3, 0.7) * WIDTH, random.uniform(0.35, 0.65) * HEIGHT
    angle, drift = random.uniform(0, math.tau), WIDTH * random.uniform(0.012, 0.03)
    count = random.randrange(9, 15)
    for step in range(count):
        fill = ink[6 * step // count]
        draw.circle((x, y), WIDTH * 0.72 * 0.82**step, fill=fill)
        x, y = x + drift * math.cos(angle), y + drift * math.sin(angle)
        angle += random.uniform(-0.5, 0.5)
    return image


MOTIFS = (dunes, rings)
