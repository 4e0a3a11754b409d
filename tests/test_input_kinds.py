"""Fits of images whose files mislead: what comes out is what went in, or is as uncertain as it says."""

import numpy as np
import pytest
from astropy.io import fits

import autogal
from autogal.flags import Flag

# File, options, right values, and the largest errors that these may have: of the scene without what misleads
KINDS = [
    ("01-zero-borders/s0_p30", {}, {"r_eff": 7.06, "mag": 16.89}, {"r_eff": 0.65, "mag": 0.065}),
    ("01-zero-borders/s50_p10", {}, {"r_eff": 7.06, "mag": 16.89}, {"r_eff": 0.65, "mag": 0.065}),
    ("01-zero-borders/s50_p30", {}, {"r_eff": 7.06, "mag": 16.89}, {"r_eff": 0.65, "mag": 0.065}),
    (
        "02-psf-scale/r12_n1.5_x4",
        {},
        {"r_eff": 12.0, "q": 0.6, "n": 1.5},
        {"r_eff": 0.9, "q": 0.04, "n": 0.15},
    ),
    ("03-magzpt-per-second/casu", {}, {"mag": 17.0}, {"mag": 0.05}),
    ("04-pixar/jwst_pixar", {}, {"mag": 17.0}, {"mag": 0.05}),
    (
        "05-asinh-pixels/asinh",
        {"zeropoint": 32.5},
        {"mag": 17.0, "r_eff": 8.0, "n": 2.0},
        {"mag": 2e-3, "r_eff": 0.02, "n": 0.01},
    ),
    ("13-sentinels/sentinel_border_-99", {}, {"n": 1.5}, {"n": 0.03}),
    ("13-sentinels/blank_float_header", {}, {"mag": 15.0, "n": 1.5}, {"mag": 0.01, "n": 0.03}),
    ("13-sentinels/border_-1e+30", {}, {"mag": 15.0, "n": 1.5}, {"mag": 0.01, "n": 0.03}),
    ("14-local-scale/corner01", {}, {"r_eff_arcsec": 0.2766}, {"r_eff_arcsec": 6e-4}),
    ("17-gain-of-camera/cps_nobunit", {}, {"r_eff": 6.0, "n": 1.5}, {"r_eff": 0.005, "n": 0.003}),
]


@pytest.mark.parametrize("file, options, right, errors", KINDS, ids=[kind[0] for kind in KINDS])
def test_drawn_after_reports(shared_data, file, options, right, errors):
    image = shared_data / "faults" / f"{file}.fits"
    if not image.is_file():
        pytest.skip(f"{image} is missing")
    row = autogal.fit(str(image), **options).table[0]
    assert row["status"] == "converged" and not Flag(int(row["flags"])) & (Flag.BAD_INPUT | Flag.POOR_FIT)
    for name, value in right.items():
        assert abs(row[name] - value) < 3 * row[f"{name}_err"] and row[f"{name}_err"] < errors[name], name


def test_a_fine_psf_and_an_empty_corner_at_once(tmp_path, write_galaxy):
    """A PSF of another sampling, no word of it but its scale, and a third of the image without exposure,
    in another unit."""
    write_galaxy(tmp_path / "a.fits")
    y, x = np.mgrid[-45:46, -45:46] / 3.0  # three samples a pixel
    star = (1 + (x**2 + y**2) / 2.3**2) ** -3.0
    image = fits.getdata(tmp_path / "a.fits")
    rows, columns = np.indices(image.shape)
    image = np.where(rows + columns < 40, 0.0, image / 30.0).astype(np.float32)
    scale = {"PIXSCALE": 0.21, "MAGZPT": 25.0, "EXPTIME": 30.0, "BUNIT": "ADU/s"}
    fits.writeto(tmp_path / "a.fits", image, fits.Header(scale), overwrite=True)
    fits.writeto(tmp_path / "a_psf.fits", star, fits.Header({"PIXELSCL": 0.07}))
    row = autogal.fit(str(tmp_path / "a.fits")).table[0]
    right = {"mag": 18.0 + 2.5 * np.log10(30.0), "r_eff": 5.0, "n": 1.5, "q": 0.7, "r_eff_arcsec": 1.05}
    for name, value in right.items():
        assert abs(row[name] - value) < 3.5 * row[f"{name}_err"] + 0.002 * value, name
    assert "3 a pixel" in row["message"] and "hold no measurement" in row["message"]
