#!/usr/bin/env python
"""Fit a folder of real survey images and compare with the parameters others have published.

The folder holds INDEX.csv, a manifest with one row an image: besides what ``autogal fit`` reads there, the survey's
name is the folder of the image, and pub_mag, pub_re_arcsec, pub_n, pub_q, pub_pa_deg are the published values where
there are any, cat_mag a catalogue's magnitude.

    scripts/real_data.py FOLDER [out=FOLDER] [survey=...] [any other setting of `autogal fit`]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from astropy.table import Table

from autogal.configuration.composing import compose
from autogal.errors import AutogalError
from autogal.flags import Flag
from autogal.pipeline import run

__all__ = ["angle", "compare", "good", "main"]

# A fit with any of these is a number with a reservation; the others say what the input lacked.
RESERVATIONS = (Flag.BAD_INPUT | Flag.NO_TARGET | Flag.MASK_FALLBACK | Flag.START_FALLBACK | Flag.NOT_CONVERGED | Flag.AT_BOUND
                | Flag.POOR_FIT | Flag.LOW_SN | Flag.EDGE | Flag.FEW_PIXELS | Flag.SINGULAR_COVARIANCE | Flag.SKY_FIXED)  # fmt: skip
ROUND = 0.9  # axis ratio above which a position angle means little


def good(table: Table) -> np.ndarray:
    """Which rows of a catalogue converged without a reservation, bool [N]."""
    return (np.asarray(table["status"]) == "converged") & (np.asarray(table["flags"]) & int(RESERVATIONS) == 0)


def angle(difference: np.ndarray) -> np.ndarray:
    """Difference of two position angles [deg], in [-90, 90)."""
    return (np.asarray(difference) + 90.0) % 180.0 - 90.0


def compare(table: Table, index: Table) -> Table:
    """Ours less theirs, a row an image: d_mag, r_eff and n as ratios, d_q, d_pa [deg], d_cat_mag; NaN where not published."""
    theirs = {name: np.ma.filled(np.ma.asarray(index[name], float), np.nan) for name in
              ("pub_mag", "pub_re_arcsec", "pub_n", "pub_q", "pub_pa_deg", "cat_mag", "pixscale_arcsec")}
    ours = {name: np.asarray(table[name], float) for name in ("mag", "r_eff", "n", "q", "pa")}
    # without a zero point of the image magnitudes compare with nothing
    relative = np.where(np.asarray(table["flags"]) & int(Flag.ZEROPOINT_DEFAULT), np.nan, 0.0)
    return Table({
        "d_mag": ours["mag"] - theirs["pub_mag"] + relative,
        "r_eff": ours["r_eff"] * theirs["pixscale_arcsec"] / theirs["pub_re_arcsec"],
        "n": ours["n"] / theirs["pub_n"],
        "d_q": ours["q"] - theirs["pub_q"],
        "d_pa": np.where(theirs["pub_q"] < ROUND, angle(ours["pa"] - theirs["pub_pa_deg"]), np.nan),
        "d_cat_mag": ours["mag"] - theirs["cat_mag"] + relative,
    })  # fmt: skip


def main(words: list[str]) -> int:
    """Fit, and print a block a survey."""
    if not words or words[0].startswith("-"):
        print(__doc__.strip())
        return 0 if words else 2
    folder, overrides = Path(words[0]), words[1:]
    index_file = folder / "INDEX.csv"
    index = Table.read(index_file, format="ascii.csv")
    with tempfile.TemporaryDirectory() as scratch:
        quiet = ["objects.png=false", "objects.fits=false", f"out={scratch}"]
        given = {word.split("=")[0].lstrip("+") for word in overrides}
        keep = [word for word in quiet if not ({word.split("=")[0], "out"} & given)]
        table = run(compose("fit", keep + overrides), [str(index_file)]).table
    report(table, index)
    return 0


def report(table: Table, index: Table) -> None:
    """Print how many fits of each survey are good, and what differs from the published values."""
    fine, differences = good(table), compare(table, index)
    survey = np.array([str(image).split("/")[0] for image in index["image"]])
    heading = f"{'':44s}" + "".join(f"{name:>10s}" for name in differences.colnames)
    print(f"\nOurs less theirs: magnitudes, axis ratios, position angles [deg]; r_eff and n as ours / theirs.\n\n{heading}")
    for name in dict.fromkeys(survey):
        rows = np.flatnonzero(survey == name)
        print(f"{name:24s} {len(rows):3d} images, {np.count_nonzero(fine[rows]):3d} good")
        published = [i for i in rows if any(np.isfinite(differences[i][c]) for c in differences.colnames[:-1])]
        for i in published:
            label = f"  {str(table['id'][i])[:30]} {index['band'][i]}"
            print(f"{label:44s}" + _numbers(differences[i]) + f"  {_reservations(int(table['flags'][i]))}".rstrip())
        if len(published) > 1 or np.isfinite(differences["d_cat_mag"][rows]).any():
            print(f"{'  median of all':44s}" + _numbers({c: _median(differences[c][rows]) for c in differences.colnames}))


def _median(values: np.ndarray) -> float:
    values = np.asarray(values)[np.isfinite(values)]
    return float(np.median(values)) if values.size else np.nan


def _numbers(row) -> str:
    names = ("d_mag", "r_eff", "n", "d_q", "d_pa", "d_cat_mag")
    return "".join(f"{row[name]:10.3f}" if np.isfinite(row[name]) else f"{'-':>10s}" for name in names)


def _reservations(flags: int) -> str:
    return " ".join(flag.name for flag in Flag if flags & flag & RESERVATIONS)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except AutogalError as error:
        sys.exit(f"{error}")
