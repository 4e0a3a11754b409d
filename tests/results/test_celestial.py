"""Sky positions and angles, against astropy's own coordinates."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import Angle, SkyCoord
from astropy.wcs import WCS, Sip

from autogal.results.build import build_table
from autogal.results.celestial import local_sky, position_angle, scale_along

from .scenes import make_cutout, make_fit, sky_wcs

X, Y = 12.3, 47.9


def expected_angle(wcs, pa, step=0.1):
    """Position angle from one sky coordinate to another along the major axis."""
    dx, dy = -np.sin(np.deg2rad(pa)) * step, np.cos(np.deg2rad(pa)) * step
    start, end = (wcs.pixel_to_world(X + k * dx, Y + k * dy).icrs for k in (0, 1))
    return start.position_angle(end).deg % 180


def assert_same_axis(one, other, within=1e-3):
    assert abs((one - other + 90) % 180 - 90) < within, (one, other)


@pytest.mark.parametrize("rotation", [0, 17, 90, 135, 180, 251.5])
@pytest.mark.parametrize("flip", [True, False], ids=["east left", "east right"])
@pytest.mark.parametrize("pa", [0.0, 33.0, 90.0, 179.5])
def test_position_angle_on_the_sky(rotation, flip, pa):
    wcs = sky_wcs(rotation, flip)
    _, _, jacobian = local_sky(wcs, X, Y)
    angle, error = position_angle(jacobian, pa, 2.0)
    assert 0 <= angle < 180
    assert_same_axis(angle, expected_angle(wcs, pa))
    assert error == pytest.approx(2.0, rel=1e-6)


def test_position_angle_in_plain_words():
    """North up, east left: the same angle. Mirrored: the other way round. Turned: it turns."""
    assert_same_axis(position_angle(local_sky(sky_wcs(), 30, 25)[2], 30)[0], 30)
    assert_same_axis(position_angle(local_sky(sky_wcs(flip=False), 30, 25)[2], 30)[0], 150)
    upside_down = sky_wcs(rotation=90)
    north = upside_down.wcs.cd[1] / np.linalg.norm(upside_down.wcs.cd[1])
    to_north = np.rad2deg(np.arctan2(-north[0], north[1])) % 180
    assert_same_axis(position_angle(local_sky(upside_down, 30, 25)[2], to_north)[0], 0)


@pytest.mark.parametrize(
    ("ra", "dec"), [(150, 2), (359.9999, -30), (0.00001, 60), (45, 89.9995), (200, -89.999)]
)
def test_coordinates_near_the_wrap_and_the_poles(ra, dec):
    wcs = sky_wcs(rotation=23, ra=ra, dec=dec)
    got_ra, got_dec, jacobian = local_sky(wcs, X, Y)
    there = wcs.pixel_to_world(X, Y).icrs
    assert SkyCoord(got_ra * u.deg, got_dec * u.deg).separation(there).arcsec < 1e-6
    assert 0 <= got_ra < 360
    assert_same_axis(position_angle(jacobian, 62)[0], expected_angle(wcs, 62), within=0.02)
    assert abs(np.linalg.det(jacobian)) == pytest.approx(0.25, rel=1e-4)


def test_pixels_that_are_not_square():
    wcs = sky_wcs()
    wcs.wcs.cd = np.diag([-0.2, 0.6]) / 3600
    wcs.wcs.set()
    _, _, jacobian = local_sky(wcs, X, Y)
    angle, error = position_angle(jacobian, 40.0, 0.01)
    assert_same_axis(angle, expected_angle(wcs, 40.0))
    slope = (expected_angle(wcs, 40.05) - expected_angle(wcs, 39.95)) / 0.1
    assert error == pytest.approx(abs(slope) * 0.01, rel=1e-3)


@pytest.mark.parametrize(
    "ctype", [("GLON-TAN", "GLAT-TAN"), ("DEC--TAN", "RA---TAN")], ids=["galactic", "swapped"]
)
def test_other_frames_and_axis_orders(ctype):
    wcs = sky_wcs(rotation=10, ctype=ctype, ra=20.0, dec=10.0)
    ra, dec, jacobian = local_sky(wcs, X, Y)
    there = wcs.pixel_to_world(X, Y).icrs
    assert SkyCoord(ra * u.deg, dec * u.deg).separation(there).arcsec < 1e-6
    assert_same_axis(position_angle(jacobian, 77)[0], expected_angle(wcs, 77))


def test_old_equinox_is_precessed():
    wcs = sky_wcs()
    wcs.wcs.radesys, wcs.wcs.equinox = "FK4", 1950.0
    wcs.wcs.set()
    ra, _, _ = local_sky(wcs, X, Y)
    assert ra == pytest.approx(wcs.pixel_to_world(X, Y).icrs.ra.deg, abs=1e-9)
    assert abs(ra - 150) > 0.5


def test_extra_axes_are_dropped():
    cube = WCS(naxis=3)
    cube.wcs.ctype = "RA---TAN", "DEC--TAN", "FREQ"
    cube.wcs.crval, cube.wcs.crpix, cube.wcs.cdelt = (
        (150, 2, 1e9),
        (31, 26, 1),
        (-0.5 / 3600, 0.5 / 3600, 1e6),
    )
    assert local_sky(cube, X, Y)[:2] == pytest.approx(local_sky(sky_wcs(), X, Y)[:2], abs=1e-10)


def test_no_celestial_solution_is_nan():
    linear = WCS(naxis=2)
    for wcs, x in [(None, X), (linear, X), (sky_wcs(), np.nan)]:
        ra, dec, jacobian = local_sky(wcs, x, Y)
        assert np.isnan([ra, dec, *jacobian.ravel(), *position_angle(jacobian, 10, 1)]).all()


def test_the_wcs_is_not_changed():
    wcs = sky_wcs(rotation=12)
    before = wcs.to_header_string()
    local_sky(wcs, X, Y)
    assert wcs.to_header_string() == before
    assert Angle(wcs.wcs.crval[0] * u.deg).deg == 150


def distorted_wcs(kind):
    """A camera whose pixels are neither square nor of one size, far from its reference point."""
    wcs = sky_wcs(rotation=31)
    if kind == "not square":
        wcs.wcs.cd = wcs.wcs.cd @ np.diag([1.3, 0.8])
    elif kind == "sheared":
        wcs.wcs.cd = wcs.wcs.cd @ np.array([[1.0, 0.2], [0.0, 0.9]])
    elif kind == "SIP":
        wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
        a, b = np.zeros((3, 3)), np.zeros((3, 3))
        a[2, 0], a[1, 1], b[0, 2] = 3e-5, -2e-5, 4e-5
        wcs.sip = Sip(a, b, None, None, wcs.wcs.crpix)
        wcs.wcs.crpix = wcs.wcs.crpix + (1500, -900)
        wcs.sip = Sip(a, b, None, None, wcs.wcs.crpix)
    else:
        header = wcs.to_header()
        header["CTYPE1"], header["CTYPE2"], header["PV1_1"], header["PV2_1"] = (
            "RA---TPV",
            "DEC--TPV",
            1.08,
            0.93,
        )
        wcs = WCS(header)
    return wcs


@pytest.mark.parametrize("kind", ["not square", "sheared", "SIP", "TPV"])
@pytest.mark.parametrize("pa", [0.0, 25.0, 70.0, 140.0])
def test_scale_along_the_major_axis(kind, pa):
    wcs = distorted_wcs(kind)
    scale, slope = scale_along(local_sky(wcs, X, Y)[2], pa)

    def measured(angle, step=0.5):
        dx, dy = -np.sin(np.deg2rad(angle)) * step, np.cos(np.deg2rad(angle)) * step
        return wcs.pixel_to_world(X - dx, Y - dy).separation(wcs.pixel_to_world(X + dx, Y + dy)).arcsec / (
            2 * step
        )

    assert scale == pytest.approx(measured(pa), rel=1e-5)
    assert slope == pytest.approx((measured(pa + 0.5) - measured(pa - 0.5)), rel=1e-2, abs=1e-6)


@pytest.mark.parametrize("kind", ["not square", "sheared", "SIP", "TPV"])
def test_sizes_in_arcsec_follow_the_local_scale(kind):
    wcs = distorted_wcs(kind)
    facts = {"wcs": wcs, "pixel_scale": 0.5}
    cutouts = [make_cutout("local", wcs_scale=True, **facts), make_cutout("given", **facts)]
    local, given = build_table(cutouts, make_fit(2))
    jacobian = local_sky(wcs, local["x"], local["y"])[2]
    along, area = scale_along(jacobian, local["pa"])[0], np.sqrt(abs(np.linalg.det(jacobian)))
    assert local["r_eff_arcsec"] == pytest.approx(local["r_eff"] * along, rel=1e-9)
    # The error of the angle turns the axis into another scale.
    turned = local["r_eff"] * abs(scale_along(jacobian, local["pa"])[1]) * local["pa_err"]
    alone = local["r_eff_err"] * along
    assert abs(alone - turned) * 0.999 <= local["r_eff_arcsec_err"] <= (alone + turned) * 1.001
    assert local["mu_e_mean"] - given["mu_e_mean"] == pytest.approx(5 * np.log10(area / 0.5), abs=1e-9)
    # A scale that the user gives holds everywhere.
    assert given["r_eff_arcsec"] == pytest.approx(0.5 * given["r_eff"]) and given[
        "r_eff_arcsec_err"
    ] == pytest.approx(0.5 * given["r_eff_err"])
