"""From what the user typed to a list of entries: files, globs, folders, lists and manifests."""

from __future__ import annotations

import glob
import logging
import os
import re
from collections import Counter
from collections.abc import Iterable

from autogal.errors import AutogalError
from autogal.images.companions import COMPANIONS, UNUSED, WORDS, map_kind, own_product, roots
from autogal.images.entry import FITS_NAME, IMAGE_SUFFIX, Entry, stem, unique_ids
from autogal.images.fits import split_selection
from autogal.images.limits import check_regular
from autogal.images.manifest import is_manifest, read_manifest

__all__ = ["find_entries"]

log = logging.getLogger(__name__)

_TABLE_NAME = re.compile(r"\.(csv|ecsv|parquet|pq)$", re.IGNORECASE)
_GLOB = re.compile(r"[*?\[]")
_EXAMPLE = "Give FITS images, a folder, @list.txt or a manifest, as in `autogal fit cutouts/*.fits`."


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

    Companions of ``name_image.fits`` (also ``_sci``, ``_drz``, ``_drc``,
    ``_img``) or ``name.fits`` are ``name_psf.fits``, ``name_mask.fits`` and
    ``name_sigma.fits`` (also ``_rms``, ``_err``; ``_ivar``, ``_invvar`` and
    ``_var``, which are converted) in the same folder, compressed
    or not. Others (``_wht``, ``_dq``, ``_segmap``, ...) are named as not
    used. Files named like companions are not taken for images where the
    same search finds images that they go with; nor, in folders and patterns,
    is what ``autogal fit`` wrote.

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
    entries = _entries([os.fspath(path) for path in paths])
    for entry, id in zip(entries, unique_ids([entry.id for entry in entries])):
        if id != entry.id:
            entry.note = f"The id {entry.id} came before; this row is {id}."
            entry.id = id
    if not entries:
        raise AutogalError("No images were found.", _EXAMPLE)
    if not any(os.path.exists(split_selection(entry.image)[0]) for entry in entries):
        first = split_selection(entries[0].image)[0]
        count = "The image" if len(entries) == 1 else f"None of the {len(entries)} images"
        raise AutogalError(
            f"{count} {'does not exist' if len(entries) == 1 else 'exists'}: {first}.", "Check the path."
        )
    return entries


def _entries(paths: list[str]) -> list[Entry]:
    found: list[str | list[Entry]] = []
    for path in _expand_lists(paths):
        for one in _expand(path):
            found.append(read_manifest(one) if _TABLE_NAME.search(one) or is_manifest(one) else one)
    images = _without_companions([path for path in found if isinstance(path, str)])
    there = _Listing()
    entries = []
    for item in found:
        if isinstance(item, list):
            entries += item
        elif item in images:
            entries.append(Entry(stem(item), item, **there.companions(item)))
    there.tell_unused()
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
        check_regular(name)
        try:
            with open(name, encoding="utf-8-sig") as file:
                lines = [line.strip() for line in file]
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a text file"
            raise AutogalError(
                f"The list {name} cannot be read: {reason}.", "Give a text file, one path a line."
            ) from error
        lines = [line for line in lines if line and not line.startswith("#")]
        if not lines:
            raise AutogalError(f"The list {name} holds no paths.", "Write one path a line.")
        folder = os.path.dirname(name)
        for line in lines:
            near = os.path.join(folder, os.path.expanduser(line))
            there = os.path.exists(split_selection(near)[0]) or bool(_GLOB.search(near) and glob.glob(near))
            yield near if there else _absolute(line)


def _absolute(path: str) -> str:
    return os.path.abspath(path if os.path.exists(path) else os.path.expanduser(path))


def _expand(path: str) -> list[str]:
    """The files that one path stands for; a plain path that does not exist stands for itself."""
    if os.path.isdir(path):
        files = _fits_files(path)
        if not files and not any(FITS_NAME.search(name) for name in os.listdir(path)):
            deeper = any(entry.is_dir() for entry in os.scandir(path))
            log.warning(
                "No FITS files in the folder %s%s.",
                path,
                f"; name its folders to search them, as {path}/*" if deeper else "",
            )
        return files
    file, hdu = split_selection(path)
    if os.path.exists(file) or not _GLOB.search(path):
        return [path]
    matches = _glob(path)
    if not matches and hdu:
        if not _GLOB.search(file):
            return [path]
        matches = [f"{match}[{hdu}]" for match in _glob(file)]
    if not matches:
        log.warning("Nothing matches %s.", path)
    return matches


def _fits_files(folder: str) -> list[str]:
    names = sorted(name for name in os.listdir(folder) if FITS_NAME.search(name) and not name.startswith("."))
    return _not_ours([os.path.join(folder, name) for name in names])


def _not_ours(files: list[str]) -> list[str]:
    """Without what autogal itself wrote: catalogues, and the images of objects that were fitted."""
    ours = {file: what for file in files if (what := own_product(file))}
    for what, number in Counter(ours.values()).items():
        first = next(file for file in ours if ours[file] == what)
        log.warning(
            "Not taken for %s: %s%s, which `autogal fit` wrote as %s.",
            "an image" if number == 1 else "images",
            first,
            f" and {number - 1} more" if number > 1 else "",
            "a catalogue; its column path names the images"
            if what == "catalogue"
            else "images and models of objects",
        )
    return [file for file in files if file not in ours]


def _glob(pattern: str) -> list[str]:
    """Files that match, and the FITS files of folders that match; only FITS files where there are any."""
    matches: list[str] = []
    found = sorted(glob.glob(pattern, recursive=True))
    kept = set(_not_ours([match for match in found if FITS_NAME.search(match) and os.path.isfile(match)]))
    for match in found:
        if os.path.isdir(match):
            matches += _fits_files(match)
        elif match in kept or not FITS_NAME.search(match) or not os.path.isfile(match):
            matches.append(match)
    return [match for match in matches if FITS_NAME.search(match)] or matches


def _without_companions(images: list[str]) -> set[str]:
    """The paths that are images, as far as names tell."""
    if len(images) == 1:
        return set(images)
    begins: set[str] = set()
    with_suffix: set[str] = set()  # folders whose images are named name_image.fits
    for path in images:
        file = split_selection(path)[0]
        short = FITS_NAME.sub("", file)
        begins.update(roots(short))
        if short.endswith(IMAGE_SUFFIX):
            with_suffix.add(os.path.dirname(file))
    kept = set()
    for path in images:
        file = split_selection(path)[0]
        short = FITS_NAME.sub("", file)
        root, _, word = short.rpartition("_")
        words = set(re.split(r"[^a-z0-9]+", os.path.basename(short).lower()))
        own = word.lower() in WORDS and root in begins
        shared = not short.endswith(IMAGE_SUFFIX) and os.path.dirname(file) in with_suffix and words & WORDS
        if not (own or shared):
            kept.add(path)
    if len(kept) < len(set(images)):
        log.info("%d files named like companions are not taken for images.", len(set(images)) - len(kept))
    return kept


class _Listing:
    """What is in each folder, asked once; a look-up a file would dominate runs of many."""

    def __init__(self):
        self._folders: dict[str, set[str]] = {}
        self.unused: Counter[str] = Counter()

    def companions(self, image: str) -> dict[str, str]:
        file = split_selection(image)[0]
        folder, name = os.path.split(file)
        if folder not in self._folders:
            self._folders[folder] = set(os.listdir(folder)) if os.path.isdir(folder) else set()
        ending = FITS_NAME.search(name)
        if not ending:
            return {}
        ends = tuple(dict.fromkeys((ending.group(), ".fits", ".fits.gz", ".fits.fz", ".fit")))
        begins = roots(name[: ending.start()])
        found = {}
        for kind, words in COMPANIONS.items():
            there = (f"{root}_{word}{end}" for word in words for root in begins for end in ends)
            companion = next((one for one in there if one in self._folders[folder] and one != name), None)
            if companion is not None:
                found[kind] = os.path.join(folder, companion)
        if "sigma" in found:
            found["sigma_holds"] = map_kind(found["sigma"])
        for word in UNUSED:
            if any(f"{root}_{word}{end}" in self._folders[folder] for root in begins for end in ends[:2]):
                self.unused[word] += 1
        return found

    def tell_unused(self) -> None:
        """Say once what goes with the images by its name, and is not used."""
        if self.unused:
            named = ", ".join(f"_{word} ({number})" for word, number in self.unused.items())
            log.warning(
                "Files beside the images that are not used: %s. sigma and mask of a manifest may name them; "
                "what is named _rms, _err, "
                "_ivar or _var is taken for noise by itself.",
                named,
            )
