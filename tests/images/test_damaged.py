"""A thousand damaged files: each costs its own row, and no other."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from autogal.configuration.composing import compose
from autogal.errors import AutogalError
from autogal.images import Options, find_entries, load
from autogal.images.header.facts import header_facts
from autogal.run import job

from ..observations import PARAMETERS, ZEROPOINT, observe, random_galaxies
from .damage import CARDS, damaged_files, sound_files


@pytest.fixture(scope="module")
def good():
    return observe(random_galaxies(20, seed=60, shape=(32, 32), r_eff=(1.5, 3.0)), seed=61)


@pytest.fixture(scope="module")
def folder(good, tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    for i in range(20):
        fits.writeto(folder / f"good{i}.fits", good.images[i])
        fits.writeto(folder / f"good_sigma{i}.fits", good.sigmas[i])
    fits.writeto(folder / "star.fits", good.psf)
    return folder


def manifest(path, rows):
    names = list(dict.fromkeys(name for row in rows for name in row))
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


@pytest.fixture(scope="module")
def damaged(folder, good):
    return damaged_files(folder, sound_files(folder, good.images[0], good.sigmas[0], good.psf), 1000, seed=62)


def test_every_damaged_file_is_read_or_says_why_not(folder, damaged):
    entries = find_entries([manifest(folder / "all.csv", damaged)])
    assert len(entries) == 1000
    options = Options(zeropoint=ZEROPOINT, pixel_scale=0.4)
    cutouts = [load(entry, options) for entry in entries]
    failed = [cutout for cutout in cutouts if cutout.error]
    assert 200 < len(failed) < 900  # the damage reaches what it is meant to, and not all of it matters
    # what nobody foresaw would be called by the name of its exception
    unforeseen = [cutout.error for cutout in failed if cutout.error.startswith("It could not be read")]
    assert not unforeseen


def run(out, path):
    words = [
        f"out='{out}'",
        "objects.png=false",
        "objects.fits=true",
        f"zeropoint={ZEROPOINT}",
        "pixel_scale=0.4",
    ]
    quick = [
        "segment=sep",
        "initialise=moments",
        "neighbours=mask",
        "restarts=0",
    ]  # what comes in is the same for all of them
    return job.run(compose(overrides=words + quick), [path])


def test_good_ones_beside_damaged_ones_keep_their_numbers(folder, damaged, tmp_path):
    sound = [
        {"id": f"good {i}", "image": f"good{i}.fits", "sigma": f"good_sigma{i}.fits", "psf": "star.fits"}
        for i in range(20)
    ]
    alone = run(tmp_path / "alone", manifest(folder / "good.csv", sound)).table
    some = damaged[::8]
    mixed = [row for i in range(20) for row in (*some[6 * i : 6 * i + 6], sound[i])] + some[120:]
    catalogue = run(tmp_path / "mixed", manifest(folder / "mixed.csv", mixed))
    assert len(catalogue) == len(mixed)
    beside = {str(row["id"]): row for row in catalogue.table}
    for row in alone:
        other = beside[row["id"]]
        assert row["status"] == other["status"] and row["flags"] == other["flags"]
        for name in PARAMETERS:
            assert abs(row[name] - other[name]) < 1e-3 * row[f"{name}_err"] or np.isnan(row[name]), (
                row["id"],
                name,
            )
    assert sum(row["status"] == "converged" for row in alone) >= 18
    bad = [row for row in catalogue.table if row["status"] in ("failed", "skipped")]
    assert len(bad) > 30 and all(row["message"] for row in bad)
    written = Table.read(tmp_path / "mixed" / "catalogue.fits", hdu=1)
    assert len(written) == len(mixed)


@pytest.mark.parametrize("value", CARDS)
@pytest.mark.parametrize("key", ["GAIN", "PIXSCALE", "MAGZERO", "GAINEFF"])
def test_a_card_that_is_no_number_is_not_read(key, value):
    header = fits.Header.fromstring(f"{key:<8}= {value}".ljust(80)[:80] + "END".ljust(80))
    found = header_facts(header)
    taken = {
        "GAIN": found.gain,
        "PIXSCALE": found.pixel_scale,
        "MAGZERO": found.zeropoint,
        "GAINEFF": found.gain,
    }[key]
    try:
        said = float(value.replace(" ", ""))  # FITS lets a number have blanks behind its sign
    except ValueError:
        said = None
    assert taken is None or (np.isfinite(taken) and taken == said)
    if value in ("N/A", "2,5", "0.396 arcsec", "'unknown '", "T", "'0.396 arcsec'", "1 2 3"):
        assert taken is None and any(note.startswith(f"The header's {key} = ") for note in found.notes)
    if value == "''":
        assert not found.notes  # a blank says nothing


def test_a_bad_card_does_not_hide_the_good_ones(tmp_path, good):
    hdu = fits.PrimaryHDU(good.images[0], fits.Header({"MAGZERO": 27.5, "EXPTIME": 30.0}))
    hdu.writeto(tmp_path / "a.fits")
    data = (tmp_path / "a.fits").read_bytes()
    cards = [b"GAIN    = N/A", b"PIXSCALE= 0.396 arcsec", b"SATURATE= 2,5"]
    end = data.index(b"END     ")
    data = (
        data[:end]
        + b"".join(card.ljust(80) for card in cards)
        + data[end : end + 80]
        + b" " * (2880 - end - 80 * (len(cards) + 1))
        + data[2880:]
    )
    (tmp_path / "a.fits").write_bytes(data)
    (entry,) = find_entries([str(tmp_path / "a.fits")])
    cutout = load(entry)
    assert (
        cutout.error is None
        and cutout.zeropoint == 27.5
        and cutout.gain is None
        and cutout.pixel_scale == 1.0
    )
    for key in ("GAIN", "PIXSCALE", "SATURATE"):
        assert sum(f"header's {key} " in note for note in cutout.notes) == 1


def test_a_file_all_cutouts_share_is_one_clear_error(folder, damaged):
    entries = find_entries([str(folder / "good0.fits")])
    (folder / "text").write_text("no image\n" * 500)
    with pytest.raises(AutogalError, match="not a FITS file"):
        load(entries[0], Options(psf=str(folder / "text")))
