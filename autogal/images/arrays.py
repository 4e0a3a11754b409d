"""Cutouts from arrays in memory: the input of the Python API."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Sequence

import numpy as np
from astropy.io import fits
from astropy.table import Table

from autogal.errors import AutogalError
from autogal.images.column_names import SKY, START
from autogal.images.cutout import Cutout
from autogal.images.entry import Entry, unique_ids
from autogal.images.fits import read
from autogal.images.load import attach, load_entry, read_psf, report, unexpected
from autogal.images.manifest import start_columns, start_values
from autogal.images.options import Options
from autogal.images.paths import find_entries
from autogal.images.position import aim
from autogal.images.prepare import prepare
from autogal.images.psf.checks import prepare_psf
from autogal.images.psf.own import is_psf_model, validate_psf_model
from autogal.images.psf.stack import normalise_sound
from autogal.images.stack import Pixels, check_pixels, uniform

__all__ = ["ArrayCutouts", "from_arrays"]

log = logging.getLogger(__name__)


def from_arrays(
    images,
    sigma=None,
    psf=None,
    mask=None,
    *,
    start=None,
    ids: Sequence[str] | None = None,
    zeropoint=None,
    pixel_scale=None,
    gain=None,
    saturation=None,
    settings=None,
) -> list[Cutout]:
    """Make one cutout of each image.

    Parameters
    ----------
    images : ndarray of shape (N, H, W) or (H, W), or list of ndarray or of file names
        File names may be whatever :func:`autogal.images.find_entries` takes.
    sigma, mask : ndarray, file name, or list of them, optional
        One for all (a number, too, for sigma) or one each. Mask: non-zero = excluded.
    psf : ndarray of shape (K, L) or (N, K, L), file name, or list, optional
        One for all or one each.
    start : astropy.table.Table, mapping of columns, or list of mappings, optional
        Starting values, one row each: any of x, y, mag, flux, r_eff, n, q, pa, sky; ra and dec in place of x
        and y, where the images are files with a WCS.
    ids : sequence of str, optional
        ``"0"``, ``"1"``, ... by default; for files, their names.
    zeropoint, pixel_scale, gain, saturation : float or sequence of float, optional
        One for all or one each; they win over headers and settings.
    settings : mapping or Options, optional
        A composed configuration.

    Returns
    -------
    list of Cutout
        In the order of the images. One that cannot be fitted has ``error`` set.

    Raises
    ------
    AutogalError
        Where numbers of items do not match, or what is shared by all cannot be used.
    """
    cutouts = ArrayCutouts(
        images,
        sigma,
        psf,
        mask,
        start=start,
        ids=ids,
        zeropoint=zeropoint,
        pixel_scale=pixel_scale,
        gain=gain,
        saturation=saturation,
        settings=settings,
    )[:]
    for cutout in cutouts:
        report(cutout)
    return cutouts


class ArrayCutouts(Sequence):
    """What :func:`from_arrays` makes, of any part of the images and when it is asked for; nothing is written
    in the log.

    Numbers of items are looked at once, here; pixels and PSFs with their part. Parts may be asked for in
    several threads.

    Parameters
    ----------
    images, sigma, psf, mask, start, ids, zeropoint, pixel_scale, gain, saturation, settings
        As `from_arrays` takes them.

    Raises
    ------
    AutogalError
        Where numbers of items do not match, or a PSF model fails on small images. Where what is shared by all
        cannot be used, the first part raises it.
    """

    def __init__(
        self,
        images,
        sigma=None,
        psf=None,
        mask=None,
        *,
        start=None,
        ids: Sequence[str] | None = None,
        zeropoint=None,
        pixel_scale=None,
        gain=None,
        saturation=None,
        settings=None,
    ):
        self._options = options = Options.from_settings(settings)
        self._items, self._given_ids = _items(images, ids)
        self._ids, number = unique_ids(self._given_ids), len(self._items)
        planes = {
            kind: getattr(options, kind) if value is None else value
            for kind, value in (("sigma", sigma), ("mask", mask), ("psf", psf))
        }
        what = {"sigma": "sigma maps", "mask": "masks", "psf": "PSFs"}
        self._companions = {kind: _each(planes[kind], number, what[kind]) for kind in what}
        for model in {id(one): one for one in self._companions["psf"] if is_psf_model(one)}.values():
            validate_psf_model(
                model, options.psf_oversample or 1
            )  # now: one that is faulty would fail every row
        self._facts = {
            name: _each(value, number, f"values of {name}")
            for name, value in (
                ("zeropoint", zeropoint),
                ("pixel_scale", pixel_scale),
                ("gain", gain),
                ("saturation", saturation),
            )
        }
        self._starts = _starts(start, number)
        self._stacks = {kind: uniform(planes[kind], values) for kind, values in self._companions.items()}
        self._stacks["image"] = uniform(images, self._items)
        self._together = (
            self._stacks["image"] is not None
            and self._stacks["sigma"] is not None
            and (planes["mask"] is None or self._stacks["mask"] is not None)
        )
        self._alike = all(_all_same(values) for values in (*self._companions.values(), *self._facts.values()))
        self._known: dict[tuple, object] = {}  # what several objects share is read and prepared once
        self._chosen: dict[tuple, Options] = {}

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, part: slice) -> list[Cutout]:
        some = range(len(self))[part]
        stacks = {kind: stack[part] if stack is not None else None for kind, stack in self._stacks.items()}
        pixels = [None] * len(some)
        if self._together:
            pixels = check_pixels(stacks["image"], stacks["sigma"], stacks["mask"], self._options.dtype)
        sound = _sound_psfs(stacks["psf"], self._companions["psf"][part])
        return [self._one(i, own, sound) for i, own in zip(some, pixels)]

    def _one(self, i: int, pixels: Pixels | None, sound: dict) -> Cutout:
        id, start = self._ids[i], self._starts[i]
        if isinstance(start, AutogalError):
            return Cutout.failed(id, start.what)
        try:
            own = tuple(
                (name, float(values[i])) for name, values in self._facts.items() if values[i] is not None
            )
            given = {
                kind: self._companion(kind, values[i], sound) for kind, values in self._companions.items()
            }
        except (AutogalError, TypeError, ValueError) as error:
            cutout = Cutout.failed(
                id, error.what if isinstance(error, AutogalError) else f"{error}.", start=start
            )
            if len(self) > 1 and self._alike:
                raise  # every object would fail for the same reason
        else:
            if own not in self._chosen:
                self._chosen[own] = dataclasses.replace(
                    self._options, sigma=None, mask=None, psf=None, **dict(own)
                )
            try:
                cutout = _cutout(id, self._items[i], given, start, self._chosen[own], pixels)
            except Exception as error:  # whatever an image holds is the trouble of its own row
                log.info("%s: could not be read", id, exc_info=error)
                cutout = Cutout.failed(id, unexpected("read", error), start=start)
        if id != self._given_ids[i]:
            cutout.notes.append(f"The id {self._given_ids[i]} came before; this row is {id}.")
        return cutout

    def _companion(self, kind: str, value, sound: dict):
        """A sigma map or mask as an array, a PSF as prepared, the path of its file or its model."""
        if value is None:
            return None
        key = (kind, id(value))
        if key in sound:
            return sound[key]
        if key not in self._known:
            oversample = self._options.psf_oversample
            if kind == "psf" and is_psf_model(value):
                self._known[key] = value
            elif isinstance(value, (str, os.PathLike)):
                path = os.path.abspath(os.path.expanduser(os.fspath(value)))
                if kind == "psf":
                    read_psf(path, oversample)  # now, that a file which all share is refused once
                self._known[key] = path if kind == "psf" else read(path, most=self._options.largest).data
            else:
                self._known[key] = prepare_psf(value, oversample or 1) if kind == "psf" else value
        return self._known[key]


def _cutout(
    id: str, item, given: dict, start: dict | None, options: Options, pixels: Pixels | None
) -> Cutout:
    if isinstance(item, Entry):
        return load_entry(dataclasses.replace(item, id=id, start=start or item.start), options, given)
    cutout = prepare(id, item, given["sigma"], given["mask"], options=options, start=start, pixels=pixels)
    attach(cutout, given["psf"], options)
    aim(cutout)
    return cutout


def _items(images, ids: Sequence[str] | None) -> tuple[list, list[str]]:
    """One array or entry per object, and the ids."""
    if isinstance(images, (str, os.PathLike)):
        images = [images]
    if isinstance(images, fits.HDUList) or hasattr(images, "header"):
        raise AutogalError(
            "images is an HDU of a FITS file, or several of them.",
            "Give the file's name, as file.fits[SCI], or the array in .data.",
        )
    if isinstance(images, (list, tuple)):
        items = list(images)
    else:
        array = np.asanyarray(images)
        if array.ndim not in (2, 3) and array.dtype != object:
            raise AutogalError(
                f"images has the shape {array.shape}.", "Give an array [N, H, W], or a list of arrays."
            )
        items = [array] if array.ndim == 2 else list(array)
    if not items:
        raise AutogalError("No images were given.", "Give at least one.")
    names = [isinstance(item, (str, os.PathLike)) for item in items]
    if all(names):
        items = find_entries(items)
    elif any(names):
        raise AutogalError("images mixes arrays and file names.", "Give either.")
    if ids is None:
        ids = [item.id if isinstance(item, Entry) else str(i) for i, item in enumerate(items)]
    if len(ids) != len(items):
        raise AutogalError(f"There are {len(items)} images, but {len(ids)} ids.", "Give one each.")
    return items, [str(id) for id in ids]


def _each(value, number: int, what: str) -> list:
    """One value per object from one for all or one each."""
    if value is None or isinstance(value, (str, os.PathLike)) or callable(value):
        return [value] * number
    if isinstance(value, (list, tuple)):
        values = list(value)
    else:
        array = np.asanyarray(value)
        if array.ndim in (0, 2):
            return [array] * number
        values = list(array)
    if len(values) == 1:
        return values * number
    if len(values) != number:
        raise AutogalError(
            f"There are {number} images, but {len(values)} {what}.", "Give one for all, or one each."
        )
    return values


def _all_same(values: list) -> bool:
    return all(value is values[0] for value in values)


def _sound_psfs(stack, values: list) -> dict[tuple[str, int], object]:
    """PSFs that need only be normalised, by the key of `_companion`."""
    if stack is None or values[0] is values[-1]:  # one for all is prepared once
        return {}
    return {("psf", id(value)): psf for value, psf in zip(values, normalise_sound(stack)) if psf is not None}


def _starts(start, number: int) -> list[dict[str, float] | AutogalError | None]:
    if start is None:
        return [None] * number
    if isinstance(start, (list, tuple)):
        names = [tuple(_names_of(row)) for row in start]
        used = {some: start_columns([str(name) for name in some]) for some in dict.fromkeys(names)}
        rows = [{name: row[some[at]] for name, at in used[some].items()} for row, some in zip(start, names)]
    else:  # a table, or a mapping of columns
        names = start.colnames if isinstance(start, Table) else list(start)
        columns = {
            name: np.ma.atleast_1d(start[names[at]])
            for name, at in start_columns([str(name) for name in names]).items()
        }
        columns = {
            name: column for name, column in columns.items() if name not in SKY or not _is_empty(column)
        }
        lengths = {len(column) for column in columns.values()}
        if len(lengths) != 1:
            reason = "columns of different lengths" if lengths else f"none of the columns {', '.join(START)}"
            raise AutogalError(f"The start table has {reason}.", "Give one row per image.")
        whole = all(map(_whole, columns.values()))
        cells = (
            [np.asarray(column.data, float).tolist() for column in columns.values()]
            if whole
            else columns.values()
        )
        rows = [dict(zip(columns, row)) for row in zip(*cells)]
        if whole and len(rows) == number and not columns.keys() & set(SKY):
            return rows
    if len(rows) != number:
        raise AutogalError(
            f"There are {number} images, but {len(rows)} rows of starting values.", "Give one row each."
        )
    return [_start_of(row) for row in rows]


def _names_of(row) -> Sequence:
    """The names of what a row of starting values holds; of a row that is None, none."""
    return row.colnames if hasattr(row, "colnames") else list(row or ())


def _start_of(row: dict) -> dict[str, float] | AutogalError | None:
    """The starting values of one row, or what is wrong with them."""
    try:
        return start_values(row) or None
    except AutogalError as error:
        return error


def _is_empty(column: np.ma.MaskedArray) -> bool:
    """Whether a column of numbers holds none, as those of a catalogue without a WCS."""
    return column.dtype.kind == "f" and not np.isfinite(np.ma.filled(column, np.nan)).any()


def _whole(column: np.ma.MaskedArray) -> bool:
    """Whether a column holds a finite number in every row."""
    numbers = column.ndim == 1 and column.dtype.kind in "iuf" and not np.ma.is_masked(column)
    return numbers and bool(np.isfinite(np.asarray(column.data)).all())
