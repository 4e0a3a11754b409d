"""How finely a PSF is sampled, by its own header: STPSF's files, PSFEx and SourceXtractor++ keywords,
scales and WCS."""

import functools

import galsim
import numpy as np
import pytest
from astropy.io import fits

from autogal.flags import Flag
from autogal.images import Options, fwhm, load
from autogal.images.entry import Entry
from autogal.images.psf.sampling import resampled, with_pixel

FWHM = 3.1  # image pixels


@functools.lru_cache
def star(samples, side=41, pixel=True):
    light = galsim.Moffat(3.5, fwhm=FWHM)
    light = galsim.Convolve(light, galsim.Pixel(1.0)) if pixel else light
    side = int(side * samples) | 1
    return light.drawImage(nx=side, ny=side, scale=1 / samples, method="no_pixel").array.astype(np.float32)


@pytest.fixture
def cutout(tmp_path):
    def read(psf, options=None, scale=0.06, **image):
        data = np.random.default_rng(1).normal(size=(40, 40)).astype(np.float32)
        header = fits.Header({"MAGZERO": 25.0, **({"PIXSCALE": scale} if scale else {}), **image})
        fits.writeto(tmp_path / "a.fits", data, header, overwrite=True)
        hdus = psf if isinstance(psf, list) else [psf]
        first = fits.PrimaryHDU(hdus[0].data, hdus[0].header)
        fits.HDUList([first, *hdus[1:]]).writeto(tmp_path / "p.fits", overwrite=True)
        return load(Entry("a", str(tmp_path / "a.fits"), psf=str(tmp_path / "p.fits")), options)

    return read


def hdu(samples, name=None, pixel=True, **keywords):
    made = fits.ImageHDU(star(samples, pixel=pixel), fits.Header(keywords))
    if name:
        made.header["EXTNAME"] = name
    return made


def wcs(scale):
    return {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRVAL1": 1.0,
        "CRVAL2": 2.0,
        "CRPIX1": 5.0,
        "CRPIX2": 5.0,
        "CD1_1": -scale / 3600,
        "CD2_2": scale / 3600,
    }


def width(cutout):
    return fwhm(cutout.psf) / cutout.psf_oversample


@pytest.mark.parametrize("samples", [1, 2, 5])
@pytest.mark.parametrize(
    "key", ["PIXELSCL", "PIXSCALE", "wcs", "OVERSAMP", "DET_SAMP", "SAMPLING", "PSF_SAMP"]
)
def test_every_keyword(cutout, samples, key):
    scale = 0.06 / samples
    keywords = (
        wcs(scale)
        if key == "wcs"
        else {key: {"OVERSAMP": samples, "DET_SAMP": samples}.get(key, 1 / samples)}
    )
    if key.startswith("PIX"):
        keywords = {key: scale * 1.004}  # rounded
    read = cutout(hdu(samples, **keywords))
    assert read.psf_oversample == samples and width(read) == pytest.approx(width(cutout(hdu(1))), rel=0.02)
    assert any(
        note.startswith(f"PSF sampling {samples} ") and key.lower() in note.lower() for note in read.notes
    )
    assert (not read.warnings and not read.flags & Flag.PSF_CORRECTED) or samples == 1


def test_what_the_user_gives_wins_and_a_contradiction_is_said(cutout):
    read = cutout(hdu(4, PIXELSCL=0.015), Options(psf_oversample=2))
    assert read.psf_oversample == 2 and "as given" in read.warnings[0] and Flag.PSF_MISMATCH in read.flags
    read = cutout(hdu(4, PIXELSCL=0.015), Options(psf_oversample=4))
    assert read.psf_oversample == 4 and not read.warnings
    read = cutout(hdu(4), Options(psf_oversample=4))
    assert read.psf_oversample == 4 and not read.warnings


def test_keywords_that_disagree_are_said(cutout):
    read = cutout(hdu(3, PIXELSCL=0.02, OVERSAMP=5))
    assert read.psf_oversample == 3 and len(read.warnings) == 1
    read = cutout(hdu(3, PIXELSCL=0.02, **wcs(0.06)))
    assert read.psf_oversample == 3 and len(read.warnings) == 1


@pytest.mark.parametrize("keywords", [{"PIXELSCL": 1e-3}, {"PIXELSCL": 30.0}, wcs(3600.0 * 0.016)])
def test_nonsense_is_said_and_not_believed(cutout, keywords):
    read = cutout(hdu(1, **keywords))
    assert read.psf_oversample == 1 and "not believed" in read.warnings[0]


def test_scale_without_that_of_the_image(cutout):
    read = cutout(hdu(2, PIXELSCL=0.03), scale=None)
    assert read.psf_oversample == 1 and any("cannot be compared" in note for note in read.notes)
    assert cutout(hdu(2, PIXELSCL=0.03, OVERSAMP=2), scale=None).psf_oversample == 2


@pytest.mark.parametrize("ratio", [1.5, 2.4, 3.3, 4.5])
def test_a_scale_that_is_no_whole_number_is_resampled(cutout, ratio):
    read = cutout(hdu(ratio, PIXELSCL=0.06 / ratio))
    assert read.psf_oversample == int(np.ceil(ratio)) and read.flags & Flag.PSF_CORRECTED
    assert width(read) == pytest.approx(width(cutout(hdu(1))), rel=0.015)
    assert any("resampled" in note for note in read.notes) and not read.warnings


def test_a_coarser_psf_is_interpolated_and_said(cutout):
    read = cutout(hdu(0.6, PIXELSCL=0.1))
    assert read.psf_oversample == 1 and "coarsely" in read.warnings[0] and read.flags & Flag.PSF_CORRECTED
    assert width(read) == pytest.approx(width(cutout(hdu(1))), rel=0.08)


def test_nominal_scales_of_a_distorted_camera_are_the_pixels_own(cutout):
    read = cutout(hdu(1, PIXSCALE=0.0575))
    assert read.psf_oversample == 1 and not read.warnings and not read.flags & Flag.PSF_CORRECTED


def stpsf(samples, distorted=True):
    """As STPSF writes them: fine and binned, without and with the distortion of the detector, here a wider
    star."""
    fine = hdu(
        samples,
        "OVERSAMP",
        pixel=False,
        PIXELSCL=0.06 / samples,
        OVERSAMP=samples,
        DET_SAMP=samples,
        DIFFLMT=0.03,
    )
    hdus = [fine, hdu(1, "DET_SAMP", PIXELSCL=0.06, OVERSAMP=1, DET_SAMP=samples)]
    if distorted:
        wide = hdu(
            samples,
            "OVERDIST",
            pixel=False,
            PIXELSCL=0.06 / samples,
            OVERSAMP=samples,
            DET_SAMP=samples,
            DIFFLMT=0.03,
        )
        hdus += [wide, hdu(1, "DETDIST", PIXELSCL=0.06, OVERSAMP=1, DET_SAMP=samples)]
    return hdus


@pytest.mark.parametrize("samples", [3, 4])
@pytest.mark.parametrize("distorted", [True, False])
def test_files_of_stpsf(cutout, samples, distorted):
    read = cutout(stpsf(samples, distorted))
    assert read.psf_oversample == samples and not read.warnings
    assert any(("OVERDIST" in note) == distorted for note in read.notes if note.startswith("PSF sampling"))
    # The fine extension is without the pixel, which an effective PSF has.
    assert width(read) == pytest.approx(width(cutout(hdu(1))), rel=0.02)
    assert width(cutout(stpsf(samples, distorted), Options(psf_kind="optical"))) < 0.985 * width(read)


def test_a_binned_extension_that_is_asked_for(tmp_path, cutout):
    cutout(stpsf(4))
    read = load(Entry("a", str(tmp_path / "a.fits"), psf=f"{tmp_path / 'p.fits'}[DET_SAMP]"))
    assert read.psf_oversample == 1 and not read.warnings


@pytest.mark.parametrize("samples", [2, 3, 4])
def test_pixel_and_resampling(samples):
    fine = star(samples, pixel=False)
    assert fwhm(with_pixel(fine, samples)) == pytest.approx(fwhm(star(samples)), rel=2e-3)
    for zoom in (1.2, 1.9):
        finer = resampled(fine, zoom)
        assert finer.shape[0] % 2 == 1 and fwhm(finer) == pytest.approx(zoom * fwhm(fine), rel=5e-3)
