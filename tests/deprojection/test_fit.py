"""An emissivity free at many nodes: recovered from the image of a disk, with errors, and refused where it
cannot be."""

from __future__ import annotations

import numpy as np
import pytest

import autogal
from autogal.flags import Flag
from autogal.images import moffat

PSF = moffat(2.5, 3.5, size=25)
DISK = dict(x=27.3, y=26.8, flux=30000.0, h=5.0, z0=3.0, inclination=80.0, pa=60.0)
VIEW = {name: DISK[name] for name in ("x", "y", "inclination", "pa")}


def simulated(shape=(56, 56), **changes):
    table = {name: [v] for name, v in (DISK | changes).items()}
    clean = autogal.render(table, model="thick_disk", psf=PSF, shape=shape, dtype="float64")[0]
    return clean + 2.0 + np.random.default_rng(1).normal(0.0, 1.0, shape), np.ones(shape)


def true_emissivity(radii, heights):
    h, z0 = DISK["h"], DISK["z0"]
    return DISK["flux"] * np.exp(-radii / h)[:, None] / np.cosh(heights / z0) ** 2 / (4 * np.pi * h**2 * z0)


def volumes(radii, heights):
    """Of the shells around the nodes, about."""
    return (
        4
        * np.pi
        * radii[:, None]
        * np.gradient(radii)[:, None]
        * np.gradient(heights)
        * np.where(heights > 0, 1.0, 0.5)
    )


def test_a_thousand_values_of_a_disk_are_recovered(repository):
    section = (repository / "README.md").read_text().partition("## An emissivity that is free\n")[2]
    example = section.partition("```python\n")[2].partition("```")[0]
    image, sigma = simulated()
    names = {"image": image, "sigma": sigma, "psf": PSF}
    exec(example, names)
    found, radii, heights = names["found"], names["radii"], names["heights"]
    assert found.emissivity.size > 1000 and found.converged and (found.emissivity > 0).all()
    assert found.chi2 / image.size == pytest.approx(1.0, abs=0.06) and found.sky == pytest.approx(
        2.0, abs=0.1
    )
    true, light = true_emissivity(radii, heights), true_emissivity(radii, heights) * volumes(radii, heights)
    off = np.abs(found.emissivity / true - 1)
    print(
        f"mean error, weighted by light: {(off * light).sum() / light.sum():.3f}, chi2 / N "
        f"{found.chi2 / image.size:.3f}"
    )
    assert (off * light).sum() / light.sum() < 0.1
    assert (found.emissivity * light / true).sum() / light.sum() == pytest.approx(1.0, abs=0.03)


def test_errors_are_those_of_the_noise():
    image, sigma = simulated()
    image[20:23, 30:33] = np.nan
    radii, heights = np.linspace(0.0, 36.0, 19), np.linspace(0.0, 16.0, 9)
    settings = dict(sigma=sigma, psf=PSF, **VIEW, radii=radii, heights=heights)
    first = autogal.free_form(image, **settings)
    # of a body that nodes this far apart can be, with a prior too weak to pull
    again = first.model + np.random.default_rng(2).normal(0.0, 1.0, image.shape)
    again[20:23, 30:33] = np.nan
    found, true = autogal.free_form(again, **settings, smoothness=0.5, replicates=16), first.emissivity
    bright = true > 0.05 * true.max()
    pulls = ((found.emissivity - true) / found.error)[bright]
    print(f"rms pull {np.sqrt(np.mean(pulls**2)):.2f}")
    assert 0.6 < np.sqrt(np.mean(pulls**2)) < 1.5
    assert np.isfinite(found.error).all() and (found.error > 0).all()


@pytest.mark.parametrize("inclination", [0.0, 90.0])
def test_numbers_face_on_and_edge_on(inclination):
    image, sigma = simulated((40, 40), x=19.0, y=20.0, h=3.0, z0=1.5, inclination=inclination)
    view = VIEW | {"x": 19.0, "y": 20.0, "inclination": inclination}
    found = autogal.free_form(
        image, sigma, PSF, **view, radii=np.linspace(0, 20, 11), heights=np.linspace(0, 8, 5)
    )
    assert np.isfinite(found.emissivity).all() and found.chi2 / image.size < 1.3 and found.flags == 0


@pytest.mark.parametrize("unit", [1e-18, 1e-10, 1e-6, 1e9])
def test_the_unit_of_the_image_does_not_matter(unit):
    image, sigma = simulated((40, 40), x=19.0, y=20.0, h=3.0, z0=1.5)
    settings = dict(
        psf=PSF,
        **VIEW | {"x": 19.0, "y": 20.0},
        radii=np.linspace(0, 20, 11),
        heights=np.linspace(0, 8, 5),
        replicates=2,
    )
    found, other = (
        autogal.free_form(image, sigma, **settings),
        autogal.free_form(image * unit, sigma * unit, **settings),
    )
    assert found.converged and other.converged and other.chi2 == pytest.approx(found.chi2, rel=1e-7)
    for name in ("emissivity", "error", "sky", "model"):
        np.testing.assert_allclose(getattr(other, name) / unit, getattr(found, name), rtol=1e-4, err_msg=name)


def small(image, sigma, **changes):
    view = VIEW | {"x": 19.0, "y": 20.0, "inclination": 80.0} | changes
    return autogal.free_form(
        image, sigma, PSF, **{"radii": np.linspace(0, 20, 6), "heights": np.linspace(0, 8, 4)} | view
    )


def test_what_is_not_to_be_trusted_is_flagged_and_logged(caplog):
    image, sigma = simulated((40, 40), x=19.0, y=20.0, h=3.0, z0=1.5)
    noise = np.random.default_rng(0).normal(3.0, 1.0, image.shape)
    assert (
        small(4 - image, sigma).flags == Flag.LOW_SN | Flag.POOR_FIT
    )  # there is light, but none that a body sends out
    assert (
        "signal-to-noise ratio is too low" in caplog.text and "misses a good part of the light" in caplog.text
    )
    assert small(noise, sigma).flags == Flag.LOW_SN
    assert small(image, sigma, inclination=20.0).flags == Flag.POOR_FIT
    assert small(image, sigma, iterations=1).flags & Flag.NOT_CONVERGED
    caplog.clear()
    assert (
        small(image, sigma, radii=np.linspace(0, 20, 21), heights=np.linspace(0, 8, 9)).flags == 0
        and not caplog.records
    )


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"inclination": 95.0}, "inclination 95"),
        ({"pa": np.nan}, "pa nan"),
        ({"radii": [1.0, 2.0, 3.0]}, "radii are no nodes"),
        ({"heights": [0.0, 2.0, 1.0]}, "heights are no nodes"),
        ({"smoothness": 0.0}, "smoothness is 0"),
        ({"smoothness": np.inf}, "smoothness is inf"),
        ({"sigma": np.ones((3, 3))}, "its sigma \\(3, 3\\)"),
        ({"mask": np.zeros((3, 3))}, "its mask \\(3, 3\\)"),
        ({"image": np.ones(4)}, "shape \\(4,\\)"),
        ({"mask": np.ones((40, 40), bool)}, "No pixel"),
        ({"image": np.zeros((40, 40))}, "constant: every usable pixel is 0"),
        ({"x": -500.0}, "centre \\(-500.0, 26.8\\) is not on the image"),
        ({"y": 40.0}, "not on the image"),
        ({"x": np.nan}, "not on the image"),
        ({"replicates": 1}, "replicates=1 is not possible: one fit has no scatter"),
        ({"replicates": -1}, "replicates=-1"),
        ({"iterations": 0}, "iterations=0"),
    ],
)
def test_bad_input(changes, what):
    given = {
        "image": np.eye(40),
        "sigma": np.ones((40, 40)),
        "psf": PSF,
        **VIEW,
        "radii": np.arange(4.0),
        "heights": np.arange(4.0),
    }
    with pytest.raises(autogal.AutogalError, match=what) as error:
        autogal.free_form(**given | changes)
    assert error.value.remedy
