"""What lies beside an image: noise maps under the names that surveys give them, and files that autogal
wrote itself."""

import logging

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from autogal.errors import AutogalError
from autogal.flags import Flag
from autogal.images import find_entries, load

NOISE = 0.25
SHAPE = (48, 48)


@pytest.fixture
def pixels():
    y, x = np.mgrid[:48, :48] - 24.0
    return (30 * np.exp(-np.hypot(x, y) / 3) + np.random.default_rng(5).normal(0, NOISE, SHAPE)).astype(
        np.float32
    )


MAPS = {"sigma": NOISE, "rms": NOISE, "err": NOISE, "ivar": NOISE**-2, "invvar": NOISE**-2, "var": NOISE**2}


@pytest.mark.parametrize("ending", ["", "_image", "_sci", "_drz"])
@pytest.mark.parametrize("word", MAPS)
@pytest.mark.parametrize("how", ["folder", "file"])
def test_noise_maps_by_their_names(tmp_path, pixels, word, ending, how):
    fits.writeto(tmp_path / f"g{ending}.fits", pixels)
    fits.writeto(tmp_path / f"g_{word}.fits", np.full(SHAPE, MAPS[word], np.float32))
    entries = find_entries([tmp_path if how == "folder" else tmp_path / f"g{ending}.fits"])
    assert len(entries) == 1
    cutout = load(entries[0])
    assert cutout.error is None and not cutout.flags & (Flag.SIGMA_ESTIMATED | Flag.NOISE_MISMATCH)
    np.testing.assert_allclose(cutout.sigma, NOISE, rtol=1e-6)


def test_no_measurement_is_no_noise(tmp_path, pixels):
    weight = np.full(SHAPE, NOISE**-2, np.float32)
    weight[:4] = 0
    fits.writeto(tmp_path / "g.fits", pixels)
    fits.writeto(tmp_path / "g_ivar.fits", weight)
    cutout = load(*find_entries([tmp_path]))
    assert cutout.mask[:4].all() and not cutout.mask[4:].any()
    assert any("g_ivar.fits" in note for note in cutout.notes)


@pytest.mark.parametrize("word", ["wht", "weight", "dq", "flags", "segmap", "expmap", "noise"])
@pytest.mark.parametrize("how", ["folder", "file"])
def test_other_maps_are_no_images_and_named(tmp_path, pixels, caplog, word, how):
    for name in ("a", "b"):
        fits.writeto(tmp_path / f"{name}.fits", pixels)
        fits.writeto(tmp_path / f"{name}_{word}.fits", np.ones(SHAPE, np.int16))
    entries = find_entries([tmp_path] if how == "folder" else [tmp_path / "a.fits", tmp_path / "b.fits"])
    assert [(entry.id, entry.sigma, entry.mask) for entry in entries] == [
        ("a", None, None),
        ("b", None, None),
    ]
    assert [record.getMessage() for record in caplog.records if f"_{word} (2)" in record.getMessage()]


def test_nothing_is_said_where_nothing_lies_beside(tmp_path, pixels, caplog):
    for name in ("a_image", "a_psf", "a_sigma", "a_mask", "b_image"):
        fits.writeto(tmp_path / f"{name}.fits", pixels)
    assert len(find_entries([tmp_path])) == 2
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def exposure(path, pixels, **layers):
    hdus = [fits.PrimaryHDU()]
    for version in (1, 2):
        hdus.append(fits.ImageHDU(pixels, name="SCI", ver=version))
        hdus += [
            fits.ImageHDU(np.full(SHAPE, value * version, np.float32), name=name, ver=version)
            for name, value in layers.items()
        ]
    fits.HDUList(hdus).writeto(path)


@pytest.mark.parametrize("version", [1, 2])
def test_the_noise_of_the_same_exposure(tmp_path, pixels, version):
    exposure(tmp_path / "x.fits", pixels, ERR=NOISE)
    cutout = load(*find_entries([f"{tmp_path}/x.fits[SCI,{version}]"]))
    np.testing.assert_allclose(cutout.sigma, NOISE * version, rtol=1e-6)
    assert any("extension ERR" in note for note in cutout.notes) and not cutout.flags & Flag.SIGMA_ESTIMATED
    assert cutout.warnings == []


def test_extensions_that_are_not_used_are_warned_of(tmp_path, pixels):
    exposure(tmp_path / "x.fits", pixels, WHT=16.0, DQ=1.0)
    cutout = load(*find_entries([tmp_path / "x.fits"]))
    assert cutout.flags & Flag.SIGMA_ESTIMATED and not cutout.mask.any()
    assert len(cutout.warnings) == 1 and "WHT, DQ" in cutout.warnings[0]


def test_noise_that_the_user_names_wins(tmp_path, pixels):
    exposure(tmp_path / "x.fits", pixels, ERR=NOISE, DQ=0.0)
    fits.writeto(tmp_path / "own.fits", np.full(SHAPE, 2 * NOISE, np.float32))
    (tmp_path / "m.csv").write_text("image,sigma,mask\nx.fits,own.fits,x.fits[DQ]\n")
    cutout = load(*find_entries([tmp_path / "m.csv"]))
    np.testing.assert_allclose(cutout.sigma, 2 * NOISE, rtol=1e-6)
    assert cutout.warnings == [] and not any("Extensions" in note for note in cutout.notes)


def test_an_extension_without_noise_does_not_lose_the_image(tmp_path, pixels):
    exposure(tmp_path / "x.fits", pixels, ERR=0.0)
    cutout = load(*find_entries([tmp_path / "x.fits"]))
    assert cutout.error is None and cutout.flags & Flag.SIGMA_ESTIMATED
    assert "ERR (most of it holds no noise)" in cutout.warnings[0]


@pytest.mark.parametrize("cut", [100, 2880 + 3000, 2880 + 9216 + 1])
def test_a_damaged_extension_does_not_lose_the_image(tmp_path, pixels, cut):
    fits.HDUList(
        [fits.PrimaryHDU(pixels), fits.ImageHDU(np.full(SHAPE, NOISE, np.float32), name="ERR")]
    ).writeto(tmp_path / "x.fits")
    whole = (tmp_path / "x.fits").read_bytes()
    (tmp_path / "x.fits").write_bytes(whole[: len(whole) // 2 + cut])
    cutout = load(*find_entries([tmp_path / "x.fits"]))
    assert cutout.error is None
    assert bool(cutout.flags & Flag.SIGMA_ESTIMATED) == (cut < 2880 + 9216)


@pytest.mark.parametrize("name", ["x.fits.gz", "x.fits.bz2", "x.fits.fz"])
def test_extensions_of_packed_files(tmp_path, pixels, name):
    kind = fits.CompImageHDU if name.endswith(".fz") else fits.ImageHDU
    noise = np.full(SHAPE, NOISE, np.float32)
    fits.HDUList([fits.PrimaryHDU(), kind(pixels, name="SCI"), kind(noise, name="ERR")]).writeto(
        tmp_path / name
    )
    cutout = load(*find_entries([tmp_path / name]))
    assert not cutout.flags & Flag.SIGMA_ESTIMATED
    np.testing.assert_allclose(cutout.sigma, NOISE, rtol=1e-3)


def test_extensions_of_another_shape_do_not_belong_to_the_image(tmp_path, pixels):
    fits.HDUList([fits.PrimaryHDU(pixels), fits.ImageHDU(np.ones((9, 9), np.float32), name="ERR")]).writeto(
        tmp_path / "x.fits"
    )
    cutout = load(*find_entries([tmp_path / "x.fits"]))
    assert cutout.flags & Flag.SIGMA_ESTIMATED and not any("ERR" in note for note in cutout.notes)


@pytest.fixture
def run(tmp_path, pixels):
    """A folder that `autogal fit` wrote, with the files of two objects."""
    import autogal
    from autogal.report.object_files import write_objects

    catalogue = autogal.fit(
        [pixels, pixels],
        zeropoint=25.0,
        pixel_scale=0.2,
        segment="sep",
        initialise="moments",
        neighbours="mask",
    )
    (tmp_path / "run" / "objects").mkdir(parents=True)
    catalogue.write(tmp_path / "run" / "catalogue.fits")
    write_objects(catalogue, ["0", "1"], tmp_path / "run" / "objects", {"fits": True, "png": False})
    return tmp_path / "run"


@pytest.mark.parametrize("path", ["run", "run/objects", "run/*.fits", "run/*/*.fits", "run/*"])
def test_what_autogal_wrote_is_no_image(run, caplog, path):
    with pytest.raises(AutogalError, match="No images were found"):
        find_entries([run.parent / path])
    assert "which `autogal fit` wrote" in caplog.text


def test_images_beside_a_catalogue_are_found(run, pixels):
    fits.writeto(run / "b.fits", pixels)
    assert [entry.id for entry in find_entries([run])] == ["b"]


def test_a_catalogue_named_as_an_image_is_a_row_that_says_so(run, pixels):
    fits.writeto(run / "b.fits", pixels)
    (run / "m.csv").write_text("image\ncatalogue.fits\nb.fits\n")
    entries = find_entries([run / "m.csv"])
    assert [load(entry).error is None for entry in entries] == [False, True]
    assert "is a catalogue of autogal" in load(entries[0]).error


def test_the_images_of_an_object_can_be_asked_for(run):
    cutout = load(*find_entries([run / "objects" / "0.fits"]))
    assert cutout.error is None and any("extension SIGMA" in note for note in cutout.notes)


def test_rows_that_mean_the_same_galaxy_are_warned_of(tmp_path, pixels, caplog):
    fits.writeto(tmp_path / "field.fits", pixels)
    table = Table(
        {
            "id": [1, 2, 3],
            "image": ["field.fits"] * 3,
            "X_IMAGE": [10.0, 20.0, 30.0],
            "Y_IMAGE": [9.0, 8.0, 7.0],
        }
    )
    table.write(tmp_path / "m.csv")
    find_entries([tmp_path / "m.csv"])
    assert "3 rows of" in caplog.text and "x = X_IMAGE - 1" in caplog.text
    caplog.clear()
    table["x"], table["y"] = table["X_IMAGE"] - 1, table["Y_IMAGE"] - 1
    table.write(tmp_path / "m.csv", overwrite=True)
    find_entries([tmp_path / "m.csv"])
    assert "rows of" not in caplog.text and "SExtractor" not in caplog.text
