#!/usr/bin/env python
"""Fit a folder of real survey images and compare with the parameters others have published.

The folder holds INDEX.csv, a manifest with one row an image: besides what ``autogal fit`` reads there, the
survey's name is the folder of the image, and pub_mag, pub_re_arcsec, pub_n, pub_q, pub_pa_deg are the
published values where there are any, cat_mag a catalogue's magnitude.

    scripts/real_data.py FOLDER [--imfit PYTHON [--limit SECONDS]] [out=FOLDER] [survey=...] [any other
    setting of `autogal fit`]

A second table says which part of the published values lies within 1, 2 and 3 quoted errors: ours and, where
the folder of the image has them (columns `*_err` of a table truth*.csv), theirs, added in quadrature. With
`--imfit`, which names a Python that has pyimfit, imfit fits the same images with the same masks and starting
values, and autogal once more inside the masks alone; an image that takes imfit more than SECONDS of processor
time (600) is given up, and the table once more holds only what imfit finished. With out=, imfit's results are
kept there, in the folder imfit, image by image: the same command goes on from them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from astropy.table import Table
from scipy.ndimage import convolve

from autogal.beginning import begin
from autogal.configuration.composing import compose
from autogal.errors import AutogalError
from autogal.flags import RESERVATIONS, Flag
from autogal.images import find_entries, load
from autogal.run.job import run
from autogal.runtime.stopwatch import Stopwatch

__all__ = ["angle", "compare", "good", "main", "published_errors", "pulls", "shares"]

PARAMETERS = ("mag", "r_eff", "n", "q", "pa")
PUBLISHED = ("pub_mag", "pub_re_arcsec", "pub_n", "pub_q", "pub_pa_deg")
# Columns with published errors, the first that is there; sizes in pixels
ERROR_COLUMNS = {
    "mag": ("sersic_mag_err", "mag_err"),
    "r_eff": ("re_pix_err", "re_err"),
    "n": ("n_err",),
    "q": ("q_err",),
    "pa": ("pa_err",),
}
ROUND = 0.9  # axis ratio above which a position angle means little


def good(table: Table) -> np.ndarray:
    """Which rows of a catalogue converged without a reservation, bool [N]."""
    return (np.asarray(table["status"]) == "converged") & (
        np.asarray(table["flags"]) & int(RESERVATIONS) == 0
    )


def angle(difference: np.ndarray) -> np.ndarray:
    """Difference of two position angles [deg], in [-90, 90)."""
    return (np.asarray(difference) + 90.0) % 180.0 - 90.0


def compare(table: Table, index: Table) -> Table:
    """Ours less theirs, a row an image: d_mag, r_eff and n as ratios, d_q, d_pa [deg], d_cat_mag; NaN
    where not published."""
    theirs = {
        name: np.ma.filled(np.ma.asarray(index[name], float), np.nan)
        for name in ("pub_mag", "pub_re_arcsec", "pub_n", "pub_q", "pub_pa_deg", "cat_mag", "pixscale_arcsec")
    }
    ours = {name: np.asarray(table[name], float) for name in ("mag", "r_eff", "n", "q", "pa")}
    # without a zero point of the image magnitudes compare with nothing
    relative = np.where(np.asarray(table["flags"]) & int(Flag.ZEROPOINT_DEFAULT), np.nan, 0.0)
    return Table(
        {
            "d_mag": ours["mag"] - theirs["pub_mag"] + relative,
            "r_eff": ours["r_eff"] * theirs["pixscale_arcsec"] / theirs["pub_re_arcsec"],
            "n": ours["n"] / theirs["pub_n"],
            "d_q": ours["q"] - theirs["pub_q"],
            "d_pa": np.where(theirs["pub_q"] < ROUND, angle(ours["pa"] - theirs["pub_pa_deg"]), np.nan),
            "d_cat_mag": ours["mag"] - theirs["cat_mag"] + relative,
        }
    )


def published_errors(folder: Path, index: Table) -> Table:
    """1-sigma errors published with the values of an index: mag, r_eff [arcsec], n, q, pa [deg]; NaN where
    there are none."""
    errors = Table({name: np.full(len(index), np.nan) for name in PARAMETERS})
    for row, (image, name, scale) in enumerate(
        zip(index["image"], index["object_id"], index["pixscale_arcsec"])
    ):
        for file in sorted((folder / str(image)).parent.glob("truth*.csv")):
            published = Table.read(file, format="ascii.csv")
            if "object_id" in published.colnames:
                published = published[[str(one) == str(name) for one in published["object_id"]]]
            for parameter, columns in ERROR_COLUMNS.items():
                known = [
                    float(published[column][0])
                    for column in columns
                    if len(published) and column in published.colnames
                ]
                if known:
                    errors[parameter][row] = known[0] * (float(scale) if parameter == "r_eff" else 1.0)
    return errors


def pulls(table: Table, index: Table, theirs: Table) -> Table:
    """Difference from the published values over the quoted errors, theirs and ours in quadrature; NaN
    where not published."""
    off, scale = compare(table, index), np.asarray(index["pixscale_arcsec"], float)
    ours = {name: np.asarray(table[f"{name}_err"], float) for name in PARAMETERS}
    published = {
        name: np.ma.filled(np.ma.asarray(index[column], float), np.nan)
        for name, column in (("r_eff", "pub_re_arcsec"), ("n", "pub_n"))
    }
    difference = {
        "mag": off["d_mag"],
        "r_eff": (off["r_eff"] - 1) * published["r_eff"],
        "n": (off["n"] - 1) * published["n"],
        "q": off["d_q"],
        "pa": off["d_pa"],
    }
    ours["r_eff"] = ours["r_eff"] * scale
    return Table(
        {
            name: np.asarray(difference[name]) / np.hypot(ours[name], np.nan_to_num(theirs[name]))
            for name in PARAMETERS
        }
    )


def shares(pull: Table) -> dict[str, list[float]]:
    """Part of the known pulls of each parameter, and of all, within 1, 2 and 3, in percent; the last
    number counts them."""
    columns = {name: np.asarray(pull[name]) for name in PARAMETERS}
    columns["all"] = np.concatenate(list(columns.values()))
    found = {}
    for name, values in columns.items():
        known = np.abs(values[np.isfinite(values)])
        found[name] = [*(100 * np.mean(known < k) if known.size else np.nan for k in (1, 2, 3)), known.size]
    return found


def main(words: list[str]) -> int:
    """Fit, and print a block a survey."""
    if not words or words[0].startswith("-"):
        print(__doc__.strip())
        return 0 if words else 2
    folder, overrides = Path(words[0]), words[1:]
    python = option(overrides, "--imfit", "Give a Python that has pyimfit, as in --imfit venv/bin/python.")
    limit = option(overrides, "--limit", "Give seconds, as in --limit 300.") or "600"
    index_file = folder / "INDEX.csv"
    index = Table.read(index_file, format="ascii.csv")
    with tempfile.TemporaryDirectory() as scratch:
        quiet = ["objects.png=false", "objects.fits=false", f"out={scratch}"]
        given = {word.split("=")[0].lstrip("+") for word in overrides}
        keep = [word for word in quiet if not ({word.split("=")[0], "out"} & given)]
        table = run(compose("fit", keep + overrides), [str(index_file)]).table
        report(table, index)
        tools = {"autogal": table}
        if python is not None:
            masked = [word for word in overrides if word.split("=")[0] not in ("neighbours", "out")]
            settings = compose("fit", [*quiet[:2], f"out={scratch}/masked", "neighbours=mask", *masked])
            out = next((word.partition("=")[2] for word in overrides if word.startswith("out=")), scratch)
            theirs = fit_with_imfit([python, limit], index, index_file, settings, Path(out) / "imfit")
            tools["autogal, masks"] = run(settings, [str(index_file)]).table
            finished = np.isfinite(theirs["r_eff"])
            for name in ("autogal", "autogal, masks"):
                tools[f"{name}, imfit's"] = only(tools[name], finished)
            tools["imfit, masks"] = theirs
    report_pulls(tools, index, published_errors(folder, index))
    return 0


def option(words: list[str], name: str, remedy: str) -> str | None:
    """Take an option and its value out of a list of words; None where it is not there."""
    if name not in words:
        return None
    place = words.index(name)
    if place + 1 == len(words):
        raise AutogalError(f"{name} has no value.", remedy)
    value = words[place + 1]
    del words[place : place + 2]
    return value


def only(table: Table, rows: np.ndarray) -> Table:
    """A copy of a catalogue whose other rows have no values."""
    table = table.copy()
    for name in PARAMETERS:
        table[name] = np.where(rows, np.asarray(table[name], float), np.nan)
    return table


def at_pixels(cutout) -> np.ndarray:
    """The effective PSF of a cutout, one sample a pixel: imfit convolves pixel values with it."""
    psf, k = cutout.psf, cutout.psf_oversample
    if (
        cutout.psf_kind == "optical"
    ):  # the pixel, as wide as k samples; an even width has half a sample at either end
        box = np.ones(k) if k % 2 else np.r_[0.5, np.ones(k - 1), 0.5]
        psf = convolve(psf, np.outer(box, box) / box.sum() ** 2, mode="constant")
    psf = psf[tuple(slice(side // 2 % k, None, k) for side in psf.shape)]
    return psf / psf.sum()


def fit_with_imfit(tool: list[str], index: Table, index_file: Path, settings, folder: Path) -> Table:
    """What imfit (its Python, and seconds an image) makes of the images that have a published fit, in the
    columns of a catalogue of all."""
    has_fit = np.any(
        [np.isfinite(np.ma.filled(np.ma.asarray(index[name], float), np.nan)) for name in PUBLISHED], axis=0
    )
    folder.mkdir(parents=True, exist_ok=True)
    cutouts = {
        i: load(entry, settings) for i, entry in enumerate(find_entries([str(index_file)])) if has_fit[i]
    }
    cutouts = {i: cutout for i, cutout in cutouts.items() if cutout.error is None}
    begun = begin(list(cutouts.values()), settings, Stopwatch())  # the cutouts' masks hold the neighbours now
    for (i, cutout), start in zip(cutouts.items(), begun.start, strict=True):
        if np.isfinite(start).all():
            x, y, mag, *rest = start
            keep(
                folder / f"{i:04d}.npz",
                image=cutout.image,
                sigma=cutout.sigma,
                mask=cutout.mask,
                psf=at_pixels(cutout),
                start=np.array([x, y, 10 ** (0.4 * (cutout.zeropoint - mag)), *rest], float),
            )
    python, limit = tool
    subprocess.run(
        [python, Path(__file__).with_name("imfit_cutouts.py"), folder, "--limit", limit], check=True
    )
    theirs = Table.read(folder / "imfit.csv", format="ascii.csv")
    table = Table(
        {name: np.full(len(index), np.nan) for value in PARAMETERS for name in (value, f"{value}_err")}
    )
    table["flags"] = np.zeros(len(index), int)
    for row in theirs:
        i = int(row["name"])
        for name in set(table.colnames) & set(theirs.colnames):
            table[name][i] = row[name]
        if row["flux"] > 0:
            table["mag"][i] = cutouts[i].zeropoint - 2.5 * np.log10(row["flux"])
        table["flags"][i] = int(cutouts[i].flags)
    print(
        f"\nimfit: {np.count_nonzero(np.isfinite(table['r_eff']))} of {np.count_nonzero(has_fit)} images "
        f"with published values finished."
    )
    return table


def keep(file: Path, **arrays: np.ndarray) -> None:
    """Write the arrays of one image; what was fitted to other arrays is no result any more."""
    if file.exists():
        with np.load(file) as stored:
            if all(
                np.array_equal(stored[name], array, equal_nan=array.dtype != bool)
                for name, array in arrays.items()
            ):
                return
        file.with_suffix(".json").unlink(missing_ok=True)
    np.savez(file, **arrays)


def report_pulls(tools: dict[str, Table], index: Table, theirs: Table) -> None:
    """Print the part of the published values within 1, 2, 3 errors for each tool, and the fits with one
    more than 3 errors off."""
    print(
        f"\n% of published values within 1, 2, 3 quoted errors (ours and theirs in quadrature)\n\n{'':24s}"
        + "".join(f"{name:>18s}" for name in (*PARAMETERS, "all"))
    )
    for tool, table in tools.items():
        cells = [
            f"{one:3.0f} {two:3.0f} {three:3.0f} ({count:3d})" if count else "-"
            for one, two, three, count in shares(pulls(table, index, theirs)).values()
        ]
        print(f"{tool:24s}" + "".join(f"{cell:>18s}" for cell in cells))
    pull = pulls(tools["autogal"], index, theirs)
    print("\nautogal, more than 3 errors off:")
    for i in range(len(index)):
        far = {name: pull[name][i] for name in PARAMETERS if abs(pull[name][i]) > 3}
        if far:
            numbers = " ".join(f"{name} {value:+.1f}" for name, value in far.items())
            print(
                f"  {str(index['object_id'][i])[:30]} {index['band'][i]}: {numbers}  "
                f"{tools['autogal']['flag_names'][i]}"
            )


def report(table: Table, index: Table) -> None:
    """Print how many fits of each survey are good, and what differs from the published values."""
    fine, differences = good(table), compare(table, index)
    survey = np.array([str(image).split("/")[0] for image in index["image"]])
    heading = f"{'':44s}" + "".join(f"{name:>10s}" for name in differences.colnames)
    print(
        f"\nOurs less theirs: magnitudes, axis ratios, position angles [deg]; r_eff and n as ours / "
        f"theirs.\n\n{heading}"
    )
    for name in dict.fromkeys(survey):
        rows = np.flatnonzero(survey == name)
        print(f"{name:24s} {len(rows):3d} images, {np.count_nonzero(fine[rows]):3d} good")
        published = [
            i for i in rows if any(np.isfinite(differences[i][c]) for c in differences.colnames[:-1])
        ]
        for i in published:
            label = f"  {str(table['id'][i])[:30]} {index['band'][i]}"
            print(
                f"{label:44s}"
                + _numbers(differences[i])
                + f"  {_reservations(int(table['flags'][i]))}".rstrip()
            )
        if len(published) > 1 or np.isfinite(differences["d_cat_mag"][rows]).any():
            print(
                f"{'  median of all':44s}"
                + _numbers({c: _median(differences[c][rows]) for c in differences.colnames})
            )


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
