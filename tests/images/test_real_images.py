"""Every image of the shared survey data loads, with the facts that its index states."""

import numpy as np
import pytest
from astropy.table import Table

from autogal.flags import Flag
from autogal.images import Options, find_entries, load


@pytest.fixture(scope="module")
def loaded(shared_data):
    index = Table.read(shared_data / "INDEX.csv")
    entries = find_entries([str(shared_data / "INDEX.csv")])
    small = [i for i, row in enumerate(index) if row["nx"] < 1000]
    return [(index[i], entries[i], load(entries[i])) for i in small]


def test_every_row_is_an_entry(shared_data):
    index = Table.read(shared_data / "INDEX.csv")
    entries = find_entries([str(shared_data / "INDEX.csv")])
    assert len(entries) == len(index) == len({entry.id for entry in entries})
    assert all(entry.image.endswith(row["image"]) for entry, row in zip(entries, index))


def test_every_image_can_be_fitted(loaded):
    for row, _, cutout in loaded:
        assert cutout.error is None, (cutout.id, cutout.error)
        assert cutout.shape == (row["ny"], row["nx"])
        good = ~cutout.mask
        assert good.any() and np.all(np.isfinite(cutout.image[good])) and np.all(cutout.sigma[good] > 0)
        assert cutout.psf.sum() == pytest.approx(1.0) and all(side % 2 for side in cutout.psf.shape)


def test_headers_say_what_the_index_says(loaded):
    """Without the manifest's columns, from the header alone."""
    for row, entry, _ in loaded:
        entry.zeropoint = entry.pixel_scale = entry.gain = None
        cutout = load(entry)
        if row["zp_ab"] is np.ma.masked:
            assert cutout.flags & Flag.ZEROPOINT_DEFAULT, cutout.id
        else:
            assert cutout.zeropoint == pytest.approx(row["zp_ab"], abs=1e-3), cutout.id
        assert cutout.pixel_scale == pytest.approx(row["pixscale_arcsec"], rel=0.01), cutout.id


def test_estimated_scatter_is_that_of_the_sky(loaded):
    ratios = []
    for row, entry, _ in loaded:
        entry.sigma = None
        cutout = load(entry, Options(gain=1e30))  # no photon noise: the scatter alone
        ratios.append(np.median(cutout.sigma) / row["bkg_rms_meas"])
    assert 0.95 < np.median(ratios) < 1.05
    assert np.mean(np.abs(np.log(ratios)) < np.log(1.35)) > 0.97


def test_compressed_field_of_two_thousand_pixels(shared_data):
    entry = find_entries([str(shared_data / "kids_r_field/field_r.fits.fz")])[0]
    cutout = load(entry, Options(pixel_scale=0.2, zeropoint=0.0))
    assert cutout.shape == (2600, 2600) and cutout.error is None and entry.id == "field_r"
