"""Images by content hash: fetched once, kept on disk, checked whenever they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Final

from PIL import Image

from .api import Api, ApiError
from .engine.model import BadImage, decode_image
from .files import write_atomically

FETCHES_AT_ONCE: Final = 8
DISK_CACHE_BYTES: Final = 20_000_000_000
"""Above it, the images not used for longest are deleted."""


class ImageStore:
    """The images of the API, cached in `folder`."""

    def __init__(self, api: Api, folder: Path) -> None:
        self._api = api
        self._folder = folder

    def load(self, image: str) -> Image.Image:
        """The decoded image. Raises `BadImage` when it can not be had, `ApiError` when the API can not be asked."""
        return decode_image(self._bytes(image))

    def fetch(self, images: Iterable[str], on_image: Callable[[int], None]) -> dict[str, str]:
        """Fetches what is not here yet. Returns the images that can not be used, with the reason.

        `on_image` gets the images done so far, and may raise to stop.
        """
        wanted = list(dict.fromkeys(images))
        problems: dict[str, str] = {}
        with ThreadPoolExecutor(FETCHES_AT_ONCE) as pool:
            try:
                for done, (image, problem) in enumerate(zip(wanted, pool.map(self._problem, wanted), strict=True)):
                    if problem:
                        problems[image] = problem
                    on_image(done + 1)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return problems

    def prune(self, limit_bytes: int = DISK_CACHE_BYTES) -> None:
        """Deletes the images not used for longest until the cache is within the limit."""
        files = [(path.stat().st_mtime, path.stat().st_size, path) for path in self._folder.glob("*/*")]
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= limit_bytes:
                return
            path.unlink(missing_ok=True)
            total -= size

    def _problem(self, image: str) -> str | None:
        try:
            self.load(image)
        except BadImage as error:
            return str(error)
        return None

    def _bytes(self, image: str) -> bytes:
        path = self._folder / image[:2] / image
        if path.is_file():
            data = path.read_bytes()
            if sha256(data).hexdigest() == image:
                path.touch()
                return data
        try:
            data = self._api.image(image)
        except ApiError as error:
            if error.status in (404, 410):
                raise BadImage("is missing") from None
            raise
        if sha256(data).hexdigest() != image:
            raise BadImage("has bytes that do not match its hash")
        write_atomically(path, data)
        return data
