"""What is evaluated: cutouts with known truth, from the simulator or from files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table
from omegaconf import DictConfig, OmegaConf

from autogal.configuration.schemas import PopulationSettings
from autogal.errors import AutogalError
from autogal.images import Cutout, find_entries, load, prepare_psf
from autogal.model_images import render
from autogal.parameters import FLUX_START
from autogal.simulate import General, Population, Simulation, build_population, simulate
from autogal.simulate.run import population_of

__all__ = ["AT_ONCE", "FRESH", "chosen_population", "draw", "prepare", "read_folder", "read_suite", "samples"]

#: Stamps that are drawn or read, and measured, together
AT_ONCE = 256

#: Added to the seed: no training, whose seeds are small or near 7,000,000, has seen these scenes
FRESH = 90_000_017

_FEWEST = 5  # px; as in the simulator, a neighbour of fewer cannot be found by anyone
_SMALLEST = 32  # px
_WANTED = FLUX_START
_SUITE = {
    "x": "x0",
    "y": "y0",
    "mag": "mag",
    "flux": "flux",
    "r_eff": "re",
    "n": "n",
    "q": "q",
    "sky": "sky",
    "snr": "snr",
    "psf_fwhm": "fwhm",
}
_COMPONENTS = {"bulge": "b", "disk": "d"}  # and how their columns end


def samples(settings: DictConfig) -> Iterator[Simulation]:
    """The cutouts of a configuration, block by block; what can be wrong with the request is found before the
    first.

    Parameters
    ----------
    settings : DictConfig
        ``n``, ``size``, ``seed``, ``survey``, ``population`` and ``data``.

    Raises
    ------
    AutogalError
        For a request that makes no sense, or data that is not what it should be.
    """
    if settings.data is None:
        return draw(settings)
    if settings.structure != "usual":
        raise AutogalError(
            f"structure={settings.structure} is for fresh scenes, but data= is given.", "Give one of them."
        )
    path = Path(settings.data)
    if path.is_dir():
        return read_folder(path, settings.n)
    stem = path.with_suffix("") if path.suffix == ".npz" else path
    if stem.with_name(stem.name + ".npz").is_file():
        return read_suite(stem, settings.n)
    raise AutogalError(
        f"There is no {path} to evaluate on.",
        "data= names a folder of `autogal simulate`, or NAME where there are NAME.npz and NAME_truth.csv.",
    )


def draw(settings: DictConfig) -> Iterator[Simulation]:
    """Fresh scenes of the survey, or of the general mix where there is none."""
    population = chosen_population(settings)
    shape = (settings.size, settings.size)

    def blocks():
        for first in range(0, settings.n, AT_ONCE):
            yield simulate(min(AT_ONCE, settings.n - first), population, FRESH + settings.seed, shape, first)

    return blocks()


def chosen_population(settings: DictConfig) -> General | Population:
    """What ``survey`` and ``population`` say of fresh scenes.

    Raises
    ------
    AutogalError
        For stamps that are too small, or a population that cannot be.
    """
    if settings.size < _SMALLEST:
        raise AutogalError(f"size={settings.size} is not possible.", f"Give {_SMALLEST} or more pixels.")
    if settings.survey.name == "none":
        if OmegaConf.to_container(settings.population) != asdict(PopulationSettings()):
            raise AutogalError(
                "population.KEY= is for a survey; the general mix has a population of its own.",
                "Choose one with survey=NAME.",
            )
        return build_population("general", settings.structure)
    return population_of(settings)


def read_folder(folder: Path, count: int) -> Iterator[Simulation]:
    """The first `count` scenes of a folder that ``autogal simulate`` wrote.

    Parameters
    ----------
    folder : Path
    count : int

    Returns
    -------
    iterator of Simulation

    Raises
    ------
    AutogalError
        Where a file is missing or is not what it should be.
    """
    needed = [folder / "manifest.csv", folder / "truth.ecsv"]
    if missing := [path for path in needed if not path.is_file()]:
        suites = sorted(
            path.stem for path in folder.glob("*.npz") if path.with_name(f"{path.stem}_truth.csv").is_file()
        )
        remedy = (
            f"Name one of the suites in it, as data={folder / suites[0]}."
            if suites
            else (
                "data= names a folder of `autogal simulate`, or NAME where there are NAME.npz and "
                "NAME_truth.csv."
            )
        )
        raise AutogalError(f"{folder} holds no scenes: {missing[0].name} is missing.", remedy)
    truth = Table.read(needed[1])
    absent = [
        name
        for name in (*_WANTED, "id", "mag", "snr", "visible", "analytic", "psf_fwhm")
        if name not in truth.colnames
    ]
    if absent:
        raise AutogalError(
            f"{needed[1]} has no column {', '.join(absent)}.",
            "Draw the scenes again with this autogal: autogal simulate.",
        )
    entries = find_entries([str(needed[0])])
    if [entry.id for entry in entries] != list(truth["id"]):
        raise AutogalError(
            f"The rows of {needed[0]} and {needed[1]} are not of the same scenes.",
            "Draw the scenes again: autogal simulate.",
        )
    without = [entry.id for entry in entries[:count] if not (folder / f"{entry.id}_instances.fits").is_file()]
    if without:
        raise AutogalError(
            f"{folder} has no true masks: {without[0]}_instances.fits is missing.",
            "Draw the scenes with instances=true.",
        )

    def blocks():
        for first in range(0, min(count, len(entries)), AT_ONCE):
            some = entries[first : min(first + AT_ONCE, count)]
            cutouts = [load(entry) for entry in some]
            if broken := [cutout for cutout in cutouts if cutout.error is not None]:
                raise AutogalError(
                    f"{broken[0].id} of {folder} cannot be read: {broken[0].error}",
                    "Draw the scenes again: autogal simulate.",
                )
            instances = [fits.getdata(folder / f"{entry.id}_instances.fits").astype(bool) for entry in some]
            yield Simulation(cutouts, truth[first : first + len(some)], instances)

    return blocks()


def read_suite(stem: Path, count: int) -> Iterator[Simulation]:
    """The first `count` stamps of a suite.

    A suite is ``NAME.npz`` with ``images``, ``sigma`` [N, H, W], ``psf_eff`` [N, K, K] (effective PSFs) and
    ``seg`` [N, H, W] (1 the target, 2, 3, ... the neighbours), and ``NAME_truth.csv`` with ``id, x0, y0,
    flux, mag, zp, re, n, q, pa, sky, snr, fwhm``: positions 0-indexed, ``pa`` in degrees from +x, ``fwhm`` in
    px. Targets without ``re``, ``n`` or ``q`` count as no Sersic profiles. Of galaxies with bulge and disk it
    may say ``bt``, and ``mag_b, re_b, n_b, q_b, pa_b`` and ``mag_d``, ... about their common centre.

    Parameters
    ----------
    stem : Path
        Without ending.
    count : int

    Returns
    -------
    iterator of Simulation

    Raises
    ------
    AutogalError
        Where a file is missing or is not what it should be.
    """
    files = stem.with_name(stem.name + ".npz"), stem.with_name(stem.name + "_truth.csv")
    try:
        with np.load(files[0]) as arrays:
            missing = [name for name in ("images", "sigma", "psf_eff", "seg") if name not in arrays]
            images, sigma, psf, seg = (
                [] if missing else arrays[name] for name in ("images", "sigma", "psf_eff", "seg")
            )
    except (OSError, ValueError, EOFError) as problem:
        raise AutogalError(f"{files[0]} cannot be read: {problem}.", "Make the suite again.") from problem
    if missing:
        raise AutogalError(
            f"{files[0]} is no suite: it has no {', '.join(missing)}.",
            "It needs images, sigma, psf_eff and seg.",
        )
    try:
        table = Table.read(files[1], format="ascii.csv")
    except Exception as problem:  # astropy's readers raise whatever their formats do
        raise AutogalError(
            f"The truth {files[1]} cannot be read: {problem}.", "It must be a CSV file with one row a stamp."
        ) from problem
    if absent := [
        name
        for name in ("id", "x0", "y0", "flux", "mag", "zp", "sky", "snr", "fwhm")
        if name not in table.colnames
    ]:
        raise AutogalError(f"{files[1]} has no column {', '.join(absent)}.", "See `autogal evaluate --help`.")
    if len({len(table), len(images), len(sigma), len(psf), len(seg)}) > 1:
        raise AutogalError(
            f"{files[1]} has {len(table)} rows for {len(images)} stamps.",
            "It needs one row, one sigma, psf_eff and seg a stamp, in order.",
        )

    def blocks():
        for first in range(0, min(count, len(images)), AT_ONCE):
            part = slice(first, min(first + AT_ONCE, count))
            rows = table[part]
            cutouts = [
                _suite_cutout(stem.name, row, *arrays)
                for row, *arrays in zip(rows, images[part], sigma[part], psf[part], strict=True)
            ]
            instances = [_masks(one) for one in seg[part]]
            yield Simulation(cutouts, _suite_truth(stem.name, rows, cutouts, seg[part], instances), instances)

    return blocks()


def prepare(cutouts: Sequence[Cutout]) -> list[Cutout]:
    """Copies to work on: a fit changes the masks and notes of the cutouts it is given."""
    return [replace(one, notes=[]) for one in cutouts]


def _suite_cutout(name: str, row, image: np.ndarray, sigma: np.ndarray, psf: np.ndarray) -> Cutout:
    bad = ~np.isfinite(image) | ~np.isfinite(sigma) | (sigma <= 0)
    return Cutout(f"{name}-{row['id']}", image, sigma, bad, prepare_psf(psf)[0], zeropoint=float(row["zp"]))


def _masks(seg: np.ndarray) -> np.ndarray:
    neighbours = [seg == k for k in np.unique(seg[seg > 1])]
    return np.stack([seg == 1, *(mask for mask in neighbours if np.count_nonzero(mask) >= _FEWEST)])


def _suite_truth(
    name: str, rows: Table, cutouts: Sequence[Cutout], seg: np.ndarray, instances: Sequence[np.ndarray]
) -> Table:
    given = lambda column: (
        np.asarray(rows[column], float) if column in rows.colnames else np.full(len(rows), np.nan)
    )
    truth = Table(
        {"id": [cutout.id for cutout in cutouts], **{ours: given(theirs) for ours, theirs in _SUITE.items()}}
    )
    truth["pa"] = (given("pa") - 90) % 180  # from +x to from +y
    for component, end in _COMPONENTS.items():
        if f"re_{end}" in rows.colnames:
            own = {
                "x": given("x0"),
                "y": given("y0"),
                "mag": given(f"mag_{end}"),
                "r_eff": given(f"re_{end}"),
                "n": given(f"n_{end}"),
                "q": given(f"q_{end}"),
                "pa": (given(f"pa_{end}") - 90) % 180,
            }
            truth.update({f"{component}_{name}": values for name, values in own.items()})
            truth["bt"] = given("bt")
    truth["analytic"] = np.all([np.isfinite(truth[name]) for name in _WANTED], axis=0)
    truth["n_neighbours"] = [len(masks) - 1 for masks in instances]
    # without neighbours a target is all visible; with them its own light says where it would be above the
    # noise
    truth["visible"] = 1.0
    for i in np.flatnonzero(truth["analytic"] & (truth["n_neighbours"] > 0)):
        light = render(
            dict(truth[i : i + 1][list(_WANTED[:7])]),
            psf=cutouts[i].psf,
            shape=cutouts[i].shape,
            zeropoint=cutouts[i].zeropoint,
        )[0]
        own = light > cutouts[i].sigma
        truth["visible"][i] = np.count_nonzero(own & (seg[i] == 1)) / max(np.count_nonzero(own), 1)
    truth.meta.update(survey=name)
    return truth
