"""Which events are kept when not all are wanted."""

from __future__ import annotations

import struct
from typing import Final

_BITS_32: Final = 0xFFFFFFFF


def is_sampled(key: str, rate: float) -> bool:
    """True for about `rate` of all keys, the same ones each time; a higher rate keeps what a lower one kept.

    The TypeScript client decides alike, so one key has one fate in the browser and on the server.
    """
    return _hash32(key) < rate * 2**32


def _hash32(text: str) -> int:
    """FNV-1a over UTF-16 units, then MurmurHash3's finaliser, so that keys that differ in one place spread evenly."""
    units = text.encode("utf-16-le", "surrogatepass")
    value = 0x811C9DC5
    for unit in struct.unpack(f"<{len(units) // 2}H", units):
        value = (value ^ unit) * 0x01000193 & _BITS_32
    value = (value ^ value >> 16) * 0x85EBCA6B & _BITS_32
    value = (value ^ value >> 13) * 0xC2B2AE35 & _BITS_32
    return value ^ value >> 16
