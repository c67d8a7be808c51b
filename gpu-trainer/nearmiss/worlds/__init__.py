"""Worlds: where a deployed model meets images, and where it is measured on others."""

from __future__ import annotations

from pathlib import Path

from .box import WorldError
from .items import Example, Item, World
from .nlvr import NlvrWorld
from .scenes_world import ScenesWorld

__all__ = ["Example", "Item", "World", "WorldError", "open_world"]

WORLDS = ("scenes", "nlvr")


def open_world(name: str, data: Path | None, seed: int) -> World:
    """Opens a world by name: "scenes" needs no data, "nlvr" the folder that holds `dev` and `test`.

    Raises WorldError, one line for the operator, if the name is unknown or the folder is not as expected.
    """
    if name == "scenes":
        return ScenesWorld(seed)
    if name == "nlvr":
        if data is None:
            raise WorldError("nlvr: no data folder given; it needs the folder that holds dev/ and test/")
        if not data.is_dir():
            raise WorldError(f"nlvr: no folder {data}; it needs the folder that holds dev/ and test/")
        return NlvrWorld(data, seed)
    raise WorldError(f"no world is called {name!r}; there are {' and '.join(WORLDS)}")
