"""Reading one image out of a FITS file."""

from __future__ import annotations

import io
import math
import os
import re
from dataclasses import dataclass

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from autogal.errors import AutogalError
from autogal.images.limits import check_file, check_pixels, check_regular, largest_image, unpacked
from autogal.runtime.warnings import silenced

__all__ = ["FitsImage", "read", "split_selection"]

_SELECTION = re.compile(r"^(?P<file>.+)\[(?P<hdu>[^\[\]]+)\]$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class FitsImage:
    """A 2-D image and its headers.

    Attributes
    ----------
    data : ndarray, shape (H, W)
        In the file's type, native byte order, BZERO and BSCALE applied.
    header : astropy.io.fits.Header
        Of the extension that holds the image.
    primary : astropy.io.fits.Header
        Of the file; often the place of the exposure time and the gain.
    hdu : str
        What the extension is called in notes.
    number : int
        Of the extension.
    """

    data: np.ndarray
    header: fits.Header
    primary: fits.Header
    hdu: str = "HDU 0"
    number: int = 0


def split_selection(path: str) -> tuple[str, str | None]:
    """Split ``file.fits[SCI,1]`` into the file and the extension asked for.

    A file that has such a name itself is taken as it is.

    Parameters
    ----------
    path : str

    Returns
    -------
    file : str
    hdu : str or None
        ``"SCI,1"``, ``"SCI"`` or ``"2"``; None where nothing is selected.
    """
    if os.path.exists(path):
        return path, None
    match = _SELECTION.match(path)
    return (match["file"], match["hdu"].strip()) if match else (path, None)


def read(path: str, hdu: str | int | None = None, most: float | None = None) -> FitsImage:
    """Read a 2-D image; a cube of one plane counts as one.

    Parameters
    ----------
    path : str
        A FITS file, compressed or not, with the extension in brackets where
        it is not the first that holds an image.
    hdu : str or int, optional
        Extension to take where the path selects none: a number, a name, or
        ``"name,version"``.
    most : float, optional
        Pixels of the largest image that is read; by default what the memory can hold.

    Returns
    -------
    FitsImage

    Raises
    ------
    AutogalError
        Where there is no such file, no such extension, or no image in it, or
        one too large to be read.
    """
    file, selected = split_selection(path)
    hdu = selected if selected is not None else hdu
    most = largest_image() if most is None else most
    if os.path.isdir(file):
        raise AutogalError(f"{file} is a folder, not a FITS file.", "Give the files in it.")
    check_regular(file)
    try:
        behind = check_file(file, hdu, most)
        # astropy warns of what raises a moment later, and of header style, which is not ours to judge.
        with silenced(AstropyWarning), fits.open(_up_to(file, behind), memmap=False) as hdus:
            if (
                hdu is None
                and "NREPLIC" in hdus[0].header
                and str(hdus[0].header.get("CREATOR")).startswith("autogal")
            ):
                raise AutogalError(
                    f"{file} is a catalogue of autogal, not an image.",
                    "Give the images that its column path names.",
                )
            chosen = _first(hdus, file) if hdu is None else _select(hdus, hdu, file)
            number = next(i for i, one in enumerate(hdus) if one is chosen)
            return FitsImage(
                _plane(chosen, file, most),
                chosen.header.copy(),
                hdus[0].header.copy(),
                _called(number, chosen),
                number,
            )
    except AutogalError:
        raise
    except PermissionError:
        raise AutogalError(f"{file} may not be read.", "Check its permissions.") from None
    except MemoryError as error:
        raise AutogalError(
            f"{file} does not fit into the memory there is.", "Cut out what is to be fitted."
        ) from error
    except Exception as error:  # astropy raises nearly anything on a broken file
        raise _unreadable(file, error) from error


def _up_to(file: str, behind: int | None) -> str | io.BytesIO:
    """A file, or its content, unpacked, up to a byte behind which there is no more of FITS.

    astropy looks for one more header in whatever follows, which may be gigabytes of nothing.
    """
    if behind is None:
        return file
    with unpacked(file) as (stream, is_packed):
        if not is_packed:
            stream.seek(behind)
            if stream.read(6) in (b"", b"XTENSI"):
                return file
            stream.seek(0)
        return io.BytesIO(stream.read(behind))


def _unreadable(file: str, error: Exception) -> AutogalError:
    """What is wrong with a file that could not be read."""
    try:
        size = os.path.getsize(file)
    except OSError:
        return AutogalError(f"No such file: {file}. It was there a moment ago.", "Check the path.")
    if size == 0:
        return AutogalError(f"{file} is empty.", "Fetch the file again.")
    if not _begins_as_fits(file):
        return AutogalError(f"{file} is not a FITS file.", "Give a FITS image.")
    return AutogalError(f"{file} is truncated or damaged: {_line(error)}.", "Fetch the file again.")


def _begins_as_fits(file: str) -> bool:
    """Whether a file, unpacked, begins as FITS must; one too short to tell does not."""
    try:
        with unpacked(file) as (content, _):
            return content.read(6) == b"SIMPLE"
    except Exception:  # each of the packings raises its own
        return False


def _line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text.rstrip(".")[:200]


def _called(number: int, chosen) -> str:
    """The number of an HDU and its name."""
    return f"HDU {number} [{chosen.name}]" if number and chosen.name else f"HDU {number}"


def _shape(hdu) -> tuple[int, ...]:
    """Shape of the image in an HDU, without axes of length one in front; () where it holds none."""
    if not hdu.is_image or hdu.header.get("GROUPS") is True:
        return ()
    shape = tuple(hdu.shape)
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    return shape


def _first(hdus, file: str):
    cube = None
    for hdu in hdus:
        shape = _shape(hdu)
        if len(shape) == 2:
            return hdu
        if len(shape) > 2:
            cube = cube or shape
    if cube:
        raise AutogalError(
            f"{file} holds a cube of {' x '.join(map(str, cube))}, not an image.",
            "Cut out the plane to be fitted.",
        )
    raise AutogalError(f"{file} holds no 2-D image in any extension.", "Give a file with an image.")


def _select(hdus, hdu: str | int, file: str):
    name, _, version = str(hdu).partition(",")
    name, version = name.strip(), version.strip()
    try:
        if version:
            return hdus[name, int(version)]
        return hdus[int(name)] if name.isdigit() else hdus[name]
    except (KeyError, IndexError, ValueError):
        there = ", ".join(f"{i} {h.name},{h.ver}" if h.name else str(i) for i, h in enumerate(hdus))
        raise AutogalError(f"{file} has no extension [{hdu}].", f"Extensions there: {there}.") from None


def _plane(hdu, file: str, most: float) -> np.ndarray:
    shape = _shape(hdu)
    where = f"{file}[{hdu.name}]" if hdu.name and hdu.name != "PRIMARY" else file
    if len(shape) != 2:
        what = f"a cube of {' x '.join(map(str, shape))}" if len(shape) > 2 else "no 2-D image"
        raise AutogalError(f"{where} holds {what}.", "Choose another extension, as file.fits[NAME].")
    check_pixels(shape, where, most)
    if (tile := getattr(hdu, "tile_shape", None)) is not None:
        check_pixels(tuple(tile), f"A tile of {where}", max(most, math.prod(shape)))
    data = np.asarray(hdu.data)
    if data.size == 0:
        raise AutogalError(f"{where} holds an image without pixels.", "Choose another extension.")
    # What FITS stores is big-endian; everything after this wants the machine's own order.
    return np.ascontiguousarray(data.reshape(shape), dtype=data.dtype.newbyteorder("="))
