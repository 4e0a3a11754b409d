"""The main job from end to end: draw cutouts with known truth, fit them, compare.

Run by ``scripts/demo``, which prepares the environment.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
from astropy.table import Table
from rich.console import Console
from rich.table import Table as Grid

from autogal.configuration.composing import compose
from autogal.configuration.overrides import override
from autogal.errors import AutogalError
from autogal.images import Survey
from autogal.simulate import simulate, write_scenes

__all__ = ["compare", "main"]

PARAMETERS = {"x": "px", "y": "px", "mag": "mag", "r_eff": "%", "n": "%", "q": "", "pa": "deg"}


def main() -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--number", type=int, default=36, help="cutouts to draw and fit (default: %(default)s)"
    )
    parser.add_argument("--survey", default="sdss", help="whose pixels, PSF and noise (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--out", type=Path, default=Path("demo_run"), help="folder for everything (default: %(default)s)"
    )
    given = parser.parse_args()
    console = Console()
    try:
        survey = Survey.from_settings(compose(overrides=[override("survey", given.survey)]).survey)
        console.print(
            f"Drawing {given.number} cutouts as {given.survey} would see them: a galaxy, neighbours, PSF, "
            f"noise ..."
        )
        cutouts, truth, _ = simulate(given.number, survey, seed=given.seed)
        manifest = write_scenes(given.out / "cutouts", cutouts, truth)
    except AutogalError as error:
        print(f"error: {error.what}\n       {error.remedy}", file=sys.stderr)
        return 2
    results = given.out / "results"
    command = ["autogal", "fit", str(manifest), f"survey={given.survey}", f"out={results}"]
    console.print(f"\n$ {shlex.join(command)}", style="bold", highlight=False)
    done = subprocess.run([sys.executable, "-m", "autogal.cli", *command[1:]])
    if done.returncode:
        return done.returncode

    catalogue = Table.read(results / "catalogue.fits", hdu=1)
    console.print()
    console.print(compare(catalogue, truth))
    console.print(
        f"\nCatalogue  {results / 'catalogue.fits'}\nPictures   {results / 'objects'}/*.png\n"
        f"Truth      {given.out / 'cutouts' / 'truth.ecsv'}",
        highlight=False,
    )
    return 0


def compare(catalogue: Table, truth: Table) -> Grid:
    """Fitted minus true, and how well the errors tell it, over the converged fits.

    Parameters
    ----------
    catalogue, truth : Table
        The same objects in the same order; columns as in the catalogue.
    """
    good = np.array([str(status) == "converged" for status in catalogue["status"]])
    grid = Grid(title=f"{good.sum()} of {len(good)} fits converged; fitted minus true:", title_justify="left")
    for head in ("parameter", "median", "scatter", "inside 1 sigma"):
        grid.add_column(head, justify="left" if head == "parameter" else "right")
    for name, unit in PARAMETERS.items():
        fitted, true, sigma = (
            np.asarray(column, float)[good]
            for column in (catalogue[name], truth[name], catalogue[f"{name}_err"])
        )
        difference = fitted - true
        if name == "pa":  # of a line: 179 and 1 degree are 2 apart
            difference = (difference + 90) % 180 - 90
        inside = np.abs(difference) < sigma
        if unit == "%":
            difference = 100 * difference / true
        median = np.median(difference)
        scatter = 1.4826 * np.median(np.abs(difference - median))
        grid.add_row(name, f"{median:+.3f} {unit}", f"{scatter:.3f} {unit}", f"{100 * inside.mean():.0f} %")
    grid.caption = "Scatter is 1.48 times the median absolute deviation. Honest errors: 68 % inside 1 sigma."
    return grid


if __name__ == "__main__":
    sys.exit(main())
