"""What is refused before it is read: pipes, devices, and images that no memory holds."""

from __future__ import annotations

import bz2
import gzip
import os
import socket
import sys
import time
import zipfile

import numpy as np
import pytest
from astropy.io import fits

from autogal.configuration.composing import compose
from autogal.errors import AutogalError
from autogal.images import Options, find_entries, load
from autogal.images.fits import read
from autogal.images.limits import largest_image


def claimed(path, *sides, bitpix=-32, data=b"", end=True):
    """A FITS file whose header claims an image."""
    cards = ["SIMPLE  =                    T", f"BITPIX  = {bitpix:20d}", f"NAXIS   = {len(sides):20d}"]
    cards += [f"NAXIS{k:<3}= {side:20d}" for k, side in enumerate(sides, 1)] + ["END"] * end
    path.write_bytes("".join(card.ljust(80) for card in cards).ljust(2880).encode() + data)
    return path


@pytest.fixture
def sound(tmp_path):
    y, x = np.indices((32, 32))
    fits.writeto(
        tmp_path / "a.fits",
        100 * np.exp(-np.hypot(x - 16, y - 16) / 3) + np.random.default_rng(0).normal(0, 1, (32, 32)),
    )
    return tmp_path / "a.fits"


@pytest.mark.parametrize("kind", ["pipe", "socket", "/dev/zero", "folder"])
@pytest.mark.parametrize("role", ["image", "psf", "sigma", "mask"])
def test_only_files_are_read(kind, role, sound, tmp_path):
    path = {
        "/dev/zero": "/dev/zero",
        "pipe": str(tmp_path / "pipe.fits"),
        "socket": str(tmp_path / "socket.fits"),
        "folder": str(tmp_path / "x.fits"),
    }[kind]
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind(path)
    elif kind == "folder":
        os.mkdir(path)
    rows = {"image": "a.fits"} | {role: path}
    (tmp_path / "m.csv").write_text(
        ",".join(rows)
        + "\n"
        + ",".join(rows.values())
        + "\n"
        + ",".join({**rows, role: "a.fits"}.values())
        + "\n"
    )
    began = time.monotonic()
    bad, _ = (load(entry) for entry in find_entries([str(tmp_path / "m.csv")]))
    assert "a folder" in bad.error or "is not a file but a" in bad.error
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("name", ["m.csv", "list.txt", "a.fits", "m.parquet"])
def test_a_pipe_by_name_does_not_hang(name, tmp_path):
    os.mkfifo(tmp_path / name)
    with pytest.raises(AutogalError, match="a pipe"):
        entries = find_entries([("@" if name == "list.txt" else "") + str(tmp_path / name)])
        raise AutogalError(load(entries[0]).error)


def test_a_header_may_claim_what_it_likes(sound, tmp_path):
    for number, sides in enumerate([(10**6, 10**6), (10**9, 10**9), (1, 10**13), (10**18, 10**18, 1)]):
        with pytest.raises(AutogalError, match="at most|damaged"):
            read(str(claimed(tmp_path / f"{number}.fits", *sides)))
    with pytest.raises(AutogalError, match="truncated"):
        read(str(claimed(tmp_path / "short.fits", 100, 100)))
    assert load(find_entries([str(sound)])[0], Options(largest=32 * 32)).error is None
    assert (
        "at most 0.001023 million" in load(find_entries([str(sound)])[0], Options(largest=32 * 32 - 1)).error
    )


def test_a_sparse_file_is_refused_unread(tmp_path):
    path = claimed(tmp_path / "sparse.fits", 65536, 65536)
    os.truncate(path, 2880 + 4 * 65536**2)
    with pytest.raises(AutogalError, match="65536 x 65536"):
        read(str(path), most=1e8)


@pytest.mark.parametrize("packing", ["gz", "bz2", "zip"])
@pytest.mark.parametrize("kind", ["image", "extension", "header"])
def test_what_unpacks_to_far_more_is_refused_unpacked(packing, kind, tmp_path):
    head = (
        claimed(tmp_path / "head", 8000, 4000, end=kind != "header").read_bytes()
        if kind != "extension"
        else claimed(tmp_path / "head", 4000, 4000, 2).read_bytes()
    )
    content = head + (b" " if kind == "header" else b"\0") * (4 * 8000 * 4000)
    path = tmp_path / f"bomb.fits.{packing}"
    if packing == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr("bomb.fits", content)
    else:
        path.write_bytes({"gz": lambda data: gzip.compress(data, 1), "bz2": bz2.compress}[packing](content))
    assert path.stat().st_size < 2e6
    with pytest.raises(AutogalError, match="at most|unpacks to more than|no end"):
        read(str(path), 1 if kind == "extension" else None, most=1e6)


@pytest.mark.parametrize("packed", [False, True])
def test_what_follows_the_image_is_not_looked_through(packed, tmp_path):
    """Zeros behind an image are no header, however many there are."""
    image = np.random.default_rng(1).normal(size=(16, 16)).astype(np.float32)
    fits.writeto(tmp_path / "a.fits", image)
    path = tmp_path / ("b.fits.gz" if packed else "b.fits")
    with gzip.open(path, "wb", 1) if packed else open(path, "wb") as file:
        file.write((tmp_path / "a.fits").read_bytes())
        for _ in range(24):
            file.write(bytes(1 << 22))
    began = time.process_time()
    assert np.array_equal(read(str(path)).data, image)
    assert time.process_time() - began < 1.0


def test_tiles_are_counted_by_what_they_hold(tmp_path):
    hdu = fits.CompImageHDU(np.zeros((2000, 2000), np.int16), compression_type="GZIP_1")
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / "a.fits.fz")
    assert read(str(tmp_path / "a.fits.fz"), most=4e6).data.shape == (2000, 2000)
    with pytest.raises(AutogalError, match="2000 x 2000"):
        read(str(tmp_path / "a.fits.fz"), most=3e6)


def test_a_large_extension_beside_the_image_does_not_matter(tmp_path):
    hdus = [
        fits.PrimaryHDU(),
        fits.ImageHDU(np.ones((300, 300)), name="BIG"),
        fits.ImageHDU(np.eye(9), name="SCI"),
    ]
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    for path in (f"{tmp_path}/a.fits[SCI]", f"{tmp_path}/a.fits[2]", f"{tmp_path}/a.fits[SCI,1]"):
        assert read(path, most=100).data.shape == (9, 9)
    with pytest.raises(AutogalError, match="300 x 300"):
        read(f"{tmp_path}/a.fits[BIG]", most=100)


def test_the_limit_is_a_key():
    assert Options.from_settings(compose(overrides=["limits.image=2.5"])).largest == 2.5e6
    assert Options.from_settings(compose()).largest is None and largest_image() > 1e6
    with pytest.raises(AutogalError, match="limits.image"):
        compose(overrides=["limits.image=0"])


def test_a_file_that_goes_while_it_is_opened(sound, monkeypatch):
    entry = find_entries([str(sound)])[0]
    whole = fits.open

    def gone(path, **words):
        os.unlink(path)
        return whole(path, **words)

    monkeypatch.setattr(fits, "open", gone)
    assert "No such file" in load(entry).error


def test_memory_that_ends_after_reading(sound, monkeypatch):
    entry = find_entries([str(sound)])[0]
    monkeypatch.setattr(
        sys.modules["autogal.images.load"], "prepare", lambda *_, **__: (_ for _ in ()).throw(MemoryError())
    )
    assert "memory" in load(entry).error
