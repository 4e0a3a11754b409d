"""Files beside an image that go with it, by their names, and files that are no images because
`autogal fit` wrote them."""

from __future__ import annotations

import os
import re

from autogal.errors import AutogalError
from autogal.images.entry import FITS_NAME, IMAGE_SUFFIX
from autogal.images.extensions import NOISE
from autogal.images.limits import check_regular

__all__ = ["COMPANIONS", "UNUSED", "WORDS", "map_kind", "own_product", "roots"]

#: Words that end the names of files that are taken with an image, by what they are taken for
COMPANIONS = {"psf": ("psf",), "sigma": tuple(NOISE), "mask": ("mask",)}
#: Words that say too little of what is in the file: exposure times or inverse variances, bits whose meaning
#: each survey has its own
UNUSED = (
    "wht",
    "weight",
    "exp",
    "expmap",
    "dq",
    "flag",
    "flags",
    "bpm",
    "badpix",
    "noise",
    "seg",
    "segm",
    "segmap",
    "bkg",
    "background",
)
#: Words that, as a part of a file's name, say that it goes with an image
WORDS = frozenset(
    [*(word for words in COMPANIONS.values() for word in words), *UNUSED, "model", "residual", "instances"]
)
# What stands for `_image` in the names that pipelines give to images
_IMAGE_WORDS = re.compile(rf"({IMAGE_SUFFIX}|_sci|_drz|_drc|_img)$", re.IGNORECASE)
_FITS_BLOCK = 2880


def roots(short: str) -> tuple[str, ...]:
    """What the companions of an image of this name, without ending, may begin with."""
    bare = _IMAGE_WORDS.sub("", short)
    return (short,) if bare == short or not os.path.basename(bare) else (bare, short)


def map_kind(path: str) -> str:
    """What a companion found by its name holds: ``sigma``, ``inverse variance`` or ``variance``."""
    return NOISE.get(FITS_NAME.sub("", path).rpartition("_")[2].lower(), "sigma")


def own_product(path: str) -> str | None:
    """Whether a file was written by `autogal fit`: ``"catalogue"``, ``"object"``, or None.

    Neither has an image in its primary HDU, whose header says who made it.
    """
    try:
        check_regular(path)
        with open(path, "rb") as file:
            first = file.read(_FITS_BLOCK)
    except (AutogalError, OSError, ValueError):
        return None
    if not first.startswith(b"SIMPLE") or b"CREATOR = 'autogal" not in first:
        return None
    return "object" if b"ORIGFILE=" in first else "catalogue" if b"NREPLIC =" in first else None
