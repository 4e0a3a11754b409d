"""PSF images that cut their wings, or are undersampled: fits with them are right, and say so. Drawn by
GalSim."""

import galsim
import numpy as np
import pytest

import autogal
from autogal.flags import Flag
from autogal.images import fwhm, mend_psf, moffat, prepare_psf

EXACT = galsim.GSParams(folding_threshold=1e-3, maxk_threshold=1e-4, maximum_fft_size=12000)
NAMES = ("mag", "r_eff", "n", "q")


def star(law, size, shift=(0.0, 0.0)):
    """A star's image; the pixel is in it."""
    return law.drawImage(nx=size, ny=size, scale=1, offset=shift, dtype=float).array


def galaxy(law, side, mag, r_eff, n, q=0.6, pa=30.0, shift=(0.2, -0.3)):
    """An image without noise, and the truth."""
    light = galsim.Sersic(
        n=n, half_light_radius=r_eff * np.sqrt(q), flux=10 ** (0.4 * (25 - mag)), gsparams=EXACT
    )
    light = galsim.Convolve(light.shear(q=q, beta=(pa + 90) * galsim.degrees), law, gsparams=EXACT)
    image = light.drawImage(nx=side, ny=side, scale=1, offset=shift, dtype=float).array
    middle = (side - 1) / 2
    return image, dict(
        x=middle + shift[0], y=middle + shift[1], mag=mag, r_eff=r_eff, n=n, q=q, pa=pa, sky=0.0
    )


def deviations(cases):
    """Ours less the truth in units of the errors for noise of 1 a pixel, [N, 4]; and the flags."""
    start = {name: np.array([truth[name] for _, _, truth in cases]) for name in cases[0][2]}
    images = [image for image, _, _ in cases]
    table = autogal.fit(
        images,
        sigma=[np.ones_like(image) for image in images],
        psf=[psf for _, psf, _ in cases],
        start=start,
        zeropoint=25.0,
        pixel_scale=1.0,
    ).table
    return np.stack(
        [(table[name] - start[name]) / table[f"{name}_err"] for name in NAMES], axis=1
    ), np.asarray(table["flags"])


def test_undersampled_stars_are_as_good_as_others():
    rng = np.random.default_rng(5)
    laws = [
        galsim.Moffat(beta=2.5, fwhm=0.8, gsparams=EXACT),
        galsim.Moffat(beta=3.5, fwhm=1.3, gsparams=EXACT).shear(g1=0.04, g2=0.03),
        galsim.Gaussian(fwhm=1.0, gsparams=EXACT),
        galsim.Airy(lam_over_diam=0.9, obscuration=0.3, gsparams=EXACT),
    ]
    cases = []
    for law in laws:
        for r_eff, mag in ((1.0, 17.5), (3.0, 15.5)):
            image, truth = galaxy(law, 48, mag, r_eff, 1.5)
            cases.append((image, star(law, 31, rng.uniform(-0.4, 0.4, 2)), truth))
    off, flags = deviations(cases)
    assert all(flag & Flag.PSF_UNDERSAMPLED and not flag & Flag.PSF_TRUNCATED for flag in flags)
    assert np.abs(off[:6]).max() < 0.3
    assert (
        np.abs(off[6:, 1:]).max() < 0.3 and np.abs(off[6:, 0]).max() < 6
    )  # 1 % of an Airy disk's light lies outside


def test_the_bias_that_is_mended_is_real():
    law = galsim.Moffat(beta=3.0, fwhm=0.8, gsparams=EXACT)
    image, truth = galaxy(law, 64, 16.8, 1.5, 1.5)
    start = {name: [value] for name, value in truth.items()}
    # five samples a pixel of the same star are a PSF as it should be; those at pixels alone are not
    fine = (
        galsim.Convolve(law, galsim.Pixel(1.0))
        .drawImage(nx=205, ny=205, scale=0.2, dtype=float, method="no_pixel")
        .array
    )
    for psf, oversample, limit in ((fine, 5, 0.2), (star(law, 41), 1, 0.2)):
        row = autogal.fit(
            [image], sigma=1.0, psf=psf, psf_oversample=oversample, start=start, zeropoint=25.0
        ).table[0]
        assert abs(row["n"] - 1.5) < limit * row["n_err"]
        assert bool(row["flags"] & Flag.PSF_UNDERSAMPLED) == (oversample == 1)


def test_wings_that_a_stamp_cuts_are_continued():
    cases = []
    for beta, size, width in (
        (1.8, 17, 3.0),
        (1.8, 9, 4.5),
        (2.0, 13, 3.1),
        (2.3, 9, 2.6),
        (2.5, 23, 4.0),
        (3.0, 13, 3.5),
        (3.5, 11, 3.5),
    ):
        law = galsim.Moffat(beta=beta, fwhm=width, gsparams=EXACT).shear(g1=0.03, g2=-0.02)
        image, truth = galaxy(law, 96, 15.0, 4.0, 1.5)
        psf = star(law, size)
        cases.append((image, psf / psf.sum(), truth))
    off, flags = deviations(cases)
    assert all(flag & Flag.PSF_TRUNCATED and not flag & Flag.PSF_UNDERSAMPLED for flag in flags)
    assert np.abs(off[:, 1:]).max() < 0.3 and np.abs(off[:, 0]).max() < 1


def test_noise_in_a_cut_star_does_no_harm():
    law, rng = galsim.Moffat(beta=2.2, fwhm=3.2, gsparams=EXACT), np.random.default_rng(2)
    psf = star(law, 15)
    image, truth = galaxy(law, 96, 15.0, 4.0, 1.5)
    cases = [(image, psf + rng.normal(0, psf.max() / 500, psf.shape), truth) for _ in range(6)]
    off, flags = deviations(cases)
    assert all(flag & Flag.PSF_TRUNCATED for flag in flags)
    assert np.abs(np.median(off[:, 1:], axis=0)).max() < 1.5 and np.abs(off[:, 1:]).max() < 3


def test_what_was_outside_is_said():
    law = galsim.Moffat(beta=2.0, fwhm=3.0, gsparams=EXACT)
    psf = prepare_psf(star(law, 13))[0]
    mended = mend_psf(psf, "effective", 1)
    lost = 1 - star(law, 13).sum()  # of a star of unit flux
    assert float(mended.notes[0].split("which has ")[1].split("%")[0]) == pytest.approx(100 * lost, abs=0.3)
    assert mended.psf.sum() == pytest.approx(1.0) and all(side % 2 for side in mended.psf.shape)
    middle = mended.psf.shape[0] // 2
    inside = mended.psf[middle - 6 : middle + 7, middle - 6 : middle + 7]
    np.testing.assert_allclose(inside / inside.sum(), psf, rtol=1e-9)  # what the stamp has stays
    assert mend_psf(psf, "effective", 1).psf is mended.psf  # found once


@pytest.mark.parametrize(
    "psf",
    [moffat(3.0), moffat(2.3, 2.5), moffat(5.0, 3.5, size=41), moffat(3.0, 8.0, size=13), np.eye(1)],
    ids=str,
)
def test_others_stay_as_they_are(psf):
    psf = prepare_psf(psf)[0] if psf.size > 1 else psf
    mended = mend_psf(psf, "effective", 1)
    assert (
        mended.psf is psf and mended.oversample == 1 and not mended.flags and not mended.notes
    ) or psf.size == 1


def test_optical_stars_are_modelled_without_the_pixel():
    law = galsim.Moffat(beta=3.0, fwhm=1.2, gsparams=EXACT)
    psf = prepare_psf(law.drawImage(nx=31, ny=31, scale=1, dtype=float, method="no_pixel").array)[0]
    mended = mend_psf(psf, "optical", 1)
    assert mended.flags == Flag.PSF_UNDERSAMPLED and mended.oversample >= 3
    assert fwhm(mended.psf) / mended.oversample == pytest.approx(1.2, abs=0.03)


@pytest.mark.parametrize(
    ("kind", "width", "obscuration", "shift"),
    [
        ("effective", 1.9, 0.0, (0.0, 0.0)),
        ("effective", 1.85, 0.0, (0.3, -0.2)),
        ("effective", 1.6, 0.0, (0.0, 0.0)),
        ("effective", 1.4, 0.3, (-0.2, 0.4)),
        ("effective", 0.95, 0.6, (0.3, -0.2)),
        ("optical", 1.7, 0.2, (0.1, 0.3)),
        ("optical", 1.0, 0.0, (0.45, 0.4)),
    ],
)
def test_airy_disks_of_any_width_are_found(kind, width, obscuration, shift):
    law = galsim.Airy(lam_over_diam=width / 1.03, obscuration=obscuration, gsparams=EXACT)
    how = {"method": "auto" if kind == "effective" else "no_pixel", "dtype": float}
    mended = mend_psf(
        prepare_psf(law.shift(*shift).drawImage(nx=51, ny=51, scale=1, **how).array)[0], kind, 1
    )
    assert mended.flags == Flag.PSF_UNDERSAMPLED and "Airy" in mended.notes[0]
    whole = galsim.Convolve(law, galsim.Pixel(1.0)) if kind == "effective" else law
    side = len(mended.psf)
    truth = whole.drawImage(
        nx=side, ny=side, scale=1 / mended.oversample, method="no_pixel", dtype=float
    ).array
    assert (
        np.abs(mended.psf / mended.psf.sum() - truth / truth.sum()).max() < 0.01 * (truth / truth.sum()).max()
    )


def test_a_survey_s_psfs_are_sound(shared_data):
    from astropy.table import Table

    from autogal.images.fits import read

    index = Table.read(shared_data / "INDEX.csv", format="ascii.csv")
    changed = []
    for name in dict.fromkeys(str(path) for path in np.ma.compressed(index["psf"])):
        psf = prepare_psf(read(str(shared_data / name)).data)[0]
        if mend_psf(psf, "effective", 1).flags:
            changed.append((name, fwhm(psf)))
    # one star of HST's ACS, 1.94 pixels wide, is all that is undersampled; none is cut
    assert [width < 2.1 for _, width in changed] == [True]
