"""Fit one Sersic profile on a flat sky to each cutout of a folder with imfit, in an environment that has
pyimfit.

    python scripts/imfit_cutouts.py FOLDER [--limit SECONDS]

FOLDER holds files NAME.npz with the arrays image, sigma, mask (True = left out), psf, and start (x, y, flux,
r_eff, n, q, pa [deg from +y], sky; 0-indexed pixels). Each gets a file NAME.json beside it as soon as it is
fitted: the fitted values and their 1-sigma errors in the same units and conventions, without those that imfit
does not give (it has no covariance, so none of a magnitude). What has its NAME.json is not fitted again: stop
the script and start it again at will. The cheapest come first, each in a process of its own that may use
SECONDS of processor time; one that needs more, or dies, has no values. A table imfit.csv is written at the
end, of all that have been fitted.
"""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pyimfit
from scipy.special import gamma, gammaincinv

__all__ = ["collect", "fit", "main"]

COLUMNS = (
    "name",
    "x",
    "y",
    "flux",
    "r_eff",
    "n",
    "q",
    "pa",
    "sky",
    "x_err",
    "y_err",
    "r_eff_err",
    "n_err",
    "q_err",
    "pa_err",
    "sky_err",
    "converged",
    "chi2_dof",
    "seconds",
)


def light(r_eff: float, n: float, q: float) -> float:
    """Total flux of a Sersic profile of unit surface brightness at r_eff (Graham & Driver 2005, eq. 2)."""
    b = gammaincinv(2 * n, 0.5)
    return 2 * np.pi * n * q * r_eff**2 * np.exp(b) * b ** (-2 * n) * gamma(2 * n)


def fit(image, sigma, mask, psf, start) -> dict[str, float]:
    """Fit one cutout; pixels that are masked or not finite are left out."""
    x, y, flux, r_eff, n, q, pa, sky = (float(value) for value in start)
    height, width = image.shape
    good = ~mask & np.isfinite(image) & np.isfinite(sigma) & (sigma > 0)
    noise = float(np.median(sigma[good]))
    model, profile = pyimfit.SimpleModelDescription(), pyimfit.make_imfit_function("Sersic")
    model.x0.setValue(x + 1, [1, width])
    model.y0.setValue(y + 1, [1, height])
    profile.PA.setValue(pa, [-360, 360])
    profile.ell.setValue(1 - q, [0, 0.95])
    profile.n.setValue(min(max(n, 0.3), 9.5), [0.2, 10])
    profile.I_e.setValue(flux / light(r_eff, n, q), [0, 1e6 * flux])
    profile.r_e.setValue(r_eff, [0.1, 10 * max(height, width)])
    plane = pyimfit.make_imfit_function("FlatSky")
    plane.I_sky.setValue(sky, [sky - 20 * noise, sky + 20 * noise])
    model.addFunction(profile)
    model.addFunction(plane)
    begin = time.perf_counter()
    fitter = pyimfit.Imfit(model, psf=np.ascontiguousarray(psf, np.float64), maxThreads=1)
    result = fitter.fit(
        np.where(good, image, sky).astype(np.float64),
        error=np.where(good, sigma, noise).astype(np.float64),
        mask=(~good).astype(np.float64),
        solver="LM",
    )
    values, errors = np.asarray(result.params, float), getattr(result, "paramErrs", None)
    errors = np.full(len(values), np.nan) if errors is None else np.asarray(errors, float)
    errors[errors == 0] = np.nan  # of what ended at a bound
    pa, ell, n, brightness, r_eff, sky = values[2:]
    return {
        "x": values[0] - 1,
        "y": values[1] - 1,
        "flux": brightness * light(r_eff, n, 1 - ell),
        "r_eff": r_eff,
        "n": n,
        "q": 1 - ell,
        "pa": pa % 180,
        "sky": sky,
        "x_err": errors[0],
        "y_err": errors[1],
        "r_eff_err": errors[6],
        "n_err": errors[4],
        "q_err": errors[3],
        "pa_err": errors[2],
        "sky_err": errors[7],
        "converged": int(result.fitConverged),
        "chi2_dof": result.fitStatReduced,
        "seconds": time.perf_counter() - begin,
    }


def fit_file(path: Path, limit: int) -> None:
    """Fit one file within `limit` seconds of processor time, and write its values beside it."""
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in ("image", "sigma", "mask", "psf", "start")}
    try:
        row = fit(**arrays)
    except Exception as error:  # what a tool raises is one row without numbers
        row = {"converged": 0, "error": str(error)}
    write(path, row)


def write(path: Path, row: dict) -> None:
    """Keep the values of one file: whole, or not at all."""
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps({name: value for name, value in row.items() if value == value}))
    part.replace(path.with_suffix(".json"))


def cost(path: Path) -> int:
    """Pixels of the padded image that imfit convolves."""
    with np.load(path) as stored:
        return int(np.prod(np.array(stored["image"].shape) + stored["psf"].shape))


def collect(folder: Path) -> None:
    """Write the table imfit.csv of all files that have been fitted."""
    with open(folder / "imfit.csv", "w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, restval="nan", extrasaction="ignore")
        table.writeheader()
        for path in sorted(folder.glob("*.json")):
            table.writerow({"name": path.stem, **json.loads(path.read_text())})


def main(words: list[str]) -> int:
    """Fit a folder of cutouts."""
    limit = words.pop() if words[1:2] == ["--limit"] and len(words) == 3 else "600"
    if not words or words[0].startswith("-") or words[1:] not in ([], ["--limit"]) or not limit.isdigit():
        print(__doc__.strip())
        return 2
    folder = Path(words[0])
    for path in sorted(folder.glob("*.npz"), key=cost):
        if path.with_suffix(".json").exists():
            continue
        process = multiprocessing.Process(target=fit_file, args=(path, int(limit)))
        process.start()
        process.join()
        if not path.with_suffix(".json").exists():
            write(
                path,
                {
                    "converged": 0,
                    "error": f"no result within {limit} s of processor time"
                    if process.exitcode
                    else "no result",
                },
            )
        print(path.stem, path.with_suffix(".json").read_text(), flush=True)
    collect(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
