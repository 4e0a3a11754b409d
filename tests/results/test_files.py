"""Catalogues on disk."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from omegaconf import OmegaConf

from autogal.errors import AutogalError
from autogal.results import Catalogue, read_catalogue, write_catalogue

from .scenes import PARAMETERS, make_cutout, make_fit, sky_wcs

FORMATS = ["fits", "ecsv", "parquet"]
SETTINGS = {"seed": 0, "psf": {"path": None, "kind": "effective"}, "bounds": {"n": [0.2, 10]}, "empty": {}}


@pytest.fixture
def catalogue():
    """Names of every kind, a WCS on one of them, one failed."""
    ids = ["plain", "a b=1.fits[SCI,1]", "Å–星", "", "  spaces  ", "quote\"s, 'n' commas"]
    cutouts = [
        make_cutout(id, path=f"/data/{id}", wcs=sky_wcs() if k == 0 else None) for k, id in enumerate(ids)
    ]
    cutouts[1].fail("It is\nnot a FITS file.")
    return Catalogue.from_fitted(cutouts, make_fit(len(ids)), settings=SETTINGS)


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_written_is_what_is_read(catalogue, tmp_path, format):
    path = catalogue.write(tmp_path, format)
    assert path == tmp_path / f"catalogue.{format}"
    again = Catalogue.read(path)
    assert again.parameters == PARAMETERS and again.model == "sersic" and again.settings == SETTINGS
    np.testing.assert_array_equal(again.covariance, catalogue.covariance)
    assert again.table.colnames == catalogue.table.colnames
    for name in catalogue.table.colnames:
        one, other = catalogue.table[name], again.table[name]
        assert one.unit == other.unit and one.description == other.description
        assert one.dtype.kind == other.dtype.kind and other.dtype.isnative, name
        # FITS and ECSV do not keep blanks around a text.
        strip = np.char.strip if one.dtype.kind == "U" else np.asarray
        np.testing.assert_array_equal(strip(one), strip(other), err_msg=name)
    assert [p.name for p in tmp_path.iterdir()] == [path.name], "no temporary file may stay"


@pytest.mark.parametrize("format", FORMATS)
def test_an_empty_catalogue_keeps_its_columns(tmp_path, format):
    empty = Catalogue.from_fitted([], make_fit(0))
    again = Catalogue.read(empty.write(tmp_path / f"none.{format}"))
    assert len(again) == 0 and again.table.colnames == empty.table.colnames
    assert again.covariance.shape == (0, 8, 8)


def test_a_configuration_of_omegaconf_is_written_resolved(tmp_path):
    settings = OmegaConf.create({"out": "run1", "log": "${out}/autogal.log", "sizes": [1, 2]})
    one = Catalogue.from_fitted([make_cutout()], make_fit(1), settings=settings)
    for format in FORMATS:
        again = Catalogue.read(one.write(tmp_path, format))
        assert again.settings == {"out": "run1", "log": "run1/autogal.log", "sizes": [1, 2]}


@pytest.mark.filterwarnings("error")
def test_the_fits_file_is_standard_and_astropy_reads_it_quietly(catalogue, tmp_path):
    path = catalogue.write(tmp_path)
    with fits.open(path) as hdus:
        hdus.verify("exception")
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "CATALOGUE", "COVARIANCE", "CONFIG"]
        assert [hdus["COVARIANCE"].header[f"PAR{k}"] for k in range(1, 9)] == list(PARAMETERS)
        assert hdus[0].header["CREATOR"].startswith("autogal")
        assert not [card for hdu in hdus for card in hdu.header.cards if card.keyword.startswith("HIERARCH")]
        header = hdus["CATALOGUE"].header
        assert header["TCOMM3"].startswith("Centre along the columns") and header["TUNIT3"] == "pix"
    table = Table.read(path)
    assert table["id"][2] == "Å–星" and table["r_eff_arcsec"].unit == "arcsec"


def test_ecsv_and_parquet_are_read_by_others(catalogue, tmp_path):
    table = Table.read(catalogue.write(tmp_path, "ecsv"))
    assert table["covariance"].shape == (6, 8, 8) and table["pa"].unit == "deg" and table["pa"].description
    from pyarrow import parquet

    arrow = parquet.read_table(catalogue.write(tmp_path, "parquet"))
    assert arrow.num_rows == 6 and arrow["mag"][0].as_py() == catalogue.table["mag"][0]


def test_the_ending_or_the_word_chooses_the_format(catalogue, tmp_path):
    assert catalogue.write(tmp_path / "a.parquet").suffix == ".parquet"
    assert catalogue.write(tmp_path / "new" / "folder") == tmp_path / "new" / "folder" / "catalogue.fits"
    with fits.open(catalogue.write(tmp_path / "odd.dat", "fits")) as hdus:
        assert "CATALOGUE" in hdus
    for path, format in [(tmp_path, "csv"), (tmp_path / "a.txt", None)]:
        with pytest.raises(AutogalError, match="no catalogue format") as caught:
            catalogue.write(path, format)
        assert "fits, ecsv, parquet" in caught.value.remedy


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_that_is_no_catalogue_is_one_clear_error(tmp_path, format):
    path = tmp_path / f"a.{format}"
    with pytest.raises(AutogalError, match="There is no catalogue"):
        read_catalogue(path)
    path.write_bytes(b"not a table at all\n")
    with pytest.raises(AutogalError, match="is not a catalogue of autogal"):
        read_catalogue(path)
    Table({"a": [1]}).write(path, format={"ecsv": "ascii.ecsv"}.get(format, format), overwrite=True)
    with pytest.raises(AutogalError, match="is not a catalogue of autogal"):
        read_catalogue(path)


def test_a_failing_writer_leaves_the_old_file(catalogue, tmp_path, monkeypatch):
    path = catalogue.write(tmp_path)
    before = path.read_bytes()
    monkeypatch.setattr(fits.HDUList, "writeto", lambda hdus, name: (name.write_bytes(b"half"), 1 / 0))
    with pytest.raises(ZeroDivisionError):
        write_catalogue(catalogue, tmp_path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
