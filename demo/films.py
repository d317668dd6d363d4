"""Makes the demo's film: a WebM whose frames are all key frames, with an index.

A WebP picture is a key frame of VP8, so that Pillow is all that it takes.
"""

from __future__ import annotations

import io
import struct
from random import Random

from pictures import PALETTES, SMALL, dunes
from PIL import Image, ImageDraw

SECONDS = 20


def film() -> bytes:
    """A frame a second, which shows the second."""
    width, height = SMALL
    scene, clusters = dunes(Random(7), PALETTES["Lagoon"].split()), []
    for second in range(SECONDS):
        left = second * width // SECONDS
        frame = scene.crop((left, 200, left + width, 200 + height))
        text = f"0:{second:02d}"
        ImageDraw.Draw(frame).text((24, 16), text, "white", font_size=56)
        block = b"\x81\0\0\x80" + _key_frame(frame)
        time = _element(0xE7, 1000 * second)
        clusters.append(_element(0x1F43B675, time, _element(0xA3, block)))
    length = _element(0x4489, struct.pack(">d", 1000 * SECONDS))
    info = _element(0x1549A966, _element(0x2AD7B1, 1_000_000), length)
    track = [_element(each, 1) for each in (0xD7, 0x73C5, 0x83)]
    size = _element(0xE0, _element(0xB0, width), _element(0xBA, height))
    track = _element(0xAE, *track, _element(0x86, b"V_VP8"), size)
    head = info + _element(0x1654AE6B, track)
    # Numbers have a fixed width: how long the index is does not depend on what it says.
    head += _index(len(head + _index(0, clusters)), clusters)
    header = _element(0x1A45DFA3, _element(0x4282, b"webm"))
    return header + _element(0x18538067, head, *clusters)


def _index(place: int, clusters: list[bytes]) -> bytes:
    """At which second which cluster begins; the first one at that place."""
    points = []
    for second, cluster in enumerate(clusters):
        where = _element(0xB7, _element(0xF7, 1), _element(0xF1, place))
        points.append(_element(0xBB, _element(0xB3, 1000 * second), where))
        place += len(cluster)
    return _element(0x1C53BB6B, *points)


def _element(kind: int, *parts: bytes | int) -> bytes:
    content = b"".join(
        part.to_bytes(8) if isinstance(part, int) else part for part in parts
    )
    name = kind.to_bytes((kind.bit_length() + 7) // 8)
    return name + b"\x01" + len(content).to_bytes(7) + content


def _key_frame(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=80)
    # After the heads of the file and of its one chunk, which may be padded.
    webp = buffer.getvalue()
    return webp[20 : 20 + int.from_bytes(webp[16:20], "little")]
