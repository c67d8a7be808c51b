"""Draws a box, pixel for pixel as close to NLVR's pictures as a sprite renderer gets."""

from __future__ import annotations

import hashlib
import io
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .box import BOX_PX, Box, Colour, Shape

BACKGROUND: Final = 211
"""Grey level of an empty box, of 255."""

RGB: Final[dict[Colour, tuple[int, int, int]]] = {
    "black": (0, 0, 0),
    "yellow": (255, 255, 0),
    "blue": (0x00, 0x99, 0xFF),
}

SUPERSAMPLING: Final = 8
"""Samples per px and axis for the edges' coverage."""

PNG_COMPRESS_LEVEL: Final = 6


@lru_cache(maxsize=64)
def coverage(shape: Shape, size: int) -> NDArray[np.float32]:
    """How much of each px the shape covers: (size, size) in 0..1. Triangles point up."""
    if shape == "square":
        return np.ones((size, size), np.float32)
    steps = size * SUPERSAMPLING
    at = (np.arange(steps) + 0.5) / SUPERSAMPLING
    half = size / 2
    if shape == "circle":
        inside = (at[None, :] - half) ** 2 + (at[:, None] - half) ** 2 <= half**2
    else:
        inside = np.abs(at[None, :] - half) <= at[:, None] / 2
    blocks = inside.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING)
    return np.asarray(blocks.mean(axis=(1, 3)), np.float32)


def render(box: Box) -> Image.Image:
    """The box as an RGB image of 100 x 100 px; later things cover earlier ones."""
    canvas = np.full((BOX_PX, BOX_PX, 3), BACKGROUND, np.float32)
    for thing in box:
        alpha = coverage(thing.shape, thing.size)[: BOX_PX - thing.y, : BOX_PX - thing.x, None]
        spot = canvas[thing.y : thing.y + thing.size, thing.x : thing.x + thing.size]
        spot += alpha * (np.asarray(RGB[thing.colour], np.float32) - spot)
    return Image.fromarray(canvas.round().astype(np.uint8), "RGB")


def to_png(image: Image.Image) -> bytes:
    """The image as PNG bytes; the same pixels always give the same bytes."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "PNG", compress_level=PNG_COMPRESS_LEVEL)
    return buffer.getvalue()


def sha256(png: bytes) -> str:
    """Hex SHA-256 of the bytes."""
    return hashlib.sha256(png).hexdigest()
