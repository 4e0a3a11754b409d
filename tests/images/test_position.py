"""A target named by its place on the sky is found in the image, whatever its WCS."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from autogal.errors import AutogalError
from autogal.images import find_entries, from_arrays, load
from autogal.images.position import pixel_of, sky_angle


def header(
    projection="TAN",
    centre=(150.3, 2.2),
    turn=20.0,
    scale=0.4,
    frame="ICRS",
    names=("RA", "DEC"),
    sip=False,
    shape=(60, 80),
):
    angle, step = np.radians(turn), scale / 3600
    out = fits.Header(
        {
            "CTYPE1": f"{names[0]:-<4}-{projection}" + ("-SIP" if sip else ""),
            "CTYPE2": f"{names[1]:-<4}-{projection}" + ("-SIP" if sip else ""),
            "CRVAL1": centre[0],
            "CRVAL2": centre[1],
            "CRPIX1": shape[1] / 2,
            "CRPIX2": shape[0] / 2,
            "CUNIT1": "deg",
            "CUNIT2": "deg",
            "CD1_1": -step * np.cos(angle),
            "CD1_2": step * np.sin(angle),
            "CD2_1": step * np.sin(angle),
            "CD2_2": step * np.cos(angle),
        }
    )
    if names[0] == "RA":
        out["RADESYS"] = frame
    if frame == "FK4":
        out["EQUINOX"] = 1950.0
    if sip:
        out.update({"A_ORDER": 2, "A_2_0": 2e-5, "A_0_2": -1e-5, "B_ORDER": 2, "B_1_1": 3e-5, "B_2_0": 1e-5})
    return out


@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"turn": 200},
        {"projection": "SIN"},
        {"projection": "ZEA"},
        {"centre": (359.99999, -60.0)},
        {"centre": (10.0, 89.95)},
        {"names": ("GLON", "GLAT"), "centre": (120.0, 40.0)},
        {"frame": "FK4"},
        {"frame": "FK5"},
        {"sip": True},
    ],
)
def test_there_and_back(kind):
    wcs = WCS(header(**kind))
    for x, y in ((0, 0), (79, 59), (33.3, 41.7)):
        sky = wcs.pixel_to_world(x, y).icrs
        assert pixel_of(wcs, sky.ra.deg, sky.dec.deg) == pytest.approx(
            (x, y), abs=0.1
        )  # FK5 is taken as ICRS


@pytest.mark.parametrize("projection", ["TAN", "SIN", "ZEA", "ARC", "STG"])
def test_the_other_side_of_the_sky_is_not_in_the_image(projection):
    x, y = pixel_of(WCS(header(projection)), 330.3, -2.2)
    assert not (0 <= x < 80 and 0 <= y < 60)


@pytest.mark.parametrize(
    "text, name, degrees",
    [
        ("150.25", "ra", 150.25),
        ("10:00:00", "ra", 150.0),
        ("10 00 36", "ra", 150.15),
        ("10h01m00s", "ra", 150.25),
        ("150.25d", "ra", 150.25),
        ("-01:30:00", "dec", -1.5),
        ("+2d12m36s", "dec", 2.21),
        ("-0 30 00", "dec", -0.5),
        ("2.5", "dec", 2.5),
    ],
)
def test_angles(text, name, degrees):
    assert sky_angle(text, name) == pytest.approx(degrees, abs=1e-9)


@pytest.mark.parametrize(
    "text, name",
    [("abc", "ra"), ("91", "dec"), ("400", "ra"), ("12:75:00", "ra"), ("inf", "dec"), ("1:2:3:4", "dec")],
)
def test_no_angles(text, name):
    with pytest.raises(AutogalError):
        sky_angle(text, name)


@pytest.fixture
def mosaic(tmp_path):
    image = np.random.default_rng(5).normal(0, 1, (60, 80))
    fits.writeto(tmp_path / "m.fits", image, header())
    fits.writeto(tmp_path / "bare.fits", image)
    return tmp_path, WCS(header())


def loaded(folder, text):
    (folder / "m.csv").write_text(text)
    return [load(entry) for entry in find_entries([str(folder / "m.csv")])]


def test_rows_of_one_image_are_as_many_targets(mosaic):
    folder, wcs = mosaic
    places = [(12.0, 20.0), (60.5, 44.25)]
    sky = [SkyCoord(*wcs.wcs_pix2world([place], 0)[0], unit="deg") for place in places]
    degrees = "\n".join(f"m.fits,{one.ra.deg:.9f},{one.dec.deg:.9f}" for one in sky)
    hours = "\n".join(
        f"m.fits,{one.ra.to_string(u.hour, precision=4)},{one.dec.to_string(precision=3)}" for one in sky
    )
    for text in ("image,ALPHA_J2000,DELTA_J2000\n" + degrees, "image,RA,Dec\n" + hours):
        cutouts = loaded(folder, text)
        for cutout, (x, y) in zip(cutouts, places, strict=True):
            assert cutout.error is None and cutout.start == pytest.approx({"x": x, "y": y}, abs=1e-2)


def test_what_cannot_be_aimed_at_says_why(mosaic, caplog):
    folder, wcs = mosaic
    ra, dec = wcs.wcs_pix2world([[10.0, 30.0]], 0)[0]
    outside, nowhere, half, odd, both, agreeing, bare, placed = loaded(
        folder,
        "image,ra,dec,x,y\n"
        + "\n".join(
            [
                f"m.fits,{ra + 0.05},{dec},,",
                f"m.fits,{(ra + 180) % 360},{-dec},,",
                f"m.fits,{ra},,,",
                f"m.fits,{ra},abc,,",
                f"m.fits,{ra},{dec},40,30",
                f"m.fits,{ra},{dec},10.6,30.5",
                f"bare.fits,{ra},{dec},,",
                f"bare.fits,{ra},{dec},12,13",
            ]
        ),
    )
    assert "outside the image of 80 x 60" in outside.error and "image of 80 x 60" in nowhere.error
    assert "one of the two is missing" in half.error and "not an angle" in odd.error
    assert both.error is None and both.start == pytest.approx({"x": 10.0, "y": 30.0}, abs=1e-3)
    assert any("30.0 pixels apart" in note for note in both.notes) and "30.0 pixels apart" in caplog.text
    assert agreeing.start == {"x": 10.6, "y": 30.5} and not any("apart" in note for note in agreeing.notes)
    assert "no WCS" in bare.error
    assert placed.error is None and placed.start == {"x": 12.0, "y": 13.0}


def test_starts_in_python(mosaic):
    folder, wcs = mosaic
    ra, dec = wcs.wcs_pix2world([[10.0, 30.0]], 0)[0]
    (cutout,) = from_arrays([str(folder / "m.fits")], start={"ra": [ra], "dec": [dec], "n": [2.0]})
    assert cutout.start == pytest.approx({"x": 10.0, "y": 30.0, "n": 2.0}, abs=1e-3)
    images = np.random.default_rng(5).normal(0, 1, (2, 60, 80))
    lost, placed = from_arrays(
        images, start=[{"ra": ra, "dec": dec}, {"ra": np.nan, "dec": np.nan, "x": 3.0, "y": 4.0}]
    )
    assert "no WCS" in lost.error and placed.error is None and placed.start == {"x": 3.0, "y": 4.0}
    bad, fine = from_arrays(images, start=[{"x": "abc"}, {"x": 3.0}])
    assert "'abc'" in bad.error and fine.error is None
