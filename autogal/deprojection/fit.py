"""The emissivity of one galaxy, free at a thousand places, from its image."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from autogal.deprojection.projection import NodeGrid
from autogal.errors import AutogalError
from autogal.fitting.residuals import POOR_CHI2, POOR_SHARE
from autogal.fitting.verdict import LOW_SN
from autogal.flags import DESCRIPTIONS, Flag
from autogal.images import prepare_psf
from autogal.rendering.grid import Grid, fast_length

__all__ = ["FreeForm", "free_form"]

_log = logging.getLogger(__name__)

_MARGIN = 32  # of the periodic grid beyond the stamp, px, besides the body's own reach
_BOUT = 10  # steps of L-BFGS, after which convergence is judged
_SOFTEST = (
    1e-9  # curvature of directions of which neither data nor prior say anything, in units of the diagonal
)
_GAIN = 1e-5  # of chi-square, relative, below which a bout was the last one
_FAINTEST = 1e-12  # amplitude of the start, in units of the median sigma
_START = (0.2, 0.2)  # the start is exponential, its lengths in units of the last nodes


@dataclass(frozen=True)
class FreeForm:
    """What was found.

    Attributes
    ----------
    emissivity : ndarray, [M, K]
        Image units per cubic pixel at each node of radius and height.
    error : ndarray, [M, K], or None
        1 sigma of the noise, from the bootstrap; how far the prior pulls is not in it.
    sky, chi2 : float
        Image units per pixel; chi-square of the data alone.
    model : ndarray, [H, W]
        The convolved image, the sky included.
    converged : bool
    flags : Flag
        NOT_CONVERGED; LOW_SN where there is hardly any light; POOR_FIT where the body misses a good part of
        it: another centre, angle or PSF, nodes too far apart or too near, or no such body. 0 where all is
        well.
    """

    emissivity: np.ndarray
    error: np.ndarray | None
    sky: float
    chi2: float
    model: np.ndarray
    converged: bool
    flags: Flag


def free_form(
    image: np.ndarray,
    sigma: np.ndarray,
    psf: np.ndarray,
    *,
    x: float,
    y: float,
    inclination: float,
    pa: float,
    radii: np.ndarray,
    heights: np.ndarray,
    mask: np.ndarray | None = None,
    smoothness: float = 0.1,
    replicates: int = 0,
    seed: int = 0,
    iterations: int = 300,
) -> FreeForm:
    """Find an emissivity that is free at nodes of radius and height, by L-BFGS.

    Its logarithm is fitted, so that it is positive, with the sky. The centre and the angles are held: take
    them from a fit of `thick_disk`.

    Parameters
    ----------
    image, sigma : ndarray, [H, W]
        Sigma that is not positive, or NaN anywhere, excludes a pixel.
    psf : ndarray, [K, K']
        An effective one.
    x, y : float
        Centre, pixels.
    inclination, pa : float
        Degrees, as in the catalogue.
    radii, heights : ndarray
        Of the nodes, pixels, each rising from 0. There is no light beyond the last ones.
    mask : ndarray of bool, [H, W]
        True where a pixel is excluded.
    smoothness : float
        Standard deviation of the prior on second differences of the logarithm between neighbouring nodes:
        exponentials are free, corners cost. Without one, noise is deprojected too.
    replicates : int
        Of the parametric bootstrap, at least 2; 0: no errors.
    seed : int
    iterations : int
        Of each fit, at most.

    Raises
    ------
    AutogalError
        Where shapes, nodes, angles or settings are not possible, the centre is not on the image, or that is
        constant or has no usable pixel. What only the fit shows is in `FreeForm.flags`, and logged.
    """
    nodes = NodeGrid(_rising("radii", radii), _rising("heights", heights))
    _check_settings(inclination, pa, smoothness, replicates, iterations)
    image, sigma = np.asarray(image, float), np.asarray(sigma, float)
    good = _usable(image, sigma, mask)
    height, width = image.shape
    if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
        raise AutogalError(
            f"The centre ({x}, {y}) is not on the image of {width} x {height} pixels.",
            "Give x along the columns and y along the rows, in pixels; (0, 0) is the centre of the first "
            "one.",
        )
    unit = float(
        np.median(sigma[good])
    )  # whatever the image is in, what is small is so in units of its noise
    image, sigma = image / unit, sigma / unit
    reach = math.ceil(float(torch.hypot(nodes.radii[-1], nodes.heights[-1])))
    grid = Grid(
        image.shape, tuple(fast_length(n + reach + _MARGIN) for n in image.shape), dtype=torch.float64
    )
    transfer = grid.psf_transform(torch.from_numpy(prepare_psf(np.asarray(psf, float), 1)[0])[None], False)[0]
    drawn = nodes.images(grid, transfer, x, y, inclination, pa).flatten(1).T
    weight = torch.from_numpy(np.where(good, 1 / np.where(good, sigma, 1.0), 0.0)).flatten()
    data = torch.from_numpy(np.where(good, image, 0.0)).flatten()
    design = torch.cat([drawn, torch.ones(len(drawn), 1, dtype=torch.float64)], 1)
    problem = _Problem(
        design * weight[:, None], _differences(len(nodes.radii), len(nodes.heights)) / smoothness
    )
    start = problem.start(data * weight, nodes)
    theta, converged = problem.fit(data * weight, start, iterations)
    light = torch.cat([theta[:-1].exp(), theta[-1:]])
    model = design @ light
    shape = len(nodes.radii), len(nodes.heights)
    error = None
    if replicates:
        draw = torch.Generator().manual_seed(seed)
        noise = torch.randn(replicates, len(data), generator=draw, dtype=torch.float64) * (weight > 0)
        found = torch.stack([problem.fit(model * weight + one, theta, iterations)[0] for one in noise])
        error = (unit * found[:, :-1].std(0) * light[:-1]).reshape(shape).numpy()
    chi2 = float(((data - model) * weight).square().sum())
    flags = _judge(data, weight, chi2, converged)
    light, model = unit * light, unit * model
    return FreeForm(
        light[:-1].reshape(shape).numpy(),
        error,
        float(light[-1]),
        chi2,
        model.reshape(image.shape).numpy(),
        converged,
        flags,
    )


@dataclass(frozen=True)
class _Problem:
    """Images of the nodes and of the sky over sigma, [N, P + 1], and what the prior makes of the
    logarithms, [D, P]."""

    design: Tensor
    prior: Tensor

    def start(self, data: Tensor, nodes: NodeGrid) -> Tensor:
        """An exponential of the best amplitude, on the best sky."""
        shape = -nodes.radii[:, None] / (_START[0] * nodes.radii[-1]) - nodes.heights / (
            _START[1] * nodes.heights[-1]
        )
        both = torch.stack([self.design[:, :-1] @ shape.flatten().exp(), self.design[:, -1]], 1)
        amplitude, sky = torch.linalg.lstsq(both, data).solution
        return torch.cat([shape.flatten() + amplitude.clamp(min=_FAINTEST).log(), sky[None]])

    def fit(self, data: Tensor, start: Tensor, iterations: int) -> tuple[Tensor, bool]:
        """The logarithms of the emissivity and the sky of highest posterior, and whether that was reached."""
        theta, last = start, math.inf
        for _ in range(math.ceil(iterations / _BOUT)):
            theta, value = self._bout(data, theta)
            if last - value < _GAIN * value:
                return theta, True
            last = value
        return theta, False

    def _bout(self, data: Tensor, start: Tensor) -> tuple[Tensor, float]:
        """Some steps of L-BFGS, in coordinates in which the curvature at the start is 1 in all directions."""
        root = self._curvature_root(start)
        move = torch.zeros_like(start).requires_grad_()
        solver = torch.optim.LBFGS(
            [move],
            max_iter=_BOUT,
            history_size=_BOUT,
            line_search_fn="strong_wolfe",
            tolerance_grad=0.0,
            tolerance_change=0.0,
        )

        def place() -> Tensor:
            return start + torch.linalg.solve_triangular(root.mT, move[:, None], upper=True)[:, 0]

        def loss() -> Tensor:
            solver.zero_grad()
            value = self._loss(data, place())
            value.backward()
            return value

        solver.step(loss)
        theta = place().detach()
        return theta, float(self._loss(data, theta))

    def _loss(self, data: Tensor, theta: Tensor) -> Tensor:
        off = data - self.design @ torch.cat([theta[:-1].exp(), theta[-1:]])
        return (off.square().sum() + (self.prior @ theta[:-1]).square().sum()) / 2

    def _curvature_root(self, theta: Tensor) -> Tensor:
        """Cholesky's root of the Gauss-Newton matrix, [P + 1, P + 1]."""
        unit = torch.cat([theta[:-1].exp(), torch.ones_like(theta[-1:])])
        matrix = self._gram * unit[:, None] * unit
        matrix[:-1, :-1] += self._prior_gram
        matrix.diagonal().mul_(1 + _SOFTEST)
        return torch.linalg.cholesky(matrix)

    @cached_property
    def _gram(self) -> Tensor:
        return self.design.mT @ self.design

    @cached_property
    def _prior_gram(self) -> Tensor:
        return self.prior.mT @ self.prior


def _check_settings(
    inclination: float, pa: float, smoothness: float, replicates: int, iterations: int
) -> None:
    if not 0 <= inclination <= 90 or not math.isfinite(pa):
        raise AutogalError(
            f"The body has the inclination {inclination} and pa {pa}.",
            "Give degrees, the inclination from 0 to 90.",
        )
    if not 0 < smoothness < math.inf:
        raise AutogalError(f"smoothness is {smoothness}.", "Give a positive number, as 0.1.")
    if replicates != 0 and replicates < 2:
        raise AutogalError(
            f"replicates={replicates} is not possible: one fit has no scatter.",
            "Give at least 2, or 0 for no errors.",
        )
    if iterations < 1:
        raise AutogalError(f"iterations={iterations} is not possible.", "Give at least 1; 300 are usual.")


def _usable(image: np.ndarray, sigma: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Pixels that can be fitted, [H, W] bool."""
    if image.ndim != 2:
        raise AutogalError(f"The image has the shape {image.shape}.", "Give one image, [H, W].")
    for name, plane in (("sigma", sigma), ("mask", mask)):
        if plane is not None and np.shape(plane) != image.shape:
            raise AutogalError(
                f"The image has the shape {image.shape}, its {name} {np.shape(plane)}.",
                f"Give a {name} of the image's shape.",
            )
    good = np.isfinite(image) & np.isfinite(sigma) & (sigma > 0)
    if mask is not None:
        good &= ~np.asarray(mask, bool)
    if not good.any():
        raise AutogalError("No pixel of the image is usable.", "Check the image, sigma and the mask.")
    if np.ptp(image[good]) == 0:
        raise AutogalError(
            f"The image is constant: every usable pixel is {image[good][0]:g}.", "Give an image of a galaxy."
        )
    return good


def _judge(data: Tensor, weight: Tensor, chi2: float, converged: bool) -> Flag:
    """What not to trust, by the rules of catalogues; light is what is better described than by a sky
    alone."""
    squared, count = weight.square(), int(torch.count_nonzero(weight))
    sky = (squared * data).sum() / squared.sum()
    snr = math.sqrt(max(float((squared * (data - sky).square()).sum()) - chi2, 0.0))
    poor = (
        chi2 / count > max(POOR_CHI2, 1 + 5 * math.sqrt(2 / count))
        and math.sqrt(chi2 - count) > POOR_SHARE * snr
    )
    flags = Flag(0)
    for flag, raised in (
        (Flag.NOT_CONVERGED, not converged),
        (Flag.LOW_SN, snr < LOW_SN),
        (Flag.POOR_FIT, poor),
    ):
        if raised:
            flags |= flag
            _log.warning(
                "%s: %s chi2 %.4g of %d pixels, signal-to-noise ratio %.3g.",
                flag.name,
                DESCRIPTIONS[flag],
                chi2,
                count,
                snr,
            )
    return flags


def _rising(name: str, nodes: np.ndarray) -> Tensor:
    nodes = torch.as_tensor(np.asarray(nodes, float))
    if (
        nodes.ndim != 1
        or len(nodes) < 3
        or not bool(torch.isfinite(nodes).all())
        or nodes[0] != 0
        or not bool((nodes.diff() > 0).all())
    ):
        raise AutogalError(f"{name} are no nodes.", "Give at least three, in pixels, rising from 0.")
    return nodes


def _differences(m: int, k: int) -> Tensor:
    """Second differences along radius and height of M x K nodes, [D, M K]."""

    def along(n: int) -> Tensor:
        eye = torch.eye(n, dtype=torch.float64)
        return eye[:-2] - 2 * eye[1:-1] + eye[2:]

    return torch.cat(
        [
            torch.kron(along(m), torch.eye(k, dtype=torch.float64)),
            torch.kron(torch.eye(m, dtype=torch.float64), along(k)),
        ]
    )
