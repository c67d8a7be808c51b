"""Which images are held out, by their content alone."""

from __future__ import annotations

from typing import Final

_HASH_RANGE: Final = 1 << 32

SCENES_HELD_OUT_SHARE: Final = 0.2
"""Share of generated scenes that no deployment ever shows."""

SHARED_HELD_OUT_SHARE: Final = 0.5
"""Share held out of the images that a data set has in its training and in its test part alike."""


def held_out_by_hash(image_sha256: str, share: float) -> bool:
    """True for that share of all images, always the same ones. `image_sha256` is hex, `share` in 0..1."""
    return int(image_sha256[:8], 16) < share * _HASH_RANGE
