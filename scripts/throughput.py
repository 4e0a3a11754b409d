"""Galaxies a second, and where the time goes: `autogal.fit` on stamps drawn here, each with a PSF of its own.

Sky, priors and full covariance as by default; starting values and sigma maps are given, as in a survey's
second pass. Stages: `read` (arrays checked on the host; what the fit of the block before did not hide),
`gather` (copied together; noise units on the device), `fit` (on the device), `measure` (covariance on the
device, flags on the host), `table`, and `other` (all the rest of the host's work). Processor time counts what
other threads do meanwhile in the stage of the moment.

    python scripts/throughput.py --n 65536 --device cuda
    OMP_NUM_THREADS=1 python scripts/throughput.py --n 512 --device cpu
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from astropy.table import Table

import autogal
from autogal.images import moffat
from autogal.runtime.stopwatch import Stopwatch

__all__ = ["main", "observe"]

ZEROPOINT = 25.0
DIFFERENT = 128  # galaxies; more are the same ones under other noise


def observe(number: int, size: int = 128, psf_size: int = 51, seed: int = 0) -> dict:
    """Arguments of `autogal.fit`: stamps of Sersic galaxies of S/N 30 to 1000, and starting values that
    are not the truth."""
    rng = np.random.default_rng(seed)
    count = min(number, DIFFERENT)
    uniform = lambda low, high: rng.uniform(low, high, count)
    middle = (size - 1) / 2
    truth = Table(
        {
            "x": middle + uniform(-2, 2),
            "y": middle + uniform(-2, 2),
            "flux": 10 ** uniform(2.8, 4.5),
            "r_eff": np.exp(uniform(0.7, 2.5)),
            "n": np.exp(uniform(-0.4, 1.6)),
            "q": uniform(0.25, 1.0),
            "pa": uniform(0, 180),
            "sky": uniform(-0.2, 0.2),
        }
    )
    psf = np.stack([moffat(width, 3.0, psf_size) for width in uniform(2.5, 4.0)])
    clean = autogal.render(truth, psf=psf, shape=(size, size), zeropoint=ZEROPOINT)
    which = np.arange(number) % count
    images = (clean[which] + rng.standard_normal((number, size, size), np.float32)).astype(np.float32)
    # no two alike, though none differs enough to matter
    psf = psf[which] * (1 + 1e-7 * rng.standard_normal((number, 1, psf_size)))
    start = truth[which]
    start["flux"] *= np.exp(rng.normal(0, 0.15, number))
    start["r_eff"] *= np.exp(rng.normal(0, 0.2, number))
    start["n"] = np.clip(start["n"] * np.exp(rng.normal(0, 0.25, number)), 0.3, 7)
    start["q"] = np.clip(start["q"] + rng.normal(0, 0.1, number), 0.1, 0.95)
    start["pa"] += rng.normal(0, 15, number)
    for name in ("x", "y"):
        start[name] += rng.normal(0, 0.3, number)
    return {"images": images, "sigma": np.ones_like(images), "psf": psf.astype(np.float32), "start": start}


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=4096, help="galaxies")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--size", type=int, default=128, help="pixels a side of a stamp")
    parser.add_argument("--psf-size", type=int, default=51)
    parser.add_argument(
        "--block", type=int, help="galaxies fitted together; by default what autogal.fit takes"
    )
    parser.add_argument("--repeat", type=int, default=2, help="the fastest of so many runs counts")
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="seconds of this process in place of the wall's: where others are at work too",
    )
    given = parser.parse_args()
    clock = time.process_time if given.processor_time else time.perf_counter
    Stopwatch.clock = staticmethod(clock)
    settings = {"zeropoint": ZEROPOINT, "pixel_scale": 0.4, "device": given.device, "block": given.block}
    observed = observe(given.n, given.size, given.psf_size)
    autogal.fit(
        **observed | {key: value[:64] for key, value in observed.items()}, **settings
    )  # tables, kernels, plans: made once
    runs = []
    for _ in range(given.repeat):
        begin = clock()
        catalogue = autogal.fit(**observed, **settings)
        runs.append((clock() - begin, catalogue))
    spent, catalogue = min(runs, key=lambda run: run[0])
    status = np.asarray(catalogue.table["status"])
    print(
        f"{given.n} stamps of {given.size} x {given.size}, PSFs of {given.psf_size} x {given.psf_size}, "
        f"device {given.device}: "
        f"{given.n / spent:.0f} galaxies/s, {np.mean(status == 'converged'):.1%} converged"
    )
    stages = catalogue.seconds | {"other": spent - sum(catalogue.seconds.values())}
    print(
        "us a galaxy:",
        "  ".join(
            f"{stage} {1e6 * seconds / given.n:.1f}" for stage, seconds in {**stages, "all": spent}.items()
        ),
    )


if __name__ == "__main__":
    main()
