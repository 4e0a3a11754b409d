"""An endless, reproducible supply of scenes."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from autogal.model.grid import Grid, fast_length
from autogal.model.levels import renderer_at
from autogal.profiles import Sersic
from autogal.simulate.batch import SceneBatch
from autogal.simulate.seeing import Seeing, moffat_tables, shift

__all__ = ["SceneDataset", "SceneSource"]

_PSF_SIZE = 51


class SceneSource:
    """Draws batches of scenes.

    Parameters
    ----------
    population : str
        ``"general"``.
    shape : (int, int)
        Rows and columns of the stamps.
    device : str or torch.device
    seed : int

    Notes
    -----
    A batch depends on the population, the shape, the seed, the step and its own size alone.
    """

    def __init__(self, population: str = "general", shape: tuple[int, int] = (128, 128), device: str | torch.device = "cpu",
                 seed: int = 0):
        self.population, self.shape, self.device, self.seed = population, tuple(shape), torch.device(device), seed

    def draw(self, batch: int, step: int) -> SceneBatch:
        """The batch of one step."""
        generator = torch.Generator(self.device).manual_seed(_mix(self.seed, step))
        rand = lambda *size: torch.rand(*size, generator=generator, device=self.device)  # noqa: E731
        randn = lambda *size: torch.randn(*size, generator=generator, device=self.device)  # noqa: E731
        log_uniform = lambda low, high, *size: low * (high / low) ** rand(*size)  # noqa: E731
        height, width = self.shape
        fwhm = log_uniform(1.5, 8.0, batch)
        seeing_fwhm = (fwhm**2 - 0.8).clamp(min=0.5).sqrt()
        psf_eta, psf_angle = 0.1 * rand(batch), math.pi * rand(batch)
        seeing = Seeing(moffat_tables(2.2 + 2.8 * rand(batch)), seeing_fwhm, psf_eta * (2 * psf_angle).cos(),
                        psf_eta * (2 * psf_angle).sin())
        electrons = log_uniform(50.0, 5e4, batch)
        sky_sigma = log_uniform(1e-2, 1e2, batch)
        gain = electrons.sqrt() / sky_sigma
        sky = 0.1 * randn(batch) * sky_sigma

        most = 11
        alive = torch.arange(most, device=self.device) <= (11 * rand(batch)).long()[:, None]
        star = rand(batch, most) < 0.3
        star[:, 0] = False
        r_eff = log_uniform(0.3, min(self.shape) / 3, batch, most)
        r_eff[:, 1:] = log_uniform(0.3, min(self.shape) / 8, batch, most - 1)
        n = log_uniform(0.3, 8.0, batch, most)
        q = 0.1 + 0.9 * rand(batch, most)
        pa = 180 * rand(batch, most)
        distance = fwhm[:, None] + 0.75 * max(self.shape) * rand(batch, most).sqrt()
        angle = 2 * math.pi * rand(batch, most)
        x, y = distance * angle.cos(), distance * angle.sin()
        x[:, 0], y[:, 0] = 4 * rand(batch) - 2, 4 * rand(batch) - 2
        x, y = x + (width - 1) / 2, y + (height - 1) / 2
        snr = log_uniform(5.0, 3000.0, batch, most)
        size2 = torch.where(star, 0.0, r_eff**2 * q)
        area = 2.5 * fwhm[:, None] ** 2 + 6 * size2
        per_gain = snr**2 / gain[:, None]
        flux = 0.5 * (per_gain + (per_gain**2 + 4 * snr**2 * area * sky_sigma[:, None] ** 2).sqrt())

        scene, _ = alive.nonzero(as_tuple=True)
        pick = lambda v: v[alive]  # noqa: E731
        light = self._light(seeing, scene, pick(star), *(pick(v) for v in (x, y, r_eff, n, q, pa))) * pick(flux)[:, None, None]
        total = torch.zeros(batch, height, width, device=self.device).index_add_(0, scene, light.clamp(min=0))
        sigma = (sky_sigma[:, None, None] ** 2 + total / gain[:, None, None]).sqrt()
        image = total + sky[:, None, None] + sigma * randn(batch, height, width)
        counts = alive.sum(1).tolist()
        first = torch.cumsum(alive.sum(1), 0) - alive.sum(1)
        target = light[first]
        masks = self._masks(light, total, sigma, scene)
        instances, classes = [], []
        for pieces, lights in zip(masks.split(counts), (light / sigma[scene]).split(counts)):
            if not pieces[0].any():
                pieces[0] = lights[0] > 0.5 * lights[0].max()
            pieces = pieces[pieces.sum((1, 2)) > 4 * (torch.arange(len(pieces), device=self.device) > 0)]
            instances.append(pieces)
            classes.append(torch.ones(len(pieces), dtype=torch.int64, device=self.device).index_fill_(
                0, torch.zeros(1, dtype=torch.int64, device=self.device), 2))
        truth = {"x": x[:, 0], "y": y[:, 0], "flux": flux[:, 0], "r_eff": r_eff[:, 0], "n": n[:, 0], "q": q[:, 0], "pa": pa[:, 0],
                 "sky": sky, "snr": (target / sigma).square().sum((1, 2)).sqrt()}
        side = fast_length(_PSF_SIZE + 13)
        psf = seeing.images(Grid((_PSF_SIZE, _PSF_SIZE), (side, side), device=self.device))
        return SceneBatch(image, sigma, torch.zeros_like(image, dtype=torch.bool), fwhm, psf, truth,
                          torch.ones(batch, dtype=torch.bool, device=self.device), instances, classes)

    def _masks(self, light: Tensor, total: Tensor, sigma: Tensor, scene: Tensor) -> Tensor:
        return (light > sigma[scene]) & (light > total[scene] / 3)

    def _light(self, seeing: Seeing, scene, star, x, y, r_eff, n, q, pa) -> Tensor:
        """Unit-flux images, [N, H, W]."""
        renderer = renderer_at(0, Sersic(), self.shape, device=self.device)
        grid = renderer.grid
        transfer = seeing.transfer(grid)
        out = torch.empty(len(x), *self.shape, device=self.device)
        angle = torch.deg2rad(pa + 90)
        native = torch.stack([x, y, (r_eff * q.sqrt()).log(), n.log(), -q.log() * (2 * angle).cos(),
                              -q.log() * (2 * angle).sin()], -1).double()
        for some in star.nonzero()[:, 0].split(16):
            phase = shift(grid, x[some], "x")[:, :, None] * shift(grid, y[some], "y")[:, None, :]
            out[some] = grid.to_images(transfer[scene[some]] * phase)
        for some in (~star).nonzero()[:, 0].split(16):
            out[some] = renderer.image(native[some], transfer[scene[some]])
        return out


class SceneDataset(IterableDataset):
    """Batches of a `SceneSource`, each worker of each rank with steps of its own.

    Parameters
    ----------
    source : SceneSource
    batch : int
        Scenes a batch; give the loader ``batch_size=None``.
    steps : int, optional
        Batches in all, over all ranks and workers; endless by default.
    first : int
        Step to begin with, where a run is resumed.
    rank, world : int
        Of the process, in distributed training.
    """

    def __init__(self, source: SceneSource, batch: int = 32, steps: int | None = None, first: int = 0, rank: int = 0,
                 world: int = 1):
        self.source, self.batch, self.steps, self.first, self.rank, self.world = source, batch, steps, first, rank, world

    def __iter__(self):
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        step = self.first + self.rank * workers + number
        while self.steps is None or step < self.first + self.steps:
            yield self.source.draw(self.batch, step)
            step += workers * self.world


def _mix(seed: int, step: int) -> int:
    """One seed of two numbers, well apart for neighbours (SplitMix64's finaliser)."""
    z = (seed * 0x9E3779B97F4A7C15 + step * 0xD1B54A32D192ED03 + 0x632BE59BD9B4E019) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return (z ^ (z >> 31)) >> 1
