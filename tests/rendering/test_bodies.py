"""Bodies at an inclination: against flat profiles in the limits, against sums of their light, and their
derivatives."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import autogal
from autogal.batch.grid_levels import model_level, renderers_at
from autogal.model import Model
from autogal.model.inclined import InclinedComponent
from autogal.profiles import Ellipsoid, ThickDisk

from .brute_force import Gaussian

ZEROPOINT = torch.zeros(1, dtype=torch.float64)
SHAPE = (56, 60)
PLACE = dict(x=[29.3], y=[27.8], flux=[1.0])
BODIES = {
    "disk": (ThickDisk(), [5.0, 1.0]),
    "ellipsoid": (Ellipsoid(), [4.0, 1.5, 0.7, 0.4, 30.0]),
}  # fmt: skip
PSF = Gaussian(1.5).star(33)


def drawn(model, **values):
    return autogal.render(
        PLACE | {name: [v] for name, v in values.items()}, model=model, psf=PSF, shape=SHAPE, dtype="float64"
    )[0]


def off(one, other):
    return np.abs(one - other).max() / other.max()


def prepared(profile, own, inclination, pa=40.0):
    model = Model((InclinedComponent(profile),))
    free = model.free(
        torch.tensor([[29.3, 27.8, 0.0, *own, inclination, pa, 0.0]], dtype=torch.float64), ZEROPOINT
    )
    level = int(model_level(model, SHAPE, model.native(free), torch.tensor([3.5], dtype=torch.float64)))
    renderer = renderers_at(level, model, SHAPE, 1, 1, torch.device("cpu"), torch.float64)[0]
    return model, free, renderer, renderer.grid.psf_transform(torch.from_numpy(PSF)[None], False)


@pytest.mark.parametrize(("h", "z0", "pa"), [(6.0, 0.9, 35.0), (3.0, 0.3, 100.0), (2.0, 1.6, 160.0)])
def test_a_disk_edge_on_is_the_edge_on_disk(h, z0, pa):
    assert (
        off(drawn("thick_disk", h=h, z0=z0, inclination=90.0, pa=pa), drawn("edge_on", h=h, q=z0 / h, pa=pa))
        < 1e-3
    )


@pytest.mark.parametrize("z0", [0.1, 4.0])
def test_a_disk_face_on_is_exponential(z0):
    assert (
        off(
            drawn("thick_disk", h=4.0, z0=z0, inclination=0.0, pa=10.0),
            drawn("exponential", r_eff=4.0 * 1.67835, q=1.0, pa=0.0),
        )
        < 1e-3
    )


def test_a_thin_disk_is_an_ellipse():
    thin = drawn("thick_disk", h=4.0, z0=0.02, inclination=60.0, pa=25.0)
    assert off(thin, drawn("exponential", r_eff=4.0 * 1.67835, q=0.5, pa=25.0)) < 1e-3


@pytest.mark.parametrize(("inclination", "pa"), [(35.0, 0.0), (60.0, 90.0), (80.0, 0.0)])
def test_a_disk_is_the_sum_of_its_layers(inclination, pa):
    """Each layer of the disk is a tilted exponential disk, displaced across the line of nodes."""
    h, z0 = 4.0, 1.5
    nodes, weights = np.polynomial.legendre.leggauss(48)
    tilt, angle = np.radians(inclination), np.radians(pa)
    table = {name: [] for name in ("x", "y", "flux")}
    for node, weight in zip(nodes, weights):  # of tanh(z / z0), of which each step holds the same light
        shift = z0 * math.atanh(node) * np.sin(tilt)
        table["x"].append(29.3 - shift * np.cos(angle))
        table["y"].append(27.8 - shift * np.sin(angle))
        table["flux"].append(weight / 2)
    table |= {"r_eff": np.full(48, h * 1.67835), "q": np.full(48, np.cos(tilt)), "pa": np.full(48, pa)}
    layers = autogal.render(table, model="exponential", psf=PSF, shape=SHAPE, dtype="float64").sum(0)
    assert off(drawn("thick_disk", h=h, z0=z0, inclination=inclination, pa=pa), layers) < 1e-3


@pytest.mark.parametrize(("b_a", "c_a", "azimuth", "inclination"), [
    (1.0, 0.3, 10.0, 60.0), (0.6, 0.4, 30.0, 50.0), (0.5, 0.9, 120.0, 90.0), (0.7, 0.2, 70.0, 0.0),
])  # fmt: skip
def test_an_ellipsoid_is_the_sersic_profile_of_its_shadow(b_a, c_a, azimuth, inclination):
    """The outline of an ellipsoid is that of the circle's points that are mapped farthest in each
    direction."""
    i, phi = np.radians([inclination, azimuth])
    sky = np.array(
        [[np.cos(phi), -np.sin(phi), 0.0], [np.cos(i) * np.sin(phi), np.cos(i) * np.cos(phi), np.sin(i)]]
    )
    major, minor = np.linalg.svd(sky * [1.0, b_a, c_a])[1]
    direction = np.linalg.svd(sky * [1.0, b_a, c_a])[0][:, 0]
    turned = 25.0 + np.degrees(np.arctan2(direction[1], direction[0]))
    seen = drawn("sersic", n=2.0, r_eff=4.0 * major, q=minor / major, pa=turned % 180)
    body = drawn(
        "ellipsoid", n=2.0, r_eff=4.0, b_a=b_a, c_a=c_a, azimuth=azimuth, inclination=inclination, pa=25.0
    )
    assert off(body, seen) < 2e-4


@pytest.mark.parametrize(("body", "inclination"), [
    ("disk", 3.0), ("disk", 40.0), ("disk", 75.0), ("disk", 88.0), ("ellipsoid", 20.0), ("ellipsoid", 75.0),
])  # fmt: skip
def test_light_follows_every_free_parameter(body, inclination):
    profile, own = BODIES[body]
    model, free, renderer, psf = prepared(profile, own, inclination)
    rows = torch.cat(
        [renderer.draw(model.native(free)[0], psf), torch.ones(1, 1, *SHAPE, dtype=torch.float64)], dim=1
    )[0]
    slopes = torch.einsum("rp,rhw->phw", model.image_jacobian(free)[0], rows)
    move, tolerance = (
        (1e-5, 2e-4) if body == "disk" else (1e-3, 1e-3)
    )  # the Sersic profile is looked up in a table
    for i in (0, 1, *range(3, free.shape[1] - 1)):
        step = torch.zeros_like(free)
        step[0, i] = move
        expected = (
            renderer.image(model.native(free + step)[0], psf)
            - renderer.image(model.native(free - step)[0], psf)
        )[0] / (2 * move)
        torch.testing.assert_close(
            slopes[i], expected, rtol=1e-3, atol=tolerance * float(expected.abs().max()) + 1e-9
        )


@pytest.mark.parametrize("inclination", [2.0, 45.0, 85.0])
def test_values_follow_the_free_vector(inclination):
    model = Model((InclinedComponent(ThickDisk()),))
    values = torch.tensor([[29.3, 27.8, 0.0, 5.0, 1.0, inclination, 40.0, 0.0]], dtype=torch.float64)
    free = model.free(values, ZEROPOINT)
    torch.testing.assert_close(model.values(free, ZEROPOINT), values, rtol=1e-9, atol=1e-6)
    slopes = model.values_jacobian(free)[0]
    for i in range(free.shape[1]):
        step = torch.zeros_like(free)
        step[0, i] = 1e-6
        expected = (model.values(free + step, ZEROPOINT) - model.values(free - step, ZEROPOINT))[0] / 2e-6
        torch.testing.assert_close(slopes[:, i], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("body", BODIES)
def test_numbers_at_every_inclination(body):
    profile, own = BODIES[body]
    for inclination in (0.0, 1e-6, 89.99, 90.0):
        for dtype in (torch.float32, torch.float64):
            model, free, renderer, _ = prepared(profile, own, inclination)
            renderer = renderers_at(1, model, SHAPE, 1, 1, torch.device("cpu"), dtype)[0]
            psf = renderer.grid.psf_transform(torch.from_numpy(PSF)[None], False)
            round_one, thin = free.clone(), free.clone()
            round_one[:, -3:-1] = 0.0
            thin[:, -3] += 50.0
            for one in (free, round_one, thin):
                assert torch.isfinite(renderer.draw(model.native(one)[0], psf)).all()
                assert (
                    torch.isfinite(model.values(one, ZEROPOINT)).all()
                    and torch.isfinite(model.values_jacobian(one)).all()
                )
                assert torch.isfinite(model.image_jacobian(one)).all()


@pytest.mark.parametrize(("h", "z0"), [(0.05, 0.01), (0.05, 20.0), (12.0, 0.01), (12.0, 12.0)])
def test_numbers_and_flux_at_every_size(h, z0):
    image = drawn("thick_disk", h=h, z0=z0, inclination=70.0, pa=30.0)
    assert np.isfinite(image).all() and image.min() > -1e-4 * image.max()
    if h < 1 and z0 < 1:
        assert image.sum() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    "held",
    [
        {"bounds": {"inclination": [60, 85]}},
        {"fixed": {"inclination": 75}},
        {"ties": {"z0": "0.2 * h"}},
        {"limits": ["z0 < h"]},
        {"limits": ["inclination < 80", "inclination > 20"]},
        {"priors": {"inclination": {"normal": [75, 5]}}},
    ],
    ids=lambda held: str(*held.values())[:24],
)
def test_an_inclination_is_bounded_fixed_tied_and_held_by_priors(held):
    rng = np.random.default_rng(4)
    truth = dict(x=27.2, y=28.4, mag=12.0, h=5.0, z0=1.0, inclination=75.0, pa=35.0)
    clean = autogal.render(
        {name: [v] for name, v in truth.items()}, model="thick_disk", psf=PSF, shape=(56, 56), zeropoint=25.0
    )
    image = clean + rng.normal(0.0, 4.0, clean.shape)
    settings = dict(sigma=np.full(image.shape, 4.0), psf=PSF, zeropoint=25.0, segment="none")
    row = autogal.fit(image, model={"profile": "thick_disk", **held}, **settings).table[0]
    assert row["status"] == "converged"
    for name, value in truth.items():
        if name not in held.get("fixed", {}):
            assert abs(row[name] - value) < 4 * row[f"{name}_err"], name
    if "ties" in held:
        assert row["z0"] == pytest.approx(0.2 * row["h"], rel=1e-6)
    if "fixed" in held:
        assert row["inclination"] == pytest.approx(75.0)


def test_a_bulge_and_a_disk_seen_at_one_inclination():
    rng = np.random.default_rng(4)
    place = {
        f"{part}_{name}": [v]
        for part in ("bulge", "disk")
        for name, v in dict(x=27.2, y=28.4, inclination=72.0, pa=35.0).items()
    }
    truth = dict(
        bulge_mag=12.5,
        bulge_r_eff=2.5,
        bulge_n=2.0,
        disk_mag=12.0,
        disk_h=6.0,
        disk_z0=1.0,
        disk_inclination=72.0,
    )
    bulge = {"profile": "ellipsoid", "fixed": {"b_a": 1.0, "c_a": 0.6, "azimuth": 45.0}}
    components = {"bulge": bulge, "disk": {"profile": "thick_disk"}}
    ties = {f"bulge.{name}": f"disk.{name}" for name in ("x", "y", "inclination", "pa")}
    table = (
        place
        | {name: [v] for name, v in truth.items()}
        | dict(bulge_b_a=[1.0], bulge_c_a=[0.6], bulge_azimuth=[45.0], mag=[0.0], bt=[0.0])
    )
    clean = autogal.render(table, model={"components": components}, psf=PSF, shape=(56, 56), zeropoint=25.0)
    image = clean + rng.normal(0.0, 2.0, clean.shape)
    settings = dict(sigma=np.full(image.shape, 2.0), psf=PSF, zeropoint=25.0, segment="none")
    row = autogal.fit(image, model={"components": components, "ties": ties}, **settings).table[0]
    assert row["status"] == "converged"
    for name, value in truth.items():
        assert abs(row[name] - value) < 4 * row[f"{name}_err"], name
    assert row["bulge_inclination"] == pytest.approx(row["disk_inclination"], abs=1e-6)


@pytest.mark.parametrize(
    ("node", "what"),
    [
        ({"bounds": {"inclination": [80, 60]}}, "bounds of inclination"),
        ({"bounds": {"inclination": [-10, 60]}}, "bounds of inclination"),
        ({"bounds": {"q": [0.1, 1]}}, "bounds on q"),
        ({"fixed": {"inclination": 95}}, "inclination is fixed at 95, outside"),
    ],
)
def test_bad_inclinations(node, what):
    with pytest.raises(autogal.AutogalError, match=what):
        autogal.render(
            dict(PLACE, h=[3.0], z0=[1.0], inclination=[60.0], pa=[0.0]),
            model={"profile": "thick_disk", **node},
            psf=PSF,
        )
