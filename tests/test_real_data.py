"""The comparison with published parameters, and what the fits of real images must keep up."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from autogal.configuration.composing import compose
from autogal.flags import Flag
from autogal.run.job import run

spec = importlib.util.spec_from_file_location(
    "real_data", Path(__file__).resolve().parents[1] / "scripts" / "real_data.py"
)
real_data = importlib.util.module_from_spec(spec)
spec.loader.exec_module(real_data)

PUBLISHED = ("pub_mag", "pub_re_arcsec", "pub_n", "pub_q", "pub_pa_deg")


def test_a_good_fit_converged_without_reservation():
    table = Table({
        "status": ["converged", "converged", "not_converged", "converged"],
        "flags": [0, int(Flag.EDGE | Flag.SIGMA_ESTIMATED), 0, int(Flag.PSF_CORRECTED | Flag.BLENDED)],
    })  # fmt: skip
    assert real_data.good(table).tolist() == [True, False, False, True]


def test_position_angles_differ_by_90_degrees_at_most():
    np.testing.assert_allclose(real_data.angle(np.array([175, -175, 30, 90, 355.0])), [-5, 5, 30, -90, -5])


def test_without_a_zero_point_magnitudes_compare_with_nothing():
    table = Table(
        {
            "mag": [20.0, 20.0],
            "r_eff": [5.0, 5.0],
            "n": [1.0, 2.0],
            "q": [0.5, 0.5],
            "pa": [179.0, 10.0],
            "flags": [0, int(Flag.ZEROPOINT_DEFAULT)],
        }
    )
    index = Table(
        {
            "pub_mag": [19.9, 19.9],
            "pub_re_arcsec": [2.0, 2.0],
            "pub_n": [1.0, 1.0],
            "pub_q": [0.4, 0.95],
            "pub_pa_deg": [1.0, 0.0],
            "cat_mag": [20.1, 20.1],
            "pixscale_arcsec": [0.4, 0.2],
        }
    )
    found = real_data.compare(table, index)
    assert (
        found["d_mag"][0] == pytest.approx(0.1)
        and np.isnan(found["d_mag"][1])
        and np.isnan(found["d_cat_mag"][1])
    )
    assert list(found["r_eff"]) == pytest.approx([1.0, 0.5]) and list(found["n"]) == pytest.approx([1, 2])
    assert found["d_pa"][0] == pytest.approx(-2) and np.isnan(found["d_pa"][1]), (
        "a round galaxy has no position angle"
    )


@pytest.mark.parametrize("survey, largest", [
    # difference in mag, log10 r_eff, log10 n, q, pa of every image, one object left out
    ("sdss_r_dr7", (0.2, 0.16, 0.12, 0.05, 5)),
    ("hst_acs_goods_galfit", (0.1, 0.05, 0.1, 0.05, 5)),
    ("decals_dr9", (np.inf, 0.05, 0.05, 0.02, np.inf)),
    ("kids_r_gama", (0.1, 0.06, 0.3, 0.03, 2)),
])  # fmt: skip
def test_fits_of_real_images_agree_with_published_ones(shared_data, tmp_path, survey, largest):
    index = Table.read(shared_data / "INDEX.csv", format="ascii.csv")
    index = index[[str(image).startswith(f"{survey}/") for image in index["image"]]]
    for name in ("image", "psf", "sigma", "mask"):
        index[name] = [
            str(shared_data / str(file)) if str(file) not in ("", "--") else "" for file in index[name]
        ]
    index.write(tmp_path / "index.csv", format="ascii.csv")
    table = run(
        compose("fit", [f"out={tmp_path / 'out'}", "objects.png=false", "objects.fits=false", "device=cpu"]),
        [str(tmp_path / "index.csv")],
    ).table
    assert set(table["status"]) == {"converged"}
    found = real_data.compare(table, index)
    for values, limit in zip(
        (found["d_mag"], np.log10(found["r_eff"]), np.log10(found["n"]), found["d_q"], found["d_pa"]), largest
    ):
        known = np.abs(values)[np.isfinite(values)]
        assert known.size or not np.isfinite(limit), "nothing was compared"
        assert (known <= limit).all(), values
