"""The files of the app, below the directory that outlives a release."""

import os
from pathlib import Path

SHARED = Path(os.environ.get("ASGI_SHARED", "shared"))
ORIGINALS = SHARED / "originals"
# asgi_proxy_static makes nginx serve this directory.
THUMBNAILS = SHARED / "thumbnails"


def original(number: int) -> Path:
    return ORIGINALS / str(number)


def thumbnail(number: int) -> Path:
    return THUMBNAILS / f"{number}.webp"
