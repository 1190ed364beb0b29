"""Images of many kinds, good and bad, as files and as bytes."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

DRAW = np.random.default_rng(0)


def content(width=40, height=30, kind="PNG"):
    """The bytes of a drawn image."""
    pixels = DRAW.integers(0, 256, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def bomb(width, height):
    """A small file that says that it has many pixels."""
    data = content(8, 8)
    header = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


BAD = {
    "zero bytes": (b"", "the file is empty"),
    "a PDF named .jpg": (b"%PDF-1.7\n" + bytes(400), "not an image of a format that is read"),
    "a truncated JPEG": (content(300, 300, "JPEG")[:2000], "unreadable image: "),
    "a truncated PNG": (content()[:200], "unreadable image: "),
    "text": (b"<script>alert(1)</script>", "not an image of a format that is read"),
    "a bomb": (bomb(30_000, 30_000), "exceeds limit of"),
    "30,000 px": (bomb(30_000, 2000), "30000 x 2000 pixels are more than 50,000,000"),
}
"""Kind -> bytes that are no image that is answered, and a part of the problem."""

NAMES = [
    "a,b.png",
    'say "hi".png',
    "new\nline.png",
    "<b>bold</b>.png",
    "größe 🙂.png",
    "../../etc.png",
]
