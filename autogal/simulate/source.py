"""An endless, reproducible supply of scenes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from autogal.configuration.composing import compose
from autogal.configuration.overrides import override
from autogal.images.survey import Survey
from autogal.simulate.background import Background
from autogal.simulate.batch import SceneBatch
from autogal.simulate.exposure import expose
from autogal.simulate.general import General
from autogal.simulate.light import draw_light
from autogal.simulate.population import Population
from autogal.simulate.rng import Rng
from autogal.simulate.scenes import Scenes
from autogal.simulate.strong import draw_strong
from autogal.simulate.structure import Structure, add_arms

__all__ = ["SceneDataset", "SceneSource", "build_population"]

# A source belongs to a pixel where it is above 1 sigma and gives at least this part of the light
_MAJOR = 0.3
# Light of all neighbours under the target, at most, in units of the target's
_DROWNED = 0.5
# Fewer pixels than these are a fluctuation, not a neighbour anyone could find
_FEWEST = 5


class SceneSource:
    """Draws batches of scenes.

    Parameters
    ----------
    population : General, Population or str
        By name: ``"general"``, or a survey's.
    shape : (int, int)
        Rows and columns of the stamps.
    device : str or torch.device
    seed : int
    background : Background, optional
        Real sky for the scenes, in place of noise.
    exact : bool
        As in `draw_light`: for tests of fits rather than for training.

    Notes
    -----
    A batch depends on the population, the shape, the seed, the step, its own size and the kind of device, and
    on nothing else: not on the worker or the process that draws it.
    """

    def __init__(
        self,
        population: General | Population | str = "general",
        shape: tuple[int, int] = (128, 128),
        device: str | torch.device = "cpu",
        seed: int = 0,
        background: Background | None = None,
        exact: bool = False,
    ):
        self.population = build_population(population) if isinstance(population, str) else population
        self.shape, self.device, self.seed = tuple(shape), torch.device(device), seed
        self.background, self.exact = background, exact

    @torch.no_grad()
    def draw(self, batch: int, step: int) -> SceneBatch:
        """The `batch` scenes of one step.

        Parameters
        ----------
        batch : int
        step : int
            0, 1, ...: no two are alike.

        Returns
        -------
        SceneBatch
        """
        rng = Rng(self.seed, step, self.device)
        structure = self.population.structure
        scenes, strong = structure.strengthen(rng, self.population.draw(rng, batch, self.shape))
        sky = None
        if self.background is not None:
            sky, spoilt, noise = self.background.draw(rng, batch, self.shape)
            if self.population.relative:
                sky *= (scenes.conditions.sky_sigma / noise)[:, None, None]
            else:
                scenes = scenes.on(noise)
        parts, arms, single = structure.compose(rng, scenes)
        alive = scenes.sources.alive
        kind = torch.zeros_like(alive, dtype=torch.int64) if strong is None else strong.kind
        scene = alive.nonzero()[:, 0]
        usual = kind[alive] == 0
        light = draw_light(scenes, parts[usual[parts.source]], len(scene), self.exact)
        add_arms(light, scenes, arms)
        if strong is not None:
            draw_strong(light, scenes, strong, self.exact)
        single = single & usual
        numbers = alive.sum(1)
        first = numbers.cumsum(0) - numbers
        _clear_targets(light, scene, first)
        total = torch.zeros(batch, *self.shape, device=self.device).index_add_(0, scene, light)
        exposure = expose(rng, total, scenes.conditions, sky)
        if sky is not None:
            exposure.mask.logical_or_(spoilt)
        signal = light.div_(exposure.sigma[scene])
        instances, classes = _instances(signal, total / exposure.sigma, scene, first, numbers)
        truth = self._truth(scenes, single[first])
        truth["structure"] = kind[:, 0]
        truth["snr"] = signal[first].square().sum((1, 2)).sqrt()
        truth["visible"] = _visible(signal[first], total / exposure.sigma)
        psf = scenes.seeing.images()
        return SceneBatch(
            *exposure, scenes.seeing.measure(psf), psf, truth, single[first], instances, classes
        )

    @staticmethod
    def _truth(scenes: Scenes, analytic: Tensor) -> dict[str, Tensor]:
        truth = {
            name: getattr(scenes.sources, name)[:, 0].clone()
            for name in ("x", "y", "flux", "r_eff", "n", "q", "pa")
        }
        truth["n"][~analytic] = torch.nan
        return {**truth, "sky": scenes.conditions.sky}


def build_population(name: str, structure: str = "usual") -> General | Population:
    """The population of a name: ``"general"``, or a survey of the configuration with all that training should
    see.

    Parameters
    ----------
    name : str
    structure : str
        As of `Structure.named`.

    Raises
    ------
    AutogalError
        Where there is no such survey or structure, or the survey lacks a fact that is needed.
    """
    if name == "general":
        return General(structure=Structure.named(structure))
    survey = Survey.from_settings(compose(overrides=[override("survey", name)]).survey)
    return Population(
        survey,
        neighbours=10,
        structure=Structure.named(structure),
        correlation=0.3,
        gradient=0.3,
        defects=0.2,
    )


def _clear_targets(light: Tensor, scene: Tensor, first: Tensor) -> None:
    """Dim the neighbours of targets that drown in their light: no catalogue would list such a target.

    What a neighbour does to its target is the flux that a matched filter would take from it, in units of the
    target's.
    """
    target = light[first].flatten(1)
    target = target / target.square().sum(1, keepdim=True).clamp(min=1e-30)
    taken = torch.bmm(light.flatten(1)[:, None], target[scene][:, :, None])[:, 0, 0]
    others = torch.zeros_like(taken[first]).index_add_(0, scene, taken) - 1
    factor = (_DROWNED / others.clamp(min=1e-30)).clamp(max=1.0)
    light *= factor[scene].index_fill_(0, first, 1.0)[:, None, None]


def _instances(
    signal: Tensor, total: Tensor, scene: Tensor, first: Tensor, numbers: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    """Masks and classes of each scene's visible sources, from their light in units of the noise."""
    masks = (signal > 1) & (signal > _MAJOR * total[scene])
    # a target that is nowhere above the noise is still the target: its brightest half
    size = masks[first].flatten(1).sum(1)
    faint = first[size < _FEWEST]
    masks[faint] = signal[faint] > 0.5 * signal[faint].amax((1, 2), keepdim=True)
    visible = masks.flatten(1).sum(1) >= _FEWEST
    visible[first] = True
    kinds = torch.ones(len(scene), dtype=torch.int64, device=scene.device)
    kinds[first] = 2
    seen = torch.zeros_like(numbers).index_add_(0, scene, visible.long()).tolist()
    return list(masks[visible].split(seen)), list(kinds[visible].split(seen))


def _visible(signal: Tensor, total: Tensor) -> Tensor:
    """Part [B] of each target's pixels above 1 sigma (its brightest half, where it is fainter) that it
    outshines all others in."""
    own = signal > (0.5 * signal.amax((1, 2), keepdim=True)).clamp(max=1.0)
    return (own & (signal > 0.5 * total)).sum((1, 2)) / own.sum((1, 2))


class SceneDataset(IterableDataset):
    """Batches of several `SceneSource` in turn, each worker of each process with steps of its own.

    Parameters
    ----------
    sources : sequence of SceneSource
        Step k comes from source ``k % len(sources)``. They may draw stamps of different sizes.
    batch : int
        Scenes a batch, fewer of those that are larger than the first source's; give the loader
        ``batch_size=None``.
    steps : int, optional
        Batches in all, over all processes and workers; endless by default.
    first : int
        Step to begin with, where a run is resumed.
    rank, world : int
        Of the process, in distributed training.
    """

    def __init__(
        self,
        sources: Sequence[SceneSource],
        batch: int = 32,
        steps: int | None = None,
        first: int = 0,
        rank: int = 0,
        world: int = 1,
    ):
        self.sources, self.batch, self.steps, self.first, self.rank, self.world = (
            list(sources),
            batch,
            steps,
            first,
            rank,
            world,
        )

    def __iter__(self):
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        step = self.first + self.rank * workers + number
        while self.steps is None or step < self.first + self.steps:
            source = self.sources[step % len(self.sources)]
            larger = math.prod(source.shape) / math.prod(self.sources[0].shape)
            yield source.draw(max(1, round(self.batch / max(1.0, larger))), step)
            step += workers * self.world
