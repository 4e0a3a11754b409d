"""Cutouts gathered for the engine."""

import numpy as np
import torch

from autogal.batch import stamps as stamps_module
from autogal.batch.stamps import Stamps
from autogal.images import Cutout, moffat
from autogal.rendering.grid import Grid
from autogal.runtime.prefetch import prefetch

SHAPES = ((40, 40), (34, 37), (33, 40), (40, 35), (38, 38))
PSFS = (
    moffat(3.0, size=15),
    moffat(2.5, size=11),
    moffat(3.0, size=15),
    moffat(3.5, size=15),
    moffat(2.5, size=11),
)


def cutouts():
    rng = np.random.default_rng(2)
    made = []
    for i, (shape, psf) in enumerate(zip(SHAPES, PSFS)):
        image, sigma, mask = (
            rng.normal(5, 1, shape).astype(np.float32),
            np.full(shape, 2.0 + i, np.float32),
            rng.random(shape) < 0.1,
        )
        image[3, 4], sigma[5, 6], sigma[7, 8] = np.nan, 0, np.inf
        made.append(Cutout(str(i), image, sigma, mask, psf))
    return made


def test_pixels_in_units_of_their_noise():
    given = cutouts()
    stamps = Stamps.from_cutouts(given, np.full(5, 5.0), torch.device("cpu"), torch.float32)
    for i, cutout in enumerate(given):
        good = ~cutout.mask & np.isfinite(cutout.image) & np.isfinite(cutout.sigma) & (cutout.sigma > 0)
        frame = np.zeros((40, 40), bool)
        frame[: cutout.shape[0], : cutout.shape[1]] = good
        assert stamps.usable[i] == good.sum() and stamps.scale[i] == 2.0 + i
        np.testing.assert_array_equal(stamps.weight[i].numpy(), frame.astype(np.float32))
        np.testing.assert_allclose(
            stamps.data[i].numpy()[frame], (cutout.image[good] - 5.0) / (2.0 + i), rtol=1e-6
        )
        assert not stamps.data[i].numpy()[~frame].any()


def test_equal_psfs_are_transformed_once_and_each_stamp_has_its_own():
    given = cutouts()
    stamps = Stamps.from_cutouts(given, np.zeros(5), torch.device("cpu"), torch.float32)
    assert [tuple(stack.shape) for stack in stamps.psfs] == [(2, 15, 15), (1, 11, 11)]
    assert stamps.psf_index.tolist() == [0, 2, 0, 1, 2]
    grid = Grid((40, 40), (64, 64))
    transforms = stamps.psf_transforms(grid, torch.arange(3))
    for i, cutout in enumerate(given):
        own = grid.psf_transform(torch.from_numpy(cutout.psf)[None], False)[0]
        torch.testing.assert_close(transforms[stamps.psf_index[i]], own)


def test_psfs_that_differ_off_the_middle_row_are_two():
    given = cutouts()[::2]
    for cutout in given:
        cutout.psf = PSFS[0]
    given[1].psf = PSFS[0].copy()
    given[2].psf = PSFS[0].copy()
    given[2].psf[0, 0] += 1e-9
    stamps = Stamps.from_cutouts(given, np.zeros(3), torch.device("cpu"), torch.float32)
    assert stamps.psf_index.tolist() == [0, 0, 1]


def test_stamps_that_several_threads_gather_are_the_same(monkeypatch):
    given = cutouts() * 3
    alone = Stamps.from_cutouts(given, np.full(15, 5.0), torch.device("cpu"), torch.float32)
    monkeypatch.setitem(stamps_module._AT_ONCE, "cpu", 6)
    monkeypatch.setattr(stamps_module, "_BY_ONE_THREAD", 2)
    used = []
    monkeypatch.setattr(
        stamps_module, "prefetch", lambda tasks, threads: prefetch(tasks, used.append(threads) or 3)
    )
    together = Stamps.from_cutouts(given, np.full(15, 5.0), torch.device("cpu"), torch.float32)
    assert used == [0]  # a CPU is busy enough
    for name in ("data", "weight", "scale", "usable", "psf_index"):
        assert torch.equal(getattr(alone, name), getattr(together, name)), name
