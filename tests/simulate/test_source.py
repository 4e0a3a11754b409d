"""Batches of scenes: reproducible, complete, and drawn as the fit's own renderer draws."""

import dataclasses

import numpy as np
import pytest
import torch
from astropy.io import fits
from scipy import stats
from torch.utils.data import DataLoader

from autogal.batch.grid_levels import level_needed, renderer_at
from autogal.configuration.composing import compose
from autogal.errors import AutogalError
from autogal.images.psf.checks import fwhm
from autogal.profiles import Sersic
from autogal.simulate import Background, General, SceneBatch, SceneDataset, SceneSource, Structure
from autogal.simulate.exposure import expose, poisson_quantile
from autogal.simulate.light import draw_light
from autogal.simulate.rng import Rng
from autogal.simulate.scenes import Conditions
from autogal.simulate.seeing import Seeing, airy_profile, moffat_profile

SHAPE = (64, 72)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def batch():
    return SceneSource("general", SHAPE, seed=1).draw(24, 5)


def test_a_step_is_always_the_same(batch):
    again = SceneSource("general", SHAPE, seed=1).draw(24, 5)
    assert torch.equal(batch.image, again.image) and torch.equal(batch.psf, again.psf)
    assert all(torch.equal(one, other) for one, other in zip(batch.instances, again.instances, strict=True))
    assert all(
        torch.equal(batch.truth[name].nan_to_num(), again.truth[name].nan_to_num()) for name in batch.truth
    )
    for seed, step in ((1, 6), (2, 5)):
        assert not torch.equal(
            SceneSource("general", SHAPE, seed=seed).draw(24, step).truth["x"], batch.truth["x"]
        )


def test_workers_and_ranks_share_the_steps(batch):
    source = SceneSource(General(neighbours=0), (48, 48))
    every = [source.draw(2, step).truth["x"].tolist() for step in range(8)]
    seen = []
    for rank in range(2):
        data = SceneDataset([source], batch=2, steps=8, rank=rank, world=2)
        seen += [one.truth["x"].tolist() for one in DataLoader(data, batch_size=None, num_workers=2)]
    assert sorted(seen) == sorted(every)
    larger = SceneSource(General(neighbours=0), (48, 96))
    mixed = list(SceneDataset([source, larger], batch=4, steps=4))
    assert [tuple(one.image.shape) for one in mixed] == 2 * [(4, 48, 48), (2, 48, 96)]
    resumed = SceneDataset([source], batch=2, steps=3, first=5)
    assert [one.truth["x"].tolist() for one in resumed] == every[5:]


def test_a_batch_is_complete(batch):
    assert isinstance(batch, SceneBatch) and len(batch) == 24
    for name in ("image", "sigma"):
        value = getattr(batch, name)
        assert value.shape == (24, *SHAPE) and value.dtype == torch.float32 and value.isfinite().all()
    assert (batch.sigma > 0).all() and batch.mask.dtype == torch.bool
    assert 0 < batch.mask.float().mean() < 0.1
    assert set(batch.truth) == {
        "x",
        "y",
        "flux",
        "r_eff",
        "n",
        "q",
        "pa",
        "sky",
        "snr",
        "visible",
        "structure",
    }
    assert torch.equal(batch.truth["n"].isnan(), ~batch.analytic)
    assert 0 < batch.analytic.float().mean() < 1
    for masks, classes in zip(batch.instances, batch.classes, strict=True):
        assert masks.dtype == torch.bool and masks.shape == (len(classes), *SHAPE)
        assert classes.tolist() == [2] + [1] * (len(classes) - 1)
        assert masks.any((1, 2)).all()


def test_general_covers_its_ranges():
    batch = SceneSource("general", (96, 96), seed=3).draw(160, 0)
    assert batch.psf_fwhm.min() < 1.8 and batch.psf_fwhm.max() > 6.5
    assert batch.truth["snr"].min() < 15 and batch.truth["snr"].max() > 1000
    assert batch.truth["r_eff"].min() < 0.8 and 24 < batch.truth["r_eff"].max() <= 32
    assert len({len(masks) for masks in batch.instances}) > 4


def test_targets_are_as_bright_as_drawn():
    population = General(neighbours=0, structure=Structure(), snr=(50.0, 50.1), largest=0.1)
    measured = SceneSource(population, (96, 96)).draw(64, 0).truth["snr"]
    assert 40 < measured.median() < 60 and measured.min() > 25 and measured.max() < 90


def test_psfs_are_as_wide_as_stated():
    wanted = torch.tensor([1.5, 2.0, 3.0, 5.0, 7.5])
    for profile in (moffat_profile(torch.full((5,), 3.0)), airy_profile(torch.full((5,), 0.5))):
        seeing = Seeing.of_profiles(profile, wanted, torch.full((5,), 0.8), torch.full((5,), 30.0), 65)
        images = seeing.images()
        assert torch.allclose(images.sum((1, 2)), torch.ones(5))
        measured = Seeing.measure(images)
        assert np.allclose(measured, [fwhm(image.numpy()) for image in images], rtol=0.02)
        assert np.allclose(measured, wanted, rtol=0.08)
        assert images.abs()[:, 0].max() < 1e-5


def test_moffat_agrees_with_galsim():
    galsim = pytest.importorskip("galsim")
    seeing = Seeing.of_profiles(
        moffat_profile(torch.tensor([3.5])),
        torch.tensor([3.0]),
        torch.tensor([0.8]),
        torch.tensor([30.0]),
        65,
    )
    profile = galsim.Moffat(beta=3.5, fwhm=float(seeing.before_pixel[0])).shear(
        q=0.8, beta=120 * galsim.degrees
    )
    expected = profile.drawImage(nx=65, ny=65, scale=1, dtype=float).array
    image = seeing.images()[0].numpy()
    assert np.abs(image - expected / expected.sum()).max() < 3e-3 * expected.max()


def test_patches_agree_with_the_renderer():
    population = General(neighbours=6, structure=Structure(), fwhm=(3.0, 6.0), snr=(20.0, 300.0))
    scenes = population.draw(Rng(4, 0, CPU), 6, SHAPE)
    parts, _, single = population.structure.compose(Rng(4, 1, CPU), scenes)
    assert single.all()
    light = draw_light(scenes, parts, len(parts.flux), exact=True)
    native, wide = parts.native(), scenes.seeing.fwhm[parts.scene].double()
    compared = 0
    for i in (~parts.point).nonzero()[:, 0].tolist():
        level = int(level_needed(Sersic(), SHAPE, native[i : i + 1], wide[i : i + 1]))
        renderer = renderer_at(level, Sersic(), SHAPE)
        expected = (
            renderer.image(native[i : i + 1], scenes.seeing[parts.scene[i : i + 1]].transfer(renderer.grid))[
                0
            ]
            * parts.flux[i]
        )
        noise = scenes.conditions.sky_sigma[parts.scene[i]]
        assert (light[parts.source[i]] - expected).abs().max() < 0.06 * noise + 2e-3 * expected.max()
        compared += 1
    assert compared > 8


def test_composites_keep_their_flux():
    population = General(
        neighbours=0,
        structure=Structure(1.0, 1.0, 1.0, 1.0),
        fwhm=(2.0, 3.0),
        largest=0.06,
        snr=(50.0, 500.0),
    )
    scenes = population.draw(Rng(1, 0, CPU), 16, (128, 128))
    parts, arms, single = population.structure.compose(Rng(1, 1, CPU), scenes)
    assert not single.any() and len(arms.source) > 4
    flux = torch.zeros(16).index_add_(0, parts.source, parts.flux)
    assert torch.allclose(flux, scenes.sources.flux[:, 0], rtol=1e-5)
    assert len(parts.flux) == 16 * 13


def test_noise_is_as_stated():
    light = torch.zeros(3, 200, 200)
    light[:, 60:100, 60:100] = 3.0
    full = lambda value: torch.full((3,), value)
    plain = Conditions(
        full(0.5),
        full(80.0),
        full(0.2),
        torch.zeros(3, 2),
        torch.tensor([0.0, 0.2, 0.5]),
        full(torch.inf),
        full(1.0),
        full(0.0),
        torch.zeros(3, dtype=torch.int64),
    )
    image, sigma, mask = expose(Rng(0, 0, CPU), light, plain)
    pull = (image - light - 0.2) / sigma
    assert not mask.any()
    assert sigma[0, 80, 80] == pytest.approx(np.sqrt(0.25 + 3 / 80))
    assert np.allclose(pull.mean((1, 2)), 0, atol=0.03) and np.allclose(pull.std((1, 2)), 1, atol=0.02)
    neighbours = (pull[:, :, 1:] * pull[:, :, :-1]).mean((1, 2))
    assert np.allclose(neighbours, [0, 0.4 / 1.08, 1 / 1.5], atol=0.02)
    spoilt = dataclasses.replace(plain, dead=full(0.01), saturation=full(3.0), rays=torch.full((3,), 4))
    image, sigma, mask = expose(Rng(0, 0, CPU), light, spoilt)
    assert mask[:, 60:100, 60:100].float().mean() > 0.3 and mask[:, :50].float().mean() > 0.005
    # one ray in ten is not found
    assert 0 < (image[~mask] > 3.5).sum() < 100


@pytest.mark.parametrize("mean", [12.0, 29.0, 200.0, 1e5])
def test_poisson_quantile_is_poisson(mean):
    normal = torch.randn(40_000, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    counts = poisson_quantile(torch.full_like(normal, mean), normal).numpy()
    assert np.array_equal(counts, np.rint(counts)) and counts.min() >= 0
    levels = np.unique(stats.poisson.ppf([0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999], mean))
    expected = stats.poisson.cdf(levels, mean)
    measured = np.array([(counts <= level).mean() for level in levels])
    assert np.all(np.abs(measured - expected) < 5 * np.sqrt(expected * (1 - expected) / counts.size) + 2e-3)


def test_surveys_by_name():
    batch = SceneSource("sdss", (64, 64)).draw(8, 0)
    assert batch.sigma.median() == pytest.approx(0.028, rel=0.2)
    with pytest.raises(AutogalError, match="There is no survey called lofar"):
        SceneSource("lofar")


def test_real_sky_takes_the_place_of_noise(tmp_path):
    rng = np.random.default_rng(0)
    fits.writeto(tmp_path / "sky.fits", (7 + 0.1 * rng.standard_normal((150, 150))).astype(np.float32))
    background = Background.read(tmp_path, compose())
    assert background.sigmas == pytest.approx([0.1], rel=0.05)
    batch = SceneSource(General(neighbours=0), (64, 64), background=background).draw(8, 0)
    assert ((batch.image - batch.truth["sky"][:, None, None]) / batch.sigma).median().abs() < 0.3
    real = SceneSource("sdss", (64, 64), background=background).draw(8, 0)
    assert real.sigma.min() == pytest.approx(background.sigmas[0], rel=0.01)
    with pytest.raises(AutogalError, match="as large as 200 x 200"):
        SceneSource("general", (200, 200), background=background).draw(2, 0)
    (tmp_path / "none").mkdir()
    with pytest.raises(AutogalError):
        Background.read(tmp_path / "none", compose())
