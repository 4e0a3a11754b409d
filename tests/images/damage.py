"""Files as disks, networks and other people's programs leave them: seeded damage to sound ones."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from astropy.io import fits

__all__ = ["CARDS", "CELLS", "damaged_files", "sound_files"]

#: Values of cards that no standard knows, and some that it knows and nobody means
CARDS = (
    "N/A",
    "2,5",
    "0.396 arcsec",
    "'unknown '",
    "T",
    "(1.0,2.0)",
    "-999",
    "1E400",
    "NaN",
    "'",
    "0x1F",
    "25.0 mag / zero",
    "1e-310",
    "99999999999999999999999999",
    "''",
    "- 3",
    "1 2 3",
    "'0.396 arcsec'",
    "inf",
    "\x00\x01",
    "'nanomaggy^1e99'",
    "0",
    "1e300",
    "-1e300",
)
#: Cells of a manifest that are no number, name or file
CELLS = (
    "abc",
    "nan",
    "-999",
    "1e400",
    "inf",
    "--",
    "\x00",
    "\x1b[2J",
    "12,5",
    "../../../..",
    "/dev/null",
    "é" * 300,
    "a" * 5000,
    "=1+1",
    "'",
    "[SCI]",
    ".",
    "~",
)
_KEYS = (
    "GAIN",
    "PIXSCALE",
    "MAGZERO",
    "GAINEFF",
    "SATURATE",
    "EXPTIME",
    "BUNIT",
    "FLUXMAG0",
    "PHOTFLAM",
    "PHOTPLAM",
    "CTYPE1",
    "CTYPE2",
    "CRVAL1",
    "CD1_1",
    "CD2_2",
    "CRPIX1",
    "RADESYS",
    "EQUINOX",
    "NAXIS",
    "NAXIS1",
    "BITPIX",
    "BSCALE",
    "BZERO",
    "BLANK",
    "LONPOLE",
    "CUNIT1",
    "PV2_1",
    "A_ORDER",
    "A_2_0",
    "WCSAXES",
    "CDELT1",
    "DATE-OBS",
    "MJD-OBS",
    "EXTEND",
    "SIMPLE",
)


def sound_files(folder: Path, image: np.ndarray, sigma: np.ndarray, psf: np.ndarray) -> dict[str, bytes]:
    """The files of one galaxy, each kind as bytes: image (with every fact in its header), packed ones,
    sigma, psf, mask."""
    header = fits.Header(
        {
            "MAGZERO": 25.0,
            "PIXSCALE": 0.4,
            "GAIN": 1.0,
            "GAINEFF": 1.0,
            "SATURATE": 1e6,
            "EXPTIME": 30.0,
            "BUNIT": "adu",
            "CTYPE1": "RA---TAN",
            "CTYPE2": "DEC--TAN",
            "CRVAL1": 150.0,
            "CRVAL2": 2.0,
            "CRPIX1": 16.0,
            "CRPIX2": 16.0,
            "CD1_1": -1.1e-4,
            "CD1_2": 0.0,
            "CD2_1": 0.0,
            "CD2_2": 1.1e-4,
            "RADESYS": "ICRS",
        }
    )
    fits.PrimaryHDU(image, header).writeto(folder / "image", overwrite=True)
    fits.PrimaryHDU(sigma).writeto(folder / "sigma", overwrite=True)
    fits.PrimaryHDU(psf).writeto(folder / "psf", overwrite=True)
    fits.PrimaryHDU((sigma > np.quantile(sigma, 0.999)).astype(np.uint8)).writeto(
        folder / "mask", overwrite=True
    )
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(image, header, compression_type="RICE_1")]).writeto(
        folder / "tiles", overwrite=True
    )
    found = {kind: (folder / kind).read_bytes() for kind in ("image", "sigma", "psf", "mask", "tiles")}
    return found | {"gz": gzip.compress(found["image"], 1)}


def damaged_files(folder: Path, sound: dict[str, bytes], count: int, seed: int) -> list[dict[str, str]]:
    """Rows of a manifest whose files are damaged, one of them each, or whose cells are."""
    rng = np.random.default_rng(seed)
    pick = lambda some: some[int(rng.integers(len(some)))]
    for kind in sound:
        (folder / f"sound_{kind}.fits").write_bytes(sound[kind])
    rows = []
    for i in range(count):
        row = {
            "id": f"bad {i}",
            "image": "sound_image.fits",
            "sigma": "sound_sigma.fits",
            "psf": "sound_psf.fits",
        }
        kind = pick(
            ("image", "image", "image", "image", "sigma", "psf", "mask", "tiles", "tiles", "gz", "cell")
        )
        if kind == "cell":
            row[
                pick(
                    (
                        "id",
                        "image",
                        "psf",
                        "sigma",
                        "mask",
                        "zeropoint",
                        "gain",
                        "x",
                        "y",
                        "mag",
                        "r_eff",
                        "n",
                        "q",
                        "ra",
                        "dec",
                    )
                )
            ] = pick(CELLS)
            rows.append(row)
            continue
        data = bytearray(sound[kind])
        header = max(data.find(b"END     "), 0)
        match pick(("card", "card", "header", "header", "data", "anywhere", "cut", "swap", "zero")):
            case "card" if kind != "gz":
                key, at = pick(_KEYS).ljust(8).encode(), 0
                at = (
                    data.find(key + b"=")
                    if key + b"=" in data
                    else 80 * int(rng.integers(4, max(5, header // 80)))
                )
                data[at : at + 80] = (key + b"= " + pick(CARDS).encode("latin-1")).ljust(80)[:80]
            case "header" if kind != "gz":
                for _ in range(int(rng.integers(1, 12))):
                    data[int(rng.integers(0, max(header, 2880)))] = int(rng.integers(256))
            case "data":
                for _ in range(int(rng.integers(1, 200))):
                    data[int(rng.integers(min(2880, len(data) // 2), len(data)))] = int(rng.integers(256))
            case "cut":
                del data[int(rng.integers(len(data))) :]
            case "swap":
                a, b = sorted(int(k) for k in rng.integers(0, len(data), 2))
                data[a:b] = data[a:b][::-1]
            case "zero":
                a = int(rng.integers(len(data)))
                data[a : a + int(rng.integers(1, 4000))] = bytes(min(len(data) - a, 500))
            case _:
                for _ in range(int(rng.integers(1, 40))):
                    data[int(rng.integers(len(data)))] = int(rng.integers(256))
        name = f"damaged_{i}.fits"
        (folder / name).write_bytes(data)
        row["image" if kind in ("tiles", "gz") else kind] = name
        rows.append(row)
    return rows
