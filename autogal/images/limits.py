"""Which files are read: regular ones, with headers that end and images that the memory there is can hold."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from autogal.errors import AutogalError
from autogal.runtime.memory import memory

__all__ = ["check_file", "check_pixels", "check_regular", "largest_image", "list_images", "unpacked"]

#: What a file begins with that is packed as a whole, and what unpacks it
_PACKED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_ZIPPED = b"PK\x03\x04"
_BLOCK = 2880  # bytes, of FITS
_LONGEST = 4000 * _BLOCK  # bytes of a header: 144,000 cards
_NUMBER = re.compile(rb"= *([+-]?\d{1,18}) *(/|$)")
_PER_PIXEL = 200.0  # bytes that reading, segmenting and fitting take a pixel of one large image
_WIDEST = 8  # bytes of a pixel in a file
_KINDS = {
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}


def largest_image() -> float:
    """Pixels of the largest image that is read where ``limits.image`` says nothing: what half of the
    memory can hold."""
    return 0.5 * memory() / _PER_PIXEL


def check_regular(file: str) -> None:
    """Refuse what is there and is no regular file: reading from a pipe may never end.

    Raises
    ------
    AutogalError
    """
    try:
        mode = os.stat(file).st_mode
    except (OSError, ValueError):  # ValueError: a name that no file can have
        raise AutogalError(f"No such file: {file}.", "Check the path.") from None
    if not stat.S_ISREG(mode):
        kind = next((name for is_kind, name in _KINDS.items() if is_kind(mode)), "something else")
        raise AutogalError(f"{file} is not a file but {kind}.", "Give FITS files.")


def check_pixels(shape: tuple[int, ...], where: str, most: float) -> None:
    """Refuse an image of more than `most` pixels, by what its header says, before it is read.

    Raises
    ------
    AutogalError
    """
    pixels = 1.0
    for side in shape:
        pixels *= side
    if pixels > most:
        raise AutogalError(
            f"{where} is an image of {' x '.join(map(str, shape))} pixels; at most {most / 1e6:.4g} "
            f"million are read.",
            "Cut out what is to be fitted, or raise limits.image if the memory allows.",
        )


def check_file(file: str, hdu: str | int | None, most: float) -> int | None:
    """Refuse a file that could fill the memory before its image is reached, by its headers alone.

    Parameters
    ----------
    file : str
        A FITS file, packed or not; one that is damaged otherwise is left to those who read it.
    hdu : str, int or None
        The extension that will be read; None: the first with an image.
    most : float
        Pixels of the largest image that may be read. A packed file may unpack to no more than eight bytes for
        each up to the end of that image.

    Returns
    -------
    int or None
        Bytes from the beginning of the file, unpacked, behind which there is nothing to be read; None where
        that is not known, or more than `most` allows.

    Raises
    ------
    AutogalError
        For what is no regular file, a header without an end, or a packed file that grows beyond that.
    """
    check_regular(file)
    most = _WIDEST * most + _LONGEST
    name, _, version = (part.strip() for part in str("" if hdu is None else hdu).partition(","))
    behind = None
    try:
        with unpacked(file) as (stream, is_packed):
            for number, (header, end, size) in enumerate(_headers(stream, file)):
                wanted = (
                    _is_image(header)
                    if hdu is None
                    else number == int(name)
                    if name.isdigit()
                    else _is_named(header, name)
                )
                behind = end + size if end + size <= most else None
                if is_packed and behind is None:
                    raise AutogalError(
                        f"{file} unpacks to more than {most / 1e6:.4g} MB.",
                        "Unpack it, and cut out what is to be fitted.",
                    )
                if wanted and not version:
                    return behind
                stream.seek(end + size)
    except (
        OSError,
        EOFError,
        ValueError,
        OverflowError,
        lzma.LZMAError,
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
    ):
        return None  # whoever reads it says what is wrong
    return behind


def list_images(file: str, most: float) -> list[tuple[int, str, int, tuple[int, ...]]]:
    """The images in a FITS file, as far as its headers can be followed: number, EXTNAME, EXTVER and shape of
    each.

    Parameters
    ----------
    file : str
        Packed or not.
    most : float
        As for `check_file`: what a packed file holds beyond that is left out.
    """
    found, most = [], _WIDEST * most + _LONGEST
    try:
        with unpacked(file) as (stream, is_packed):
            for number, (header, end, size) in enumerate(_headers(stream, file)):
                if is_packed and end + size > most:
                    break
                if _is_image(header):
                    axes = b"ZNAXIS" if b"ZIMAGE" in header else b"NAXIS"
                    sides = tuple(
                        _whole(header, axes + b"%d" % k) for k in range(min(_whole(header, axes), 999), 0, -1)
                    )
                    found.append((number, _name(header), _whole(header, b"EXTVER", 1), sides))
                stream.seek(end + size)
    except (
        AutogalError,
        OSError,
        EOFError,
        ValueError,
        OverflowError,
        lzma.LZMAError,
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
    ):
        pass  # what lies before is there
    return found


@contextmanager
def unpacked(file: str) -> Iterator[tuple[BinaryIO, bool]]:
    """The content of a file that may be packed as a whole, to be read from its beginning, and whether it
    is packed."""
    with open(file, "rb") as raw:
        magic = raw.read(6)
    if magic.startswith(_ZIPPED):
        with zipfile.ZipFile(file) as archive, archive.open(archive.namelist()[0]) as stream:
            yield stream, True
        return
    opener = next((one for start, one in _PACKED.items() if magic.startswith(start)), None)
    with (opener or open)(file, "rb") as stream:
        yield stream, opener is not None


def _headers(stream: BinaryIO, file: str) -> Iterator[tuple[dict[bytes, bytes], int, int]]:
    """The cards of each header by keyword, where it ends and how many bytes of data follow; the caller
    moves on behind them."""
    end = 0
    while True:
        header, start = {}, stream.tell()
        while b"END" not in header:
            block = stream.read(_BLOCK)
            if len(block) < _BLOCK or (not header and block[:6] not in (b"SIMPLE", b"XTENSI")):
                return
            for card in (block[at : at + 80] for at in range(0, _BLOCK, 80)):
                header.setdefault(card[:8].rstrip(), card[8:])
            if stream.tell() - start > _LONGEST:
                raise AutogalError(f"{file} is damaged: a header in it has no end.", "Fetch the file again.")
        end = stream.tell()
        sides = [_whole(header, b"NAXIS%d" % k) for k in range(1, min(_whole(header, b"NAXIS"), 999) + 1)]
        pixels = _whole(header, b"PCOUNT", 0) if sides else 0
        product = 1
        for side in sides:
            product *= side
        pixels += product if sides else 0
        size = abs(_whole(header, b"BITPIX")) // 8 * max(_whole(header, b"GCOUNT", 1), 1) * max(pixels, 0)
        yield header, end, -(-size // _BLOCK) * _BLOCK


def _whole(header: dict[bytes, bytes], key: bytes, otherwise: int = 0) -> int:
    match = _NUMBER.match(header.get(key, b""))
    return int(match[1]) if match else otherwise


def _is_named(header: dict[bytes, bytes], name: str) -> bool:
    return _name(header) == name.upper()


def _name(header: dict[bytes, bytes]) -> str:
    return (
        header.get(b"EXTNAME", b"")
        .decode("ascii", "replace")
        .partition("'")[2]
        .partition("'")[0]
        .strip()
        .upper()
    )


def _is_image(header: dict[bytes, bytes]) -> bool:
    """Whether an HDU holds a plane, behind which nobody looks for another one."""
    axes = b"ZNAXIS" if b"ZIMAGE" in header else b"NAXIS"
    sides = [_whole(header, axes + b"%d" % k) for k in range(1, min(_whole(header, axes), 999) + 1)]
    is_table = b"TABLE" in header.get(b"XTENSION", b"") and axes == b"NAXIS"
    return not is_table and len(sides) >= 2 and all(side == 1 for side in sides[2:])
