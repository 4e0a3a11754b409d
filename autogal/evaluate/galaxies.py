"""Lone galaxies of which every parameter of a model is known: drawn, or picked from data."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from astropy.table import Table, vstack
from omegaconf import DictConfig

from autogal.errors import AutogalError
from autogal.evaluate.samples import AT_ONCE, FRESH, chosen_population, samples
from autogal.fitting.choices import build_likelihood
from autogal.images import Cutout
from autogal.model.elliptical import EllipticalComponent
from autogal.model.model import Model
from autogal.model.spec import build_model
from autogal.parameters import FLUX_START, magnitude_of
from autogal.profiles import Sersic
from autogal.profiles.exponential import FixedIndex
from autogal.simulate import General, Population, Simulation
from autogal.simulate.exposure import expose
from autogal.simulate.light import draw_light
from autogal.simulate.rng import Rng
from autogal.simulate.scenes import Conditions, Parts, Scenes

__all__ = ["galaxies", "known_values"]

_STEP = 32  # galaxies drawn together: number i of a seed is always the same one
# A bulge beside its disk: its index, its share of the light, its size in units of the disk's and of the
# seeing's at least, and how far its angle is turned
_INDICES = {"bulge": 4.0, "disk": 1.0}
_SHARE = (0.1, 0.8)
_SIZE = (0.1, 0.5)
_RESOLVED = 0.25
_ROUNDNESS = (0.6, 1.0)
_TURN = (-20.0, 20.0)


def galaxies(settings: DictConfig) -> Iterator[Simulation]:
    """Galaxies that are what ``model`` says, each alone on its stamp, block by block.

    Fresh ones are of the survey or the general mix, with a sigma map that is right; noise is correlated, the
    sky slopes and pixels are dead only where ``population`` says so. A bulge has n = 4 and its disk n = 1.
    Where the likelihood is of counts, the light of the sky is still in.

    Parameters
    ----------
    settings : DictConfig
        As for `samples`, and ``model`` and ``likelihood``.

    Raises
    ------
    AutogalError
        For a model that no such galaxies can be drawn for, and whatever is wrong with the data.
    """
    if settings.model.get("models"):
        raise AutogalError("One model at a time can be calibrated.", "Name one, as model=sersic.")
    if settings.structure != "usual":
        raise AutogalError(
            f"structure={settings.structure} has no part in a calibration.",
            "Leave it out: galaxies are what model= says.",
        )
    model = build_model(settings.model)
    return samples(settings) if settings.data is not None else _draw(settings, model)


def known_values(model: Model, truth: Table) -> np.ndarray:
    """True values of all parameters of a model.

    Parameters
    ----------
    model : Model
    truth : Table
        N rows, with the catalogue's names.

    Returns
    -------
    ndarray, [N, P]
        NaN in all of a row where something is not known, or where a profile of fixed index is not the
        galaxy's.

    Raises
    ------
    AutogalError
        Where no row says a parameter, or a profile is not Sersic's.
    """
    known = {
        name: np.asarray(truth[name], float) for name in truth.colnames if truth[name].dtype.kind in "fiu"
    }
    survey = truth.meta.get("survey")
    choice = "Choose a model that its truth is of, as model=sersic or model=bulge_disk."
    missing = [name for name in model.parameters if not np.isfinite(known.get(name, np.nan)).any()]
    if missing:
        raise AutogalError(f"The truth of {survey} does not say {', '.join(missing)}.", choice)
    values = np.stack([known[name] for name in model.parameters], 1)
    for component in model.components:
        profile, own = component.profile, f"{component.name}_n" if component.name else "n"
        if not isinstance(profile, Sersic | FixedIndex) or own not in known:
            raise AutogalError(f"The truth of {survey} is not of the profile {profile.name}.", choice)
        if isinstance(profile, FixedIndex):
            index = known[own]
            values[~np.isclose(index, profile.index)] = np.nan
            if np.isnan(values).all():
                between = f"{np.nanmin(index):.2g} to {np.nanmax(index):.2g}"
                raise AutogalError(
                    f"The galaxies of {survey} are no {profile.name}: their n is {between}.", choice
                )
    values[~np.isfinite(values).all(1)] = np.nan
    return values


def _draw(settings: DictConfig, model: Model) -> Iterator[Simulation]:
    names = {c.name for c in model.components}
    if names not in ({""}, set(_INDICES)) or not all(
        isinstance(c, EllipticalComponent) for c in model.components
    ):
        raise AutogalError(
            f"No galaxies can be drawn for model={settings.model.name}.",
            "Choose model=sersic or model=bulge_disk, on a flat sky, or give galaxies of your own, as "
            "data=NAME.",
        )
    population = replace(chosen_population(settings), neighbours=0)
    shape, counts = (settings.size, settings.size), build_likelihood(settings).counts

    def blocks():
        for first in range(0, settings.n, AT_ONCE):
            count = min(AT_ONCE, settings.n - first)
            steps = range(first // _STEP, -(-(first + count) // _STEP))
            parts = [_step(step, population, model, FRESH + settings.seed, shape, counts) for step in steps]
            truth = vstack([part.truth for part in parts], metadata_conflicts="silent")[:count]
            yield Simulation([cutout for part in parts for cutout in part.cutouts][:count], truth, [])

    return blocks()


@torch.no_grad()
def _step(
    step: int, population: General | Population, model: Model, seed: int, shape: tuple[int, int], counts: bool
) -> Simulation:
    """The galaxies of one step of a seed; `counts`: with all that was counted, the sky's light too."""
    rng = Rng(seed, step, torch.device("cpu"))
    scenes = population.draw(rng, _STEP, shape)
    conditions = _honest(scenes.conditions) if population.relative else scenes.conditions
    if counts:
        conditions = replace(conditions, sky=torch.zeros_like(conditions.sky))
    parts, known = _parts(rng, scenes, model)
    light = draw_light(scenes, parts, _STEP, exact=True)
    image, sigma, mask = expose(rng, light, conditions)
    sky = conditions.sky
    if counts:  # as in `expose`: the number of electrons of a blank pixel is their variance
        sky = conditions.sky_sigma.square() * conditions.gain
        image += sky[:, None, None]
    psf = scenes.seeing.images()
    survey = population.survey
    names = [f"lone{seed}-{step * _STEP + i:06d}" for i in range(_STEP)]
    cutouts = [
        Cutout(
            id=name,
            image=image[i].numpy(),
            sigma=sigma[i].numpy(),
            mask=mask[i].numpy(),
            psf=psf[i].double().numpy(),
            zeropoint=survey.zeropoint,
            pixel_scale=survey.pixel_scale,
            gain=float(conditions.gain[i]),
            saturation=survey.saturation,
        )
        for i, name in enumerate(names)
    ]
    known |= {
        "sky": sky,
        "snr": (light / sigma).square().sum((1, 2)).sqrt(),
        "psf_fwhm": scenes.seeing.measure(psf),
    }
    truth = Table({"id": names, **{name: values.double().numpy() for name, values in known.items()}})
    for name in [name for name in truth.colnames if name.endswith("flux")]:
        truth[name.replace("flux", "mag")] = magnitude_of(truth[name], survey.zeropoint)
    truth["n_neighbours"] = 0
    truth.meta.update(survey=survey.name)
    return Simulation(cutouts, truth, [])


def _honest(conditions: Conditions) -> Conditions:
    """The general mix has all that spoils images; here sigma is right and the sky flat."""
    none = torch.zeros_like(conditions.sky)
    return replace(
        conditions,
        gradient=torch.zeros_like(conditions.gradient),
        correlation=none,
        saturation=none + math.inf,
        sigma_error=none + 1,
        dead=none,
        rays=torch.zeros_like(conditions.rays),
    )


def _parts(rng: Rng, scenes: Scenes, model: Model) -> tuple[Parts, dict[str, torch.Tensor]]:
    """The components of the galaxies of scenes, and their parameters by catalogue name."""
    target = {name: getattr(scenes.sources, name)[:, 0] for name in FLUX_START[:-1]}
    if len(model.components) == 1:
        profile = model.components[0].profile
        index = profile.index if isinstance(profile, FixedIndex) else None
        made, known = {"": target | ({} if index is None else {"n": torch.full_like(target["n"], index)})}, {}
    else:
        count = len(scenes)
        share = rng.uniform(*_SHARE, count)
        size = torch.maximum(rng.log_uniform(*_SIZE, count) * target["r_eff"], _RESOLVED * scenes.seeing.fwhm)
        bulge = target | {
            "flux": share * target["flux"],
            "r_eff": size,
            "q": rng.uniform(*_ROUNDNESS, count),
            "pa": (target["pa"] + rng.uniform(*_TURN, count)) % 180,
        }
        made = {"bulge_": bulge, "disk_": target | {"flux": (1 - share) * target["flux"]}}
        made = {name: one | {"n": torch.full_like(share, _INDICES[name[:-1]])} for name, one in made.items()}
        known = {"x": target["x"], "y": target["y"], "flux": target["flux"], "bt": share}
    number = torch.arange(len(scenes))
    point = torch.zeros(len(scenes), dtype=torch.bool)
    each = [Parts(number, number, point, *(one[name] for name in target)) for one in made.values()]
    parts = Parts(
        *(torch.cat([getattr(piece, name) for piece in each]) for name in Parts.__dataclass_fields__)
    )
    return parts, known | {
        prefix + name: value for prefix, one in made.items() for name, value in one.items()
    }
