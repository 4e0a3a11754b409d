"""Masked against fitted: how well targets are measured among neighbours, on a simulated suite with known
truth.

A suite is NAME.npz and NAME_truth.csv, as `autogal evaluate pipeline data=NAME` takes it, with the Cramer-Rao
bounds crlb_x0, crlb_y0, crlb_mag, crlb_re, crlb_n, crlb_q, crlb_pa of the targets alone. Targets of S/N > 50,
apart by whether their segmentation overlaps a neighbour's (flag BLENDED). Footprints and starting values are
the networks', or as the settings have it.

    python scripts/neighbours.py data/crowded128 --n 100
    python scripts/neighbours.py data/crowded128 segment=sep initialise=moments --n 100
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from astropy.table import Table

from autogal import beginning, pipeline
from autogal.configuration.composing import composed
from autogal.evaluate.samples import prepare, read_suite
from autogal.evaluate.truth import true_segmentations
from autogal.flags import Flag

__all__ = ["main"]

PARAMETERS = {"x": "x0", "y": "y0", "mag": "mag", "r_eff": "re", "n": "n", "q": "q", "pa": "pa"}
HEAD = "median error / bound: x y mag r_eff n q pa | scatter / bound | bias / bound | inside 1 sigma, %"
SEEN = 50.0  # S/N
ROUND = 0.9  # axis ratio above which a position angle means little
ELSEWHERE = 3.0  # px: a fit whose centre is farther off is of another source


def main() -> int:
    """Fit the suite in every way and print one Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suite", type=Path, help="a suite, without .npz")
    parser.add_argument("settings", nargs="*", help="of autogal fit, as segment=sep")
    parser.add_argument("--n", type=int, default=100, help="stamps, from the first")
    parser.add_argument("--ways", nargs="+", default=["mask", "fit", "auto"], help="of neighbours=")
    parser.add_argument(
        "--true-masks", action="store_true", help="take the true footprints in place of detected ones"
    )
    given = parser.parse_args()
    blocks = list(read_suite(given.suite, given.n))
    cutouts = [cutout for block in blocks for cutout in block.cutouts]
    if given.true_masks:
        instances = {
            cutout.id: one for block in blocks for cutout, one in zip(block.cutouts, block.instances)
        }
        beginning.segment_all = lambda some, settings, device: true_segmentations(
            some, [instances[one.id] for one in some], settings
        )
    truth = Table.read(f"{given.suite}_truth.csv", format="ascii.csv")[: len(cutouts)]
    fits, seconds = {}, {}
    for way in given.ways:
        begin = time.process_time()
        fits[way] = pipeline.fit_cutouts(prepare(cutouts), composed(f"neighbours={way}", *given.settings))
        seconds[way] = (time.process_time() - begin) / len(cutouts)
    print(table(fits, truth, seconds))
    return 0


def table(fits: dict, truth: Table, seconds: dict[str, float]) -> str:
    """Markdown: a line for each way and kind of target, the same targets in every line of a kind."""
    errors = {way: _errors(fitted, truth) for way, fitted in fits.items()}
    good = np.asarray(truth["snr"]) > SEEN
    for off, *_ in errors.values():
        good &= np.hypot(off["x"], off["y"]) < ELSEWHERE
    blended = np.asarray(next(iter(fits.values())).flags) & Flag.BLENDED > 0
    kinds = {
        "blended": good & blended,
        "other": good & ~blended,
        "S/N > 1000": good & (np.asarray(truth["snr"]) > 1000),
    }
    lines = [
        f"| targets | N | neighbours= | {HEAD} | joint fits | fell back | CPU s a stamp |",
        "|" + "---|" * 10,
    ]
    for kind, some in kinds.items():
        for way, (off, error, bound) in errors.items():
            cells = [[], [], [], []]
            for name in PARAMETERS:
                use = some & np.isfinite(off[name]) & ((name != "pa") | (np.asarray(truth["q"]) < ROUND))
                z = (off[name] / bound[name])[use]
                middle = np.median(z) if len(z) else np.nan
                inside = 100 * np.mean((np.abs(off[name]) < error[name])[use]) if use.any() else np.nan
                numbers = (
                    f"{np.median(np.abs(z)):.2f}",
                    f"{1.4826 * np.median(np.abs(z - middle)):.2f}",
                    f"{middle:+.2f}",
                    f"{inside:.0f}",
                )
                for cell, number in zip(cells, numbers):
                    cell.append(number)
            flags, neighbours = fits[way].flags[some], fits[way].neighbours
            joint = 0 if neighbours is None else np.count_nonzero(np.isfinite(neighbours[some, 0, 0]))
            lost = np.count_nonzero(flags & Flag.NEIGHBOUR_FALLBACK)
            shown = [
                kind,
                np.count_nonzero(some),
                way,
                *map(" ".join, cells),
                joint,
                lost,
                f"{seconds[way]:.3f}",
            ]
            lines.append("| " + " | ".join(map(str, shown)) + " |")
    return "\n".join(lines)


def _errors(fitted, truth: Table) -> tuple[dict, dict, dict]:
    """How far off each parameter is, its own error, and the bound."""
    place = [fitted.parameters.index(name) for name in PARAMETERS]
    values, errors = (
        fitted.values[:, place],
        np.sqrt(np.diagonal(fitted.covariance, axis1=1, axis2=2)[:, place]),
    )
    true = {name: np.asarray(truth[column], float) for name, column in PARAMETERS.items()}
    true["pa"] = true["pa"] - 90  # from +x to from +y
    off = {name: value - true[name] for name, value in zip(PARAMETERS, values.T)}
    off["pa"] = (off["pa"] + 90) % 180 - 90
    bound = {name: np.asarray(truth[f"crlb_{column}"], float) for name, column in PARAMETERS.items()}
    return off, dict(zip(PARAMETERS, errors.T)), bound


if __name__ == "__main__":
    raise SystemExit(main())
