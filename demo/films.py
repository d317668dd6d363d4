"""Makes the demo's film: a WebM whose frames are all key frames, with an index.

A WebP picture is a key frame of VP8, so that Pillow is all that it takes.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from random import Random

from pictures import PALETTES, SMALL, dunes
from PIL import Image, ImageDraw

SECONDS = 20


def film() -> bytes:
    """A frame a second, which shows the second."""
    width, height = SMALL
    scene, frames = dunes(Random(7), PALETTES["Lagoon"].split()), []
    for second in range(SECONDS):
        left = second * width // SECONDS
        frame = scene.crop((left, 200, left + width, 200 + height))
        text = f"0:{second:02d}"
        ImageDraw.Draw(frame).text((24, 16), text, "white", font_size=56)
        frames.append(_key_frame(frame))
    return webm(frames, width, height)


def webm(frames: Sequence[bytes], width: int, height: int) -> bytes:
    """A film of one frame a second."""
    header = _element(0x1A45DFA3, _element(0x4282, b"webm"))
    info = _element(0x2AD7B1, _number(1_000_000))
    info += _element(0x4489, struct.pack(">d", 1000 * len(frames)))
    size = _element(0xB0, _number(width)) + _element(0xBA, _number(height))
    track = [_element(each, _number(1)) for each in (0xD7, 0x73C5, 0x83)]
    track += [_element(0x86, b"V_VP8"), _element(0xE0, size)]
    head = _element(0x1549A966, info)
    head += _element(0x1654AE6B, _element(0xAE, b"".join(track)))
    clusters = [
        _element(
            0x1F43B675,
            _element(0xE7, _number(1000 * second))
            + _element(0xA3, b"\x81\0\0\x80" + frame),
        )
        for second, frame in enumerate(frames)
    ]
    # Numbers have a fixed width: how long the index is does not depend on what it says.
    place = len(head) + len(_index([0] * len(clusters)))
    places = [place + sum(map(len, clusters[:each])) for each in range(len(clusters))]
    return header + _element(0x18538067, head + _index(places) + b"".join(clusters))


def _index(places: Sequence[int]) -> bytes:
    points = [
        _element(0xB3, _number(1000 * second))
        + _element(0xB7, _element(0xF7, _number(1)) + _element(0xF1, _number(place)))
        for second, place in enumerate(places)
    ]
    return _element(0x1C53BB6B, b"".join(_element(0xBB, point) for point in points))


def _element(kind: int, content: bytes) -> bytes:
    name = kind.to_bytes((kind.bit_length() + 7) // 8)
    return name + b"\x01" + len(content).to_bytes(7) + content


def _number(value: int) -> bytes:
    return value.to_bytes(8)


def _key_frame(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=80)
    # After the heads of the file and of its one chunk, which may be padded.
    webp = buffer.getvalue()
    return webp[20 : 20 + int.from_bytes(webp[16:20], "little")]
