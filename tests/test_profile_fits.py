"""Every model of the configuration recovers what was simulated, from the stamp to the catalogue."""

from __future__ import annotations

import numpy as np
import pytest

import autogal
from autogal.images import frame, moffat

N, SHAPE = 3, (56, 56)
PLACE = dict(q=[0.4, 0.7, 0.9], pa=[20.0, 75.0, 160.0])
ROUND = dict(mag=13.0, sky=2.0)
# What is simulated, and what must come back; what an image of this seeing hardly tells stays as the model
# fixes it
MODELS = {
    "gaussian": dict(ROUND, fwhm=[6.0, 3.0, 9.0], **PLACE),
    "moffat": dict(ROUND, fwhm=[6.0, 4.0, 8.0], beta=[2.0, 2.5, 5.0], **PLACE),
    "king": dict(ROUND, r_core=[3.0, 2.0, 4.0], r_tidal=[15.0, 18.0, 12.0], alpha=2.0, **PLACE),
    "ferrer": dict(ROUND, r_out=[12.0, 9.0, 15.0], alpha=[2.0, 1.0, 3.0], beta=[0.2, 0.5, 1.0], **PLACE),
    "broken_exponential": dict(
        ROUND, h_in=[8.0, 6.0, 3.0], h_out=[2.0, 2.0, 6.0], r_break=[10.0, 8.0, 9.0], sharpness=5.0, **PLACE
    ),
    "core_sersic": dict(
        ROUND,
        mag=11.0,
        r_sersic=[6.0, 8.0, 5.0],
        n=[2.5, 3.5, 2.0],
        r_break=[2.5, 3.0, 2.5],
        gamma=[0.4, 0.5, 0.6],
        alpha=5.0,
        **PLACE,
    ),
    "nuker": dict(
        mag_break=13.0,
        sky=2.0,
        r_break=[4.0, 5.0, 3.0],
        alpha=2.0,
        beta=[3.0, 2.5, 2.2],
        gamma=[0.4, 0.6, 0.2],
        **PLACE,
    ),
    "edge_on": dict(ROUND, h=[5.0, 6.0, 4.0], q=[0.15, 0.3, 0.4], pa=PLACE["pa"]),
    "thick_disk": dict(
        ROUND, mag=12.0, h=[5.0, 6.0, 4.0], z0=[1.2, 1.5, 1.0], inclination=[70.0, 80.0, 75.0], pa=PLACE["pa"]
    ),
    "ellipsoid": dict(
        ROUND,
        r_eff=[5.0, 6.0, 4.0],
        n=[1.0, 2.0, 1.5],
        b_a=1.0,
        c_a=0.3,
        azimuth=45.0,
        inclination=[40.0, 60.0, 75.0],
        pa=PLACE["pa"],
    ),
    "exponential": dict(ROUND, r_eff=[5.0, 3.0, 7.0], **PLACE),
    "devaucouleurs": dict(ROUND, r_eff=[4.0, 3.0, 5.0], **PLACE),
    "point_source": dict(ROUND),
    "sersic_point": dict(
        host_mag=13.0,
        host_r_eff=[5.0, 7.0, 4.0],
        host_n=[1.0, 1.5, 2.0],
        host_q=PLACE["q"],
        host_pa=PLACE["pa"],
        sky=2.0,
        point_mag=[14.5, 15.0, 14.0],
    ),
    "bulge_disk": dict(
        bulge_mag=13.0,
        bulge_r_eff=[2.0, 3.0, 2.5],
        bulge_q=[0.7, 0.9, 0.8],
        bulge_pa=PLACE["pa"],
        disk_mag=12.0,
        disk_r_eff=[7.0, 8.0, 6.0],
        disk_q=PLACE["q"],
        disk_pa=PLACE["pa"],
        sky=2.0,
    ),
    "double_sersic": dict(
        inner_mag=12.5,
        inner_r_eff=[2.0, 2.5, 1.5],
        inner_n=[1.5, 2.0, 2.5],
        inner_q=[0.7, 0.9, 0.8],
        inner_pa=[80.0, 20.0, 120.0],
        outer_mag=11.5,
        outer_r_eff=[7.0, 8.0, 6.0],
        outer_n=[0.8, 1.0, 0.7],
        outer_q=PLACE["q"],
        outer_pa=PLACE["pa"],
        sky=2.0,
    ),
    "bulge_disk_bar": dict(
        bulge_mag=11.7,
        bulge_r_eff=1.5,
        bulge_n=[1.5, 2.0, 1.5],
        bulge_q=0.9,
        bulge_pa=PLACE["pa"],
        disk_mag=10.5,
        disk_r_eff=[9.0, 10.0, 9.0],
        disk_q=[0.6, 0.7, 0.9],
        disk_pa=PLACE["pa"],
        bar_mag=11.7,
        bar_r_eff=[4.0, 4.5, 4.0],
        bar_n=0.5,
        bar_q=0.3,
        bar_pa=[100.0, 40.0, 160.0],
        sky=2.0,
    ),
}

COMPONENTS = {
    "sersic_point": ("host_", "point_"),
    "bulge_disk": ("bulge_", "disk_"),
    "double_sersic": ("inner_", "outer_"),
    "bulge_disk_bar": ("bulge_", "disk_", "bar_"),
}


def simulate(model, truth, **slopes):
    """Noisy images of a model's galaxies, their sigma and the PSF."""
    rng = np.random.default_rng(7)
    psf = moffat(2.8, 3.5, size=41)
    x, y = 27 + rng.uniform(-1, 1, N), 28 + rng.uniform(-1, 1, N)
    prefixes = COMPONENTS.get(model, ("",))
    table = {f"{p}{axis}": v for p in prefixes for axis, v in (("x", x), ("y", y))}
    table |= {name: np.broadcast_to(value, N).astype(float) for name, value in (truth | slopes).items()}
    if model in COMPONENTS:
        table["mag"] = table["bt"] = np.zeros(N)  # follow from the others
    clean = autogal.render(table, model=model, psf=psf, shape=SHAPE, zeropoint=25.0)
    sigma = np.sqrt(np.maximum(clean, 0) + 20.0)
    return clean + sigma * rng.normal(size=clean.shape), sigma, psf, table


@pytest.mark.parametrize("model", MODELS)
def test_recovered(model):
    images, sigma, psf, truth = simulate(model, MODELS[model])
    table = autogal.fit(images, sigma=sigma, psf=psf, model=model, zeropoint=25.0, segment="none").table
    assert list(table["status"]) == ["converged"] * N
    assert np.all(np.abs(table["chi2_dof"] - 1) < 0.1)
    fixed = {
        "king": ["alpha"],
        "core_sersic": ["alpha"],
        "nuker": ["alpha"],
        "broken_exponential": ["sharpness"],
        "ellipsoid": ["b_a", "c_a", "azimuth"],
    }.get(model, [])
    for name in MODELS[model]:
        if name in fixed:
            np.testing.assert_allclose(table[name], truth[name], rtol=1e-6)
            continue
        off = np.asarray(table[name] - truth[name], float)
        if name.endswith("pa"):
            off = (off + 90) % 180 - 90
        error = np.asarray(table[f"{name}_err"], float)
        assert np.all(np.isfinite(error)) and np.all(np.abs(off) < 4 * error), (name, off, error)
    if model in COMPONENTS:
        total = -2.5 * np.log10(
            sum(10 ** (-0.4 * np.asarray(table[f"{part}mag"])) for part in COMPONENTS[model])
        )
        np.testing.assert_allclose(table["mag"], total)
        assert np.all(table["mag_err"] < 0.1) and (
            "bt" not in table.colnames or np.all(table["bt_err"] < 0.2)
        )


def test_a_tilted_sky_is_recovered_at_the_centre_of_the_image():
    images, sigma, psf, truth = simulate("exponential", MODELS["exponential"], sky_dx=0.2, sky_dy=-0.1)
    settings = dict(sigma=sigma, psf=psf, model="exponential", zeropoint=25.0, segment="none")
    flat, tilted = autogal.fit(images, **settings), autogal.fit(images, **settings, **{"model.sky": "tilted"})
    for name in ("sky", "sky_dx", "sky_dy", "mag", "r_eff"):
        assert np.all(np.abs(tilted.table[name] - truth[name]) < 4 * tilted.table[f"{name}_err"]), name
    assert np.all(tilted.table["chi2_dof"] + 0.05 < flat.table["chi2_dof"])
    assert np.std(tilted.residual(0) / sigma[0]) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"model.fixed.sky": 20.0},
        {"model.fixed.sky_dx": 0.03, "model.priors.sky": {"normal": [20.0, 0.5]}},
    ],
)
def test_a_tilted_sky_is_that_of_the_whole_field(said, monkeypatch):
    """Of which a window is fitted, with a neighbour, off the centre."""
    monkeypatch.setattr(frame, "_LARGEST", 150)
    monkeypatch.setattr(frame, "_SMALLEST", 64)
    psf, plane = moffat(2.8, 3.5, size=25), {"sky": 20.0, "sky_dx": 0.03, "sky_dy": -0.02}
    truth = {"x": 150.3, "y": 48.8, "mag": 13.0, "r_eff": 3.0, "n": 1.0, "q": 0.6, "pa": 30.0} | plane
    table = {
        name: [value, other]
        for (name, value), other in zip(truth.items(), [162.0, 56.0, 14.5, 2.0, 1.0, 0.9, 0.0, 0.0, 0.0, 0.0])
    }
    clean = autogal.render(table, psf=psf, shape=(200, 210), zeropoint=25.0).sum(0)
    sigma = np.sqrt(clean + 5.0)
    image = clean + sigma * np.random.default_rng(3).normal(size=clean.shape)
    given = dict(
        sigma=sigma[None],
        psf=psf,
        zeropoint=25.0,
        start={"x": [150.0], "y": [49.0]},
        neighbours="fit",
        threads=1,
    )
    catalogue = autogal.fit(image[None], **given, **{"model.sky": "tilted"}, **said)
    row = catalogue.table[0]
    assert row["status"] == "converged"
    assert (
        "1 neighbour was fitted together" in row["message"]
        and "pixels around it were fitted" in row["message"]
    )
    for name, value in truth.items():
        if f"model.fixed.{name}" in said:
            assert row[name] == pytest.approx(value, abs=1e-9) and np.isnan(row[f"{name}_err"])
        else:
            assert abs(row[name] - value) < 4 * row[f"{name}_err"], name


@pytest.mark.parametrize(("model", "options", "contour"), [
    ("sersic", {"model.boxiness": True}, dict(n=[1.0, 2.0, 1.5], c0=[-0.4, 0.5, 0.2])),
    ("exponential", {"model.fourier": [1, 3]},
     dict(am1=[0.2, 0.1, 0.15], pm1=[-100.0, 20.0, 170.0], am3=[0.08, 0.05, 0.1], pm3=[-50.0, 0.0, 40.0])),
])  # fmt: skip
def test_boxy_and_lopsided_galaxies_are_recovered(model, options, contour):
    images, sigma, psf, truth = simulate(model, dict(ROUND, r_eff=[6.0, 8.0, 5.0], **PLACE, **contour))
    settings = dict(sigma=sigma, psf=psf, model=model, zeropoint=25.0, segment="none")
    fitted = autogal.fit(images, **settings, **options)
    assert list(fitted.table["status"]) == ["converged"] * N
    for name in ("mag", "r_eff", "q", "sky", *contour):
        off = np.asarray(fitted.table[name] - truth[name], float)
        if name.startswith("pm"):
            off -= 360 / int(name[2:]) * np.round(off * int(name[2:]) / 360)
        error = np.asarray(fitted.table[f"{name}_err"], float)
        assert np.all(np.isfinite(error)) and np.all(np.abs(off) < 4 * error), (name, off, error)
    assert "mu_e_mean" not in fitted.table.colnames and np.std(
        fitted.residual(0) / sigma[0]
    ) == pytest.approx(1, abs=0.05)
    plain = autogal.fit(images, **settings)
    assert np.all(plain.table["chi2_dof"] > fitted.table["chi2_dof"])


def test_an_ellipse_has_no_amplitude_and_a_phase_known_no_better_than_not_at_all():
    images, sigma, psf, _ = simulate("exponential", dict(ROUND, r_eff=[6.0, 8.0, 5.0], **PLACE))
    table = autogal.fit(
        images,
        sigma=sigma,
        psf=psf,
        model="exponential",
        zeropoint=25.0,
        segment="none",
        **{"model.fourier": [3]},
    ).table
    assert list(table["status"]) == ["converged"] * N
    assert np.all(table["am3"] < 4 * table["am3_err"]) and np.all(
        table["pm3_err"] <= 120 / np.sqrt(12) + 1e-9
    )


def test_a_truncated_disk_is_recovered():
    truth = dict(ROUND, r_eff=[6.0, 8.0, 5.0], r_trunc=[10.0, 13.0, 9.0], softness=[0.2, 0.2, 0.3], **PLACE)
    images, sigma, psf, table = simulate("exponential", truth)
    fitted = autogal.fit(
        images,
        sigma=sigma,
        psf=psf,
        model="exponential",
        zeropoint=25.0,
        segment="none",
        **{"model.truncation": True},
    )
    assert list(fitted.table["status"]) == ["converged"] * N
    for name in ("mag", "r_eff", "r_trunc", "softness", "q", "sky"):
        assert np.all(np.abs(fitted.table[name] - table[name]) < 4 * fitted.table[f"{name}_err"]), name
    assert "mu_e_mean" not in fitted.table.colnames and np.std(
        fitted.residual(0) / sigma[0]
    ) == pytest.approx(1, abs=0.05)


def test_a_truncation_of_a_galaxy_that_has_none_loses_neither_its_light_nor_its_sky():
    psf, rng = moffat(2.8, 3.5, size=41), np.random.default_rng(9)
    clean = autogal.render(
        dict(x=[36.3], y=[35.8], mag=[14.0], r_eff=[6.0], n=[2.5], q=[0.65], pa=[36.0]),
        psf=psf,
        shape=(72, 72),
        zeropoint=25.0,
    )[0]
    sigma = np.sqrt(clean + 32.0)
    images = clean + 2.0 + sigma * rng.normal(size=(8, 72, 72))
    fitted = autogal.fit(
        images, sigma=sigma, psf=psf, zeropoint=25.0, segment="none", **{"model.truncation": True}
    ).table
    assert set(fitted["status"]) == {"converged"} and not any(
        "SKY_FIXED" in names for names in fitted["flag_names"]
    )
    assert np.all(np.abs(fitted["mag"] - 14.0) < 0.25)
