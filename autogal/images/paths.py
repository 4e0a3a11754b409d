"""From what the user typed to a list of entries: files, globs, folders, lists and manifests."""

from __future__ import annotations

import glob
import logging
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from autogal.errors import AutogalError
from autogal.images.fits import split_selection

__all__ = ["Entry", "find_entries", "stem"]

log = logging.getLogger(__name__)

_FITS_NAME = re.compile(r"\.(fits?|fts)(\.(gz|fz|bz2|xz))?$", re.IGNORECASE)
_TABLE_NAME = re.compile(r"\.(csv|ecsv|parquet|pq)$", re.IGNORECASE)
_GLOB = re.compile(r"[*?\[]")
_IMAGE_SUFFIX = "_image"
_COMPANIONS = ("psf", "sigma", "mask")
# Words that, as a part of a file's name, say that it goes with an image.
_COMPANION_WORDS = {*_COMPANIONS, "segmap", "weight", "wht", "ivar", "invvar", "rms", "err", "model", "residual"}
_EXAMPLE = "Give FITS images, a folder, @list.txt or a manifest, as in `autogal fit cutouts/*.fits`."


@dataclass(slots=True)
class Entry:
    """One object to fit, by the names of its files and what the user says of it.

    Paths are absolute and may select an extension, ``file.fits[SCI,1]``.

    Attributes
    ----------
    id : str
        Unique within a run.
    image : str
    psf, sigma, mask : str or None
    zeropoint, pixel_scale, gain : float or None
        AB magnitude of one image unit, arcsec per pixel, electrons per image unit.
    start : dict or None
        Starting values, any of x, y, mag, flux, r_eff, n, q, pa, sky.
    note : str or None
        What the user should know about this entry.
    error : str or None
        Why it cannot be used.
    """

    id: str
    image: str
    psf: str | None = None
    sigma: str | None = None
    mask: str | None = None
    zeropoint: float | None = None
    pixel_scale: float | None = None
    gain: float | None = None
    start: dict[str, float] | None = None
    note: str | None = None
    error: str | None = None


def find_entries(paths: Iterable[str | os.PathLike]) -> list[Entry]:
    """Find the images that ``paths`` stand for, in their order.

    A path is, the first that fits:

    - a manifest: a CSV, ECSV, Parquet or FITS table with a column ``image``
      (see :mod:`autogal.images.manifest`);
    - a file, of any name, with an extension selected or not;
    - a folder: the FITS files in it, sorted;
    - ``@list.txt``: one path a line, relative to the list or to the working
      folder; ``#`` starts a comment line;
    - a glob pattern, sorted; an extension may be selected behind it.

    Companions of ``name_image.fits`` or ``name.fits`` are ``name_psf.fits``,
    ``name_sigma.fits`` and ``name_mask.fits`` in the same folder, compressed
    or not. Files named like companions (``psf``, ``sigma``, ``mask``,
    ``segmap``, ... as a word of the name) are not taken for images where the
    same search finds images that they go with.

    Parameters
    ----------
    paths : iterable of str or path

    Returns
    -------
    list of Entry
        One for each image or manifest row. An id that came before gets a
        number behind it.

    Raises
    ------
    AutogalError
        Where nothing is found, no image exists, or a list or manifest cannot
        be read.
    """
    if isinstance(paths, (str, os.PathLike)):
        paths = [paths]
    entries = _unique(_entries([os.fspath(path) for path in paths]))
    if not entries:
        raise AutogalError("No images were found.", _EXAMPLE)
    if not any(os.path.exists(split_selection(entry.image)[0]) for entry in entries):
        first = split_selection(entries[0].image)[0]
        count = "The image" if len(entries) == 1 else f"None of the {len(entries)} images"
        raise AutogalError(f"{count} {'does not exist' if len(entries) == 1 else 'exists'}: {first}.", "Check the path.")
    return entries


def stem(path: str) -> str:
    """A file's name without folder and FITS endings: the default id of an object."""
    file, hdu = split_selection(path)
    name = os.path.basename(file)
    short = _FITS_NAME.sub("", name)
    if short == name:
        short = os.path.splitext(name)[0] or name
    if short.endswith(_IMAGE_SUFFIX) and short != _IMAGE_SUFFIX:
        short = short[: -len(_IMAGE_SUFFIX)]
    return f"{short}_{re.sub('[^A-Za-z0-9]+', '_', hdu)}" if hdu else short


def _entries(paths: list[str]) -> list[Entry]:
    from autogal.images.manifest import is_manifest, read_manifest

    found: list[str | list[Entry]] = []
    for path in _expand_lists(paths):
        if _TABLE_NAME.search(path) or is_manifest(path):
            found.append(read_manifest(path))
        else:
            found.extend(_expand(path))
    images = _without_companions([path for path in found if isinstance(path, str)])
    there = _Listing()
    entries = []
    for item in found:
        if isinstance(item, list):
            entries += item
        elif item in images:
            entries.append(Entry(stem(item), item, **there.companions(item)))
    return entries


def _expand_lists(paths: Iterable[str]) -> Iterable[str]:
    for path in paths:
        if not path.startswith("@") or os.path.exists(path):
            yield _absolute(path)
            continue
        name = _absolute(path[1:])
        if _TABLE_NAME.search(name):
            yield name
            continue
        try:
            with open(name, encoding="utf-8-sig") as file:
                lines = [line.strip() for line in file]
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a text file"
            raise AutogalError(f"The list {name} cannot be read: {reason}.", "Give a text file, one path a line.") from error
        lines = [line for line in lines if line and not line.startswith("#")]
        if not lines:
            raise AutogalError(f"The list {name} holds no paths.", "Write one path a line.")
        folder = os.path.dirname(name)
        for line in lines:
            near = os.path.join(folder, os.path.expanduser(line))
            yield near if os.path.exists(split_selection(near)[0]) or glob.has_magic(near) and glob.glob(near) else _absolute(line)


def _absolute(path: str) -> str:
    return os.path.abspath(path if os.path.exists(path) else os.path.expanduser(path))


def _expand(path: str) -> list[str]:
    """The files that one path stands for; a plain path that does not exist stands for itself."""
    if os.path.isdir(path):
        names = sorted(name for name in os.listdir(path) if _FITS_NAME.search(name) and not name.startswith("."))
        if not names:
            log.warning("No FITS files in the folder %s.", path)
        return [os.path.join(path, name) for name in names]
    if os.path.exists(split_selection(path)[0]):
        return [path]
    if _GLOB.search(path):
        matches = sorted(match for match in glob.glob(path, recursive=True) if os.path.isfile(match))
        if matches:
            return matches
        file, hdu = split_selection(path)
        if hdu:
            matches = sorted(match for match in glob.glob(file, recursive=True) if os.path.isfile(match))
            if matches or not _GLOB.search(file):
                return [f"{match}[{hdu}]" for match in matches] or [path]
        log.warning("Nothing matches %s.", path)
        return []
    return [path]


def _without_companions(images: list[str]) -> set[str]:
    """The paths that are images, as far as names tell."""
    if len(images) == 1:
        return set(images)
    roots: set[str] = set()
    with_suffix: set[str] = set()  # folders whose images are named name_image.fits
    for path in images:
        file = split_selection(path)[0]
        short = _FITS_NAME.sub("", file)
        roots.add(short.removesuffix(_IMAGE_SUFFIX))
        if short.endswith(_IMAGE_SUFFIX):
            with_suffix.add(os.path.dirname(file))
    kept = set()
    for path in images:
        file = split_selection(path)[0]
        short = _FITS_NAME.sub("", file)
        root, _, word = short.rpartition("_")
        words = set(re.split(r"[^a-z0-9]+", os.path.basename(short).lower()))
        own = word.lower() in _COMPANION_WORDS and root in roots
        shared = not short.endswith(_IMAGE_SUFFIX) and os.path.dirname(file) in with_suffix and words & _COMPANION_WORDS
        if not (own or shared):
            kept.add(path)
    if len(kept) < len(set(images)):
        log.info("%d files named like companions are not taken for images.", len(set(images)) - len(kept))
    return kept


class _Listing:
    """What is in each folder, asked once; a look-up a file would dominate runs of many."""

    def __init__(self):
        self._folders: dict[str, set[str]] = {}

    def companions(self, image: str) -> dict[str, str]:
        file = split_selection(image)[0]
        folder, name = os.path.split(file)
        if folder not in self._folders:
            self._folders[folder] = set(os.listdir(folder)) if os.path.isdir(folder) else set()
        ending = _FITS_NAME.search(name)
        if not ending:
            return {}
        root = name[: ending.start()].removesuffix(_IMAGE_SUFFIX)
        found = {}
        for kind in _COMPANIONS:
            for end in dict.fromkeys((ending.group(), ".fits", ".fits.gz", ".fits.fz", ".fit")):
                companion = f"{root}_{kind}{end}"
                if companion in self._folders[folder] and companion != name:
                    found[kind] = os.path.join(folder, companion)
                    break
        return found


def _unique(entries: list[Entry]) -> list[Entry]:
    """Give each entry an id of its own: the second ``a`` becomes ``a_2``."""
    taken = {entry.id for entry in entries}
    seen: set[str] = set()
    count: dict[str, int] = {}
    for entry in entries:
        if entry.id not in seen:
            seen.add(entry.id)
            continue
        original, number = entry.id, count.get(entry.id, 1)
        while entry.id in taken:
            number += 1
            entry.id = f"{original}_{number}"
        count[original] = number
        taken.add(entry.id)
        seen.add(entry.id)
        entry.note = f"The id {original} came before; this row is {entry.id}."
    return entries
