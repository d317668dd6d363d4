"""Draws the demo's pictures: small, varied, and the same on every run.

Six motifs times eight palettes. Everything is drawn at twice the size and
scaled down, which is what makes Pillow's edges smooth.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

Colour = tuple[int, int, int]

WIDTH, HEIGHT = 560, 420
SCALE = 2
SIZE = (WIDTH * SCALE, HEIGHT * SCALE)

# Background first, then accents from dark to light.
PALETTES: dict[str, tuple[str, ...]] = {
    "Ember": ("2b1a2e", "5b2245", "a8324f", "e8614c", "f6a560", "fde3b4"),
    "Lagoon": ("0c2a3a", "11506a", "1b8a8f", "54c2a5", "b2e6c4", "f3f7e3"),
    "Heather": ("241f3d", "453c73", "7a63a8", "b58fc9", "e2bfdd", "f8ecf2"),
    "Orchard": ("20301c", "3f5d2c", "7d9440", "c5b34b", "eb8f4a", "f9e7c0"),
    "Midnight": ("0b1026", "18224f", "2f4187", "5a78c4", "9fc0ea", "fbe8a6"),
    "Saffron": ("3a2312", "7a3e14", "c96a12", "f0a21f", "f7cf6b", "fff3d6"),
    "Glacier": ("1d2f3f", "3b5b74", "6d93ab", "a3c4d4", "d5e6ec", "fbfdfc"),
    "Clay": ("33211f", "6b3d34", "a5654f", "cf9a78", "e6c9ab", "f7eee2"),
}


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: what it is called, its file's name, and its bytes."""

    title: str
    filename: str
    jpeg: bytes


def colours(palette: str) -> list[Colour]:
    """The palette's hexadecimal colours as Pillow wants them."""
    return [
        (int(code[:2], 16), int(code[2:4], 16), int(code[4:], 16))
        for code in PALETTES[palette]
    ]


def gradient(top: Colour, bottom: Colour) -> Image.Image:
    """A vertical gradient as a background."""
    mask = Image.linear_gradient("L").resize(SIZE)
    return Image.composite(
        Image.new("RGB", SIZE, bottom), Image.new("RGB", SIZE, top), mask
    )


def dunes(random: Random, ink: list[Colour]) -> Image.Image:
    """Ridges before a low sun."""
    image = gradient(ink[4], ink[5])
    draw = ImageDraw.Draw(image)
    width, height = SIZE
    x, y = random.uniform(0.2, 0.8) * width, random.uniform(0.2, 0.42) * height
    radius = random.uniform(0.08, 0.15) * height
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink[3])
    for layer in range(5):
        base = height * (0.42 + 0.12 * layer)
        waves = [
            (random.uniform(0.6, 2.6), random.uniform(0, math.tau), amplitude)
            for amplitude in (0.07, 0.035, 0.015)
        ]
        ridge = [
            (
                float(at),
                base
                + height
                * sum(
                    size * math.sin(math.tau * rate * (step + 1) * at / width + phase)
                    for step, (rate, phase, size) in enumerate(waves)
                ),
            )
            for at in range(0, width + 8, 8)
        ]
        shade = ink[max(0, 4 - layer)]
        if layer == 0:
            shade = _blend(ink[3], ink[4], 0.6)
        draw.polygon([*ridge, (width, height), (0, height)], fill=shade)
    return image


def tiles(random: Random, ink: list[Colour]) -> Image.Image:
    """Quarter circles and discs on a grid."""
    image = Image.new("RGB", SIZE, ink[5])
    draw = ImageDraw.Draw(image)
    side = SIZE[1] // random.choice((3, 4))
    for left in range(0, SIZE[0], side):
        for top in range(0, SIZE[1], side):
            ground, figure = random.sample(ink, 2)
            right, bottom = left + side, top + side
            draw.rectangle((left, top, right, bottom), fill=ground)
            shape = random.randrange(4)
            if shape == 0:
                inset = side // 5
                box = (left + inset, top + inset, right - inset, bottom - inset)
                draw.ellipse(box, fill=figure)
            elif shape == 1:
                corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
                draw.polygon(random.sample(corners, 3), fill=figure)
            else:
                turn = random.randrange(4)
                x = left if turn in (0, 3) else right
                y = top if turn in (0, 1) else bottom
                box = (x - side, y - side, x + side, y + side)
                draw.pieslice(box, turn * 90, turn * 90 + 90, fill=figure)
    return image


def rings(random: Random, ink: list[Colour]) -> Image.Image:
    """Circles in circles, each a little off centre."""
    image = gradient(ink[0], ink[1])
    draw = ImageDraw.Draw(image)
    x, y = random.uniform(0.3, 0.7) * SIZE[0], random.uniform(0.35, 0.65) * SIZE[1]
    angle = random.uniform(0, math.tau)
    radius, drift = SIZE[0] * 0.72, SIZE[0] * random.uniform(0.012, 0.03)
    count = random.randrange(9, 15)
    for step in range(count):
        draw.ellipse(
            (x - radius, y - radius, x + radius, y + radius),
            fill=_along(ink, step / (count - 1)),
        )
        radius *= 0.82
        x, y = x + drift * math.cos(angle), y + drift * math.sin(angle)
        angle += random.uniform(-0.5, 0.5)
    return image


def threads(random: Random, ink: list[Colour]) -> Image.Image:
    """Strands that swing past each other."""
    image = gradient(ink[0], ink[1])
    draw = ImageDraw.Draw(image)
    width, height = SIZE
    count, phase = 34, random.uniform(0, math.tau)
    rate, twist = random.uniform(0.5, 1.1), random.uniform(1.2, 2.6)
    for strand in range(count):
        share = strand / (count - 1)
        line = [
            (
                float(at),
                height
                * (
                    0.5
                    + (share - 0.5) * 0.9 * math.cos(twist * at / width + phase)
                    + 0.2 * math.sin(math.tau * rate * at / width + phase + share * 2)
                ),
            )
            for at in range(-8, width + 16, 8)
        ]
        draw.line(line, fill=_along(ink[2:], share), width=7, joint="curve")
    return image


def pebbles(random: Random, ink: list[Colour]) -> Image.Image:
    """Discs that do not touch."""
    image = gradient(ink[5], ink[4])
    draw = ImageDraw.Draw(image)
    placed: list[tuple[float, float, float]] = []
    for attempt in range(900):
        radius = SIZE[1] * random.uniform(0.02, 0.16) * (0.35 if attempt > 300 else 1)
        x, y = random.uniform(0, SIZE[0]), random.uniform(0, SIZE[1])
        if any(math.dist((x, y), at[:2]) < radius + at[2] + 7 for at in placed):
            continue
        placed.append((x, y, radius))
        fill = random.choice(ink[:4])
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
        if radius > SIZE[1] * 0.07:
            core = radius * random.uniform(0.3, 0.6)
            light = random.choice(ink[3:])
            draw.ellipse((x - core, y - core, x + core, y + core), fill=light)
    return image


def aurora(random: Random, ink: list[Colour]) -> Image.Image:
    """Light that runs into light, under a few stars."""
    image = gradient(ink[0], ink[1])
    width, height = SIZE
    for colour in [*ink[2:], *random.sample(ink[2:], 2)]:
        glow = Image.new("RGB", (width // 8, height // 8))
        x, y = random.uniform(0, width / 8), random.uniform(0.2, 0.9) * height / 8
        wide, tall = random.uniform(14, 44), random.uniform(8, 26)
        ImageDraw.Draw(glow).ellipse((x - wide, y - tall, x + wide, y + tall), colour)
        glow = glow.filter(ImageFilter.GaussianBlur(11)).resize(SIZE)
        image = ImageChops.screen(image, Image.eval(glow, lambda value: value * 2 // 3))
    draw = ImageDraw.Draw(image)
    for _ in range(70):
        x, y = random.uniform(0, width), random.uniform(0, height * 0.7)
        size = random.choice((1, 1, 2, 3))
        draw.ellipse((x - size, y - size, x + size, y + size), fill=ink[5])
    return image


def _blend(first: Colour, second: Colour, share: float) -> Colour:
    mixed = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    red, green, blue = mixed
    return red, green, blue


def _along(ink: list[Colour], share: float) -> Colour:
    """The colour at `share` of the way through the palette."""
    place = share * (len(ink) - 1)
    step = min(int(place), len(ink) - 2)
    return _blend(ink[step], ink[step + 1], place - step)


MOTIFS: tuple[Callable[[Random, list[Colour]], Image.Image], ...] = (
    dunes,
    tiles,
    aurora,
    rings,
    pebbles,
    threads,
)


def draw_picture(number: int) -> Picture:
    """Picture number `number`, counted from 1; always the same one."""
    random = Random(f"picture {number}")
    motif = MOTIFS[number % len(MOTIFS)]
    # Neighbours differ, and all 48 pairs of motif and palette come up.
    palette = list(PALETTES)[(number * 5 + number // 24) % len(PALETTES)]
    image = motif(random, colours(palette)).resize(
        (WIDTH, HEIGHT), Image.Resampling.BOX
    )
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=86)
    return Picture(
        title=f"{palette} {motif.__name__}",
        filename=f"{number:04d}-{palette.lower()}-{motif.__name__}.jpg",
        jpeg=buffer.getvalue(),
    )
