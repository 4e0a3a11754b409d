"""Names of columns: taken, named as unused, or an error with the right name."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

import autogal
from autogal.errors import AutogalError
from autogal.images import find_entries
from autogal.images.column_names import FACTS, FILES, SKY, START, known_columns

KNOWN = ("id", "image", *FILES, *FACTS, *START, *SKY)


@pytest.mark.parametrize(
    "name, right",
    [
        ("zeropiont", "zeropoint"),
        ("zeropoin", "zeropoint"),
        ("zropoint", "zeropoint"),
        ("pixelscal", "pixel_scale"),
        ("pixle_scale", "pixel_scale"),
        ("pixscael", "pixel_scale"),
        ("imgae", "image"),
        ("gian", "gain"),
        ("simga", "sigma"),
        ("siigma", "sigma"),
        ("psfs", "psf"),
        ("psff", "psf"),
        ("psf_file", "psf"),
        ("sigm", "sigma"),
        ("sigma_path", "sigma"),
        ("masks", "mask"),
        ("pixlescal", "pixel_scale"),
        ("x_taget", "x"),
        ("declinaton", "dec"),
        ("right_ascention", "ra"),
        ("flxu", "flux"),
        ("msak", "mask"),
        ("delta_j200", "dec"),
    ],
)
def test_a_slip_is_an_error_with_the_right_name(name, right):
    names = ["file", name] if right == "image" else ["image", name]
    with pytest.raises(AutogalError) as caught:
        known_columns(names, KNOWN, "m.csv")
    assert name in caught.value.what and f"Did you mean {right}?" in caught.value.remedy


@pytest.mark.parametrize(
    "name",
    [
        "mass",
        "main",
        "imag",
        "gmag",
        "fluxr",
        "flux_r",
        "mag_err",
        "ra_err",
        "band",
        "survey",
        "pub_mag",
        "cat_mag",
        "pub_q",
        "pub_pa_deg",
        "notes",
        "bulge_mag",
        "disk_r_eff",
        "flags",
        "status",
        "snr",
        "chi2_dof",
        "psf_fwhm_pix",
        "psf_sum",
        "x_err",
        "redshift",
        "z",
        "nx",
        "ny",
        "e1",
        "task",
        "segmap",
        "origin",
        "units",
        "object",
        "name",
        "sky_in_image",
        "MAG_AUTO",
        "X_IMAGE",
        "CLASS_STAR",
        "max",
        "pos",
        "field",
        "tile",
        "filter",
        "scale",
        "magzpt",
        "r_eef",
    ],
)
def test_another_word_is_no_slip(name):
    assert known_columns(["image", name], KNOWN, "m.csv") == ({"image": 0}, [name])


@pytest.mark.parametrize(
    "name, key",
    [
        ("RA", "ra"),
        ("ALPHA_J2000", "ra"),
        ("DELTA_J2000", "dec"),
        ("RAJ2000", "ra"),
        ("DEJ2000", "dec"),
        ("ra_deg", "ra"),
        ("Dec", "dec"),
        ("coord_ra", "ra"),
        ("right_ascension", "ra"),
        ("Zero Point", "zeropoint"),
        ("pixel-scale", "pixel_scale"),
        ("reff", "r_eff"),
        ("R_EFF", "r_eff"),
        ("objectId", "id"),
        ("y_target", "y"),
        ("MAGZP", "zeropoint"),
    ],
)
def test_other_spellings_of_a_name(name, key):
    assert known_columns(["image", name], KNOWN, "m.csv") == ({"image": 0, key: 1}, [])


def test_the_name_itself_comes_first_and_what_is_given_is_no_slip():
    found, left = known_columns(["ALPHA_J2000", "ra", "zeropiont", "zeropoint", "image"], KNOWN, "m.csv")
    assert found["ra"] == 1 and found["zeropoint"] == 3 and left == ["zeropiont"]


def test_unknown_columns_are_named_once_as_a_warning(tmp_path, caplog):
    fits.writeto(tmp_path / "a.fits", np.ones((4, 4)))
    (tmp_path / "m.csv").write_text("image,band,redshift,mass\na.fits,r,0.1,3\na.fits,g,0.1,3\n")
    with caplog.at_level("WARNING"):
        find_entries([str(tmp_path / "m.csv")])
    assert [record.getMessage() for record in caplog.records if "not used" in record.getMessage()] == [
        f"Columns of {tmp_path / 'm.csv'} that are not used: band, redshift, mass."
    ]
    (tmp_path / "m.csv").write_text("image,zeropiont\na.fits,25\n")
    with pytest.raises(AutogalError, match="zeropiont"):
        find_entries([str(tmp_path / "m.csv")])


def test_real_manifests_are_no_slips(shared_data, caplog):
    with caplog.at_level("WARNING"):
        assert len(find_entries([str(shared_data / "INDEX.csv")])) > 100
    assert "that are not used: survey, instrument, band" in caplog.text


def test_slips_in_a_start_table(caplog):
    images = np.random.default_rng(0).normal(0, 1, (1, 40, 40))
    with pytest.raises(AutogalError, match="flxu"):
        autogal.fit(images, start=Table({"x": [20.0], "y": [20.0], "flxu": [18.0]}))
    with caplog.at_level("WARNING"):
        autogal.fit(
            images,
            start=Table({"X": [20.0], "Y": [20.0], "redshift": [0.1]}),
            initialise="moments",
            segment="sep",
        )
    assert "start table that are not used: redshift" in caplog.text


@pytest.mark.parametrize(
    "cell, seen",
    [
        (b"caf\xc3\xa9", "café"),
        (b"caf\xe9", "caf\ufffd"),
        ("a\x1b[2Jb", "a\ufffd[2Jb"),
        ("a\x00b", "a\ufffdb"),
    ],
)
def test_ids_of_any_bytes(tmp_path, cell, seen):
    import pyarrow
    import pyarrow.parquet

    fits.writeto(tmp_path / "a.fits", np.ones((4, 4)))
    cell = cell if isinstance(cell, bytes) else cell.encode()
    text = (
        pyarrow.array([cell, b"b"], pyarrow.binary()).cast(pyarrow.string(), safe=False)
        if cell != b"caf\xe9"
        else pyarrow.StringArray.from_buffers(
            2, pyarrow.py_buffer(np_offsets([0, 4, 5])), pyarrow.py_buffer(b"caf\xe9b")
        )
    )
    pyarrow.parquet.write_table(
        pyarrow.table({"id": text, "image": ["a.fits", "a.fits"]}), tmp_path / "m.parquet"
    )
    assert [entry.id for entry in find_entries([str(tmp_path / "m.parquet")])] == [seen, "b"]


def np_offsets(values):
    return np.array(values, np.int32).tobytes()
