"""Which neighbours are fitted together with a target: those whose light, beyond their masks or under them, matters to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from autogal.buckets.bucket import Bucket
from autogal.buckets.render import render_images
from autogal.buckets.stamps import Stamps, buckets
from autogal.fitting.choices import choose_settings
from autogal.fitting.how import How
from autogal.fitting.measuring import in_stamp_units
from autogal.fitting.modelling import choose_model
from autogal.images import Cutout
from autogal.model.fitted import Fitted
from autogal.model.model import Model
from autogal.model.plane import SLOPES
from autogal.model.point import PointComponent
from autogal.neighbours.points import TRIAL, is_point
from autogal.neighbours.surroundings import Neighbour, Surroundings, psf_width
from autogal.solvers.newton import newton_step

__all__ = ["MOST", "choose_neighbours", "single_sersic"]

#: Neighbours of one target that are fitted, at most; the others stay masked
MOST = 3

_LOOKED_AT = 2 * MOST  # at most, of each target
_FAINTEST = 0.002  # of the noise of a pixel: fainter light at the target's place is not looked at
_NEAR = 6.0  # standard deviations of the PSF: around a neighbour, to tell whether it is a point
_MOVED = 0.1  # of its error: a neighbour whose light moves any of the target's parameters by more is fitted
_HIDDEN = 0.01  # of the target's squared signal-to-noise ratio: so is one whose mask covers more


@dataclass
class _Candidate:
    """A neighbour of the cutout at `place`; one of importance above 1 matters."""

    place: int
    neighbour: Neighbour
    importance: float = 0.0


def choose_neighbours(cutouts: Sequence[Cutout], around: Mapping[int, Surroundings], how: How, fitted: Fitted,
                      every: bool) -> dict[int, list[Neighbour]]:
    """The neighbours to be fitted with each target, the most important first.

    Each is drawn as it looks alone. What light it has in the pixels that were fitted would move the target's
    parameters; to first order by how much, in units of their errors, is its importance, together with how much of the
    target its mask hides.

    Parameters
    ----------
    cutouts : sequence of Cutout
        With the masks of the fit.
    around : mapping of int to Surroundings
        Of the cutouts at these places that have neighbours.
    how : How
    fitted : Fitted
        The fit of ``how.model`` inside the masks.
    every : bool
        Choose all that can be fitted, whatever they matter.

    Returns
    -------
    dict of int to list of Neighbour
        Without those that have none to be fitted.
    """
    candidates = [one for i, surroundings in around.items() for one in _candidates(i, cutouts[i], surroundings, how, fitted, every)]
    if not candidates:
        return {}
    _measure(candidates, cutouts, how, fitted)
    chosen: dict[int, list[_Candidate]] = {}
    for one in candidates:
        if every or one.importance > 1:
            chosen.setdefault(one.place, []).append(one)
    return {place: [one.neighbour for one in sorted(some, key=lambda c: -c.importance)[:MOST]] for place, some in chosen.items()}


def _candidates(place: int, cutout: Cutout, around: Surroundings, how: How, fitted: Fitted, every: bool) -> list[_Candidate]:
    """Neighbours that might matter, drawn; their importance so far is what their masks hide of the target."""
    sky = [name for name in ("sky", *SLOPES) if name in fitted.parameters]
    dark = fitted.values[place].copy()
    level = float(dark[fitted.parameters.index("sky")])
    dark[[fitted.parameters.index(name) for name in sky]] = 0.0
    target = _draw(how.model, dark[None], cutout, how)[0]
    image = np.where(np.isfinite(cutout.image), cutout.image, level) - target
    sigma = np.where(around.bad, np.inf, cutout.sigma)
    noise = float(np.median(cutout.sigma[~around.bad]))
    x, y = fitted.centre(place)
    labels = around.near(cutout, image - level, x, y, 0.0 if every else _FAINTEST * noise)[:_LOOKED_AT]
    found = [one for label in labels if (one := around.look(cutout, image.astype(cutout.image.dtype), label)) is not None]
    if not found:
        return []
    values = np.array([[*(one.start[name] for name in ("x", "y", "mag", "r_eff", "n", "q", "pa")), 0.0] for one in found])
    signal = np.square(target / sigma)
    hidden = [float(signal[around.reach(one.label)].sum() / signal.sum()) for one in found]
    touching = around.touching()
    drawn = zip(_draw(single_sersic(), values, cutout, how), _are_points(found, values, cutout, image, around, how), hidden)
    return [_Candidate(place, replace(one, light=light, is_point=point), max(part / _HIDDEN, 2.0 * (one.label in touching)))
            for one, (light, point, part) in zip(found, drawn)]


def _are_points(found: Sequence[Neighbour], values: np.ndarray, cutout: Cutout, image: np.ndarray, around: Surroundings,
                how: How) -> list[bool]:
    """Which neighbours are no larger than the PSF; `values` [K, 8] are what they look like."""
    width = psf_width(cutout)
    larger = values.copy()
    larger[:, 2:7] = cutout.zeropoint, TRIAL * width, 1.0, 1.0, 0.0
    point = Model((PointComponent(),))
    images = _draw(point, larger[:, [0, 1, 2, 7]], cutout, how), _draw(single_sersic(), larger, cutout, how)
    rows, columns = np.indices(cutout.shape)
    near = [np.hypot(columns - x, rows - y) < _NEAR * width for x, y in values[:, :2]]
    use = [one & ~around.bad & ((around.labels == k.label) | ~around.without((k.label,))) for k, one in zip(found, near)]
    return [is_point(image, cutout.sigma, some, *pair) for some, *pair in zip(use, *images)]


def _measure(candidates: Sequence[_Candidate], cutouts: Sequence[Cutout], how: How, fitted: Fitted) -> None:
    """Raise the importance of each candidate to how far its light moves the target's parameters."""
    for places in buckets([cutouts[one.place] for one in candidates]).values():
        some = [candidates[i] for i in places]
        own = [cutouts[one.place] for one in some]
        rows = np.array([one.place for one in some])
        lit = [replace(cutout, image=one.neighbour.light.astype(cutout.image.dtype)) for cutout, one in zip(own, some)]
        stamps = Stamps.from_cutouts(lit, np.zeros(len(rows)), how.device, how.dtype)
        values = in_stamp_units(how.model, fitted.values[rows], own, stamps)
        moved = _moved(how, stamps, how.model.free(values, stamps.zeropoint))
        for one, far in zip(some, moved.tolist()):
            one.importance = max(one.importance, far / _MOVED)


def _moved(how: How, stamps: Stamps, free: Tensor) -> Tensor:
    """How far fits at `free` [N, P] move, at most of all parameters, in their errors, where the light in `stamps` is added [N]."""
    bucket = Bucket(how.model, stamps, how.solver, how.threads)
    everything = torch.arange(len(stamps), device=how.device)
    level = bucket.level(free, everything)
    out = torch.zeros(len(stamps), dtype=torch.float64)
    for current in level.unique().tolist():
        items = (level == current).nonzero()[:, 0]
        problem = bucket.problem(current, 1, items)
        # the light alone, less a model of which nothing is left, has the model's slopes
        added = torch.where(stamps.weight > 0, stamps.data, 0.0)[items]
        model = -problem.residuals(free[items], items) / torch.where(stamps.weight > 0, stamps.weight, 1.0)[items] + added
        problem.data[items] = model + added
        state = problem.linearise(free[items], items).among(how.model.fitted)
        endless = torch.full_like(state.theta, torch.inf)
        step, _ = newton_step(state, torch.zeros_like(state.chi2), -endless, endless)
        error = torch.linalg.inv_ex(state.hessian)[0].diagonal(dim1=-2, dim2=-1).clamp(min=1e-300).sqrt()
        moved = (state.theta - free[items][:, list(how.model.fitted)] + step) / error
        far = moved[:, : len(how.model.own)].abs().amax(-1)
        out[items.cpu()] = far.nan_to_num(torch.inf).cpu()
    return out


def single_sersic() -> Model:
    """The default model: what is asked of a galaxy that is not the target."""
    return choose_model(choose_settings().model)


def _draw(model: Model, values: np.ndarray, cutout: Cutout, how: How) -> np.ndarray:
    """Images [K, H, W] of catalogue values [K, V] as a cutout would show them."""
    zeropoint = torch.full((len(values),), cutout.zeropoint, dtype=torch.float64, device=how.device)
    psf = torch.as_tensor(cutout.psf, device=how.device)[None]
    images = render_images(model, torch.from_numpy(values).to(how.device), zeropoint, psf, cutout.shape, cutout.psf_kind == "optical",
                           cutout.psf_oversample, how.dtype)
    return images.cpu().numpy()
