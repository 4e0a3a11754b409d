"""Labels of a user's own images: which pixels belong to the target and to each other source."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable

import numpy as np
from astropy.io import fits

from autogal.errors import AutogalError
from autogal.flags import Flag
from autogal.images.cutout import Cutout
from autogal.images.entry import FITS_NAME
from autogal.segment.classical.sep import segment_with_sep
from autogal.segment.segmentation import wanted_position

__all__ = ["Labeller", "build_labeller"]

#: Masks of an image's sources, bool [K, H, W], the target's first; raises `AutogalError` where there are none
#: to learn from
Labeller = Callable[[Cutout], np.ndarray]

_ENDING = re.compile("_(labels|segmap|instances)$")
_REACH = 0.1  # of the shorter side; a target labelled farther than this from its place is another source


def build_labeller(labels: str, segment) -> Labeller:
    """The labels that a user asked for.

    Parameters
    ----------
    labels : str
        ``sep`` for SExtractor's method; or a folder or pattern of FITS files named like the images, with or
        without ``_labels``, ``_segmap`` or ``_instances`` behind the name: whole numbers, 0 for sky and
        another one for each source, or a plane of 0 and 1 for each source, as `autogal simulate` writes them.
    segment
        Configuration node ``segment`` for SExtractor's method.

    Raises
    ------
    AutogalError
        Where `labels` names neither.
    """
    if labels == "sep":
        return lambda cutout: _by_sep(cutout, segment)
    files = _files(labels)
    if not files:
        raise AutogalError(
            f"labels={labels} is neither sep nor a folder or pattern of label images.",
            "Give labels=sep, or label images named like the images, as labels=my_labels/.",
        )
    return lambda cutout: _from_file(cutout, files)


def _by_sep(cutout: Cutout, settings) -> np.ndarray:
    found = segment_with_sep(cutout, settings)
    if Flag.NO_TARGET in found.flags:
        raise AutogalError(found.notes[-1])
    return _planes(found.labels)


def _from_file(cutout: Cutout, files: dict[str, str]) -> np.ndarray:
    """Masks from the user's label image, the source nearest to the target's place first."""
    path = files.get(cutout.id)
    if path is None or (cutout.path and os.path.realpath(path) == os.path.realpath(cutout.path)):
        raise AutogalError("it has no label image")
    try:
        values = np.asarray(fits.getdata(path))
    except Exception as problem:  # astropy raises nearly anything on a broken file
        raise AutogalError("its label image cannot be read") from problem
    if values.shape[-2:] != cutout.shape or values.ndim > 3:
        raise AutogalError(f"its labels have the shape {values.shape}, the image {cutout.shape}")
    if not (np.isfinite(values) & (values == np.rint(values)) & (values >= 0)).all():
        raise AutogalError("its labels are not whole numbers from 0")
    masks = values.astype(bool) if values.ndim == 3 else _planes(values)
    masks = masks[masks.any((1, 2))]
    if not len(masks):
        raise AutogalError("its label mask is empty")
    x, y = wanted_position(cutout)
    rows, columns = np.indices(cutout.shape)
    away = np.hypot(columns - x, rows - y)
    nearest = np.array([away[mask].min() for mask in masks])
    middle = np.array([np.hypot(columns[mask].mean() - x, rows[mask].mean() - y) for mask in masks])
    # of several that reach the same pixel the one around it
    target = int(np.lexsort((middle, np.rint(nearest)))[0])
    if nearest[target] > max(3.0, _REACH * min(cutout.shape)):
        raise AutogalError("no labelled source is where the target should be")
    return np.concatenate([masks[target : target + 1], np.delete(masks, target, axis=0)])


def _files(labels: str) -> dict[str, str]:
    """Label images by the names of the images they are of; a name that says what it is comes before one
    that does not."""
    paths = glob.glob(
        os.path.join(glob.escape(labels), "*") if os.path.isdir(labels) else os.path.expanduser(labels)
    )
    names = {
        path: FITS_NAME.sub("", os.path.basename(path)) for path in sorted(paths) if FITS_NAME.search(path)
    }
    return {
        _ENDING.sub("", name): path
        for path, name in sorted(names.items(), key=lambda one: bool(_ENDING.search(one[1])))
    }


def _planes(labels: np.ndarray) -> np.ndarray:
    """A mask for each label above 0."""
    numbers = np.unique(labels[labels > 0])
    return labels == numbers[:, None, None]
