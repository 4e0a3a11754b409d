"""What lies beside an image in the other extensions of its file: noise maps that are used, others that are
named."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from autogal.errors import AutogalError
from autogal.images.fits import FitsImage, read, split_selection
from autogal.images.limits import largest_image, list_images

__all__ = ["NOISE", "extensions_beside", "to_sigma"]

#: What such a map holds, by the name of its extension or the last word of its file's; the earlier wins
NOISE = {
    "sigma": "sigma",
    "rms": "sigma",
    "err": "sigma",
    "error": "sigma",
    "ivar": "inverse variance",
    "invvar": "inverse variance",
    "var": "variance",
    "variance": "variance",
}
_WEIGHTS, _BITS = ("WHT", "WEIGHT"), ("DQ", "MASK", "FLAGS", "BPM")
_ENOUGH = 0.5  # of the pixels of an image must have noise in an extension that nobody asked for


def to_sigma(values: np.ndarray, kind: str) -> np.ndarray:
    """A noise map as one standard deviation a pixel; NaN where nothing was measured.

    Parameters
    ----------
    values : ndarray
    kind : {"sigma", "inverse variance", "variance"}
    """
    if kind == "sigma":
        return values
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = 1 / values.astype(float) if kind == "inverse variance" else values.astype(float)
        return np.where((values > 0) & np.isfinite(variance), np.sqrt(variance), np.nan)


def extensions_beside(
    path: str, image: FitsImage, wanted: Collection[str], most: float | None = None
) -> tuple[FitsImage | None, list[str], list[str]]:
    """The noise map among the other extensions of an image's file.

    Parameters
    ----------
    path : str
        With or without the extension that was read.
    image : FitsImage
        What was read; extensions of its shape and version (``SCI,2`` and ``ERR,2``) go with it.
    wanted : collection of {"sigma", "mask"}
        What the image does not have from elsewhere.
    most : float, optional
        Pixels of the largest image that is read.

    Returns
    -------
    sigma : FitsImage or None
        One standard deviation a pixel.
    notes, warnings : list of str
        What was used; what would have been wanted and was not used.
    """
    file = split_selection(path)[0]
    there = list_images(file, largest_image() if most is None else most)
    chosen = next(((version, shape) for number, _, version, shape in there if number == image.number), None)
    own = {
        name: number
        for number, name, version, shape in there
        if name and number != image.number and (version, shape) == chosen
    }
    sigma, notes, unused = None, [], []
    if "sigma" in wanted and (name := next((word.upper() for word in NOISE if word.upper() in own), None)):
        kind = NOISE[name.lower()]
        try:
            found = read(file, own[name], most)
            found = replace(found, data=to_sigma(found.data, kind))
        except AutogalError:  # the image itself is sound
            found = None
        if found is not None and np.mean(np.isfinite(found.data) & (found.data > 0)) >= _ENOUGH:
            sigma = found
            notes.append(
                f"Sigma from the extension {name} beside the image"
                + (f" ({kind})." if kind != "sigma" else ".")
            )
        else:
            unused.append(f"{name} ({'damaged' if found is None else 'most of it holds no noise'})")
    if "sigma" in wanted and sigma is None:
        unused += [name for name in own if name in _WEIGHTS]
    if "mask" in wanted:
        unused += [name for name in own if name in _BITS]
    said = (
        [
            f"Extensions beside the image that are not used: {', '.join(unused)}; sigma and mask of a "
            f"manifest may name them, "
            f"as file.fits[{unused[0].partition(' ')[0]}]."
        ]
        if unused
        else []
    )
    return sigma, notes, said
