"""Flags and the error: what catalogues and users rely on."""

import pickle

from autogal.errors import AutogalError
from autogal.flags import DESCRIPTIONS, Flag, names


def test_values_never_change():
    assert {flag.name: flag.value for flag in Flag} == {
        "BAD_INPUT": 1,
        "NO_TARGET": 2,
        "MASK_FALLBACK": 4,
        "START_FALLBACK": 8,
        "SIGMA_ESTIMATED": 16,
        "PSF_DEFAULT": 32,
        "NOT_CONVERGED": 64,
        "AT_BOUND": 128,
        "POOR_FIT": 256,
        "LOW_SN": 512,
        "BLENDED": 1024,
        "EDGE": 2048,
        "SATURATED": 4096,
        "FEW_PIXELS": 8192,
        "SINGULAR_COVARIANCE": 16384,
        "PSF_CORRECTED": 32768,
        "ZEROPOINT_DEFAULT": 65536,
        "PIXEL_SCALE_DEFAULT": 131072,
        "SKY_FIXED": 262144,
        "BOOTSTRAP_FAILED": 524288,
        "NEIGHBOUR_FALLBACK": 1048576,
        "PSF_UNDERSAMPLED": 1 << 21,
        "PSF_TRUNCATED": 1 << 22,
        "UNCONSTRAINED": 1 << 23,
        "SKY_SLOPED": 1 << 24,
        "NOISE_MISMATCH": 1 << 25,
        "NOISE_CORRELATED": 1 << 26,
        "CORE_MASKED": 1 << 27,
        "ROLES_SWAPPED": 1 << 28,
        "TARGET_MASKED": 1 << 29,
        "GAIN_ESTIMATED": 1 << 30,
        "PSF_MISMATCH": 1 << 31,
        "NEIGHBOURS_IGNORED": 1 << 32,
    }


def test_every_flag_is_described_in_a_sentence():
    assert set(DESCRIPTIONS) == set(Flag)
    assert all(text.endswith(".") and text[0].isupper() for text in DESCRIPTIONS.values())


def test_names():
    assert names(0) == []
    assert names(Flag.EDGE | Flag.BAD_INPUT) == ["BAD_INPUT", "EDGE"]
    assert names(1 << 62) == []


def test_error_says_what_and_what_to_do_and_survives_pickling():
    error = pickle.loads(pickle.dumps(AutogalError("It is broken.", "Mend it.")))
    assert (error.what, error.remedy, str(error)) == ("It is broken.", "Mend it.", "It is broken.\nMend it.")
    assert str(AutogalError("It is broken.")) == "It is broken."


def test_quality_says_the_worst_of_status_and_flags():
    from autogal.flags import QUALITY, RESERVATIONS, WORDS, Flag, quality

    assert (
        quality("converged", 0)
        == quality("converged", int(Flag.SIGMA_ESTIMATED | Flag.PSF_CORRECTED))
        == "good"
    )
    assert quality("converged", int(Flag.BLENDED)) == "fair"
    assert quality("converged", int(Flag.BLENDED | Flag.POOR_FIT)) == "poor"
    assert quality("converged", int(Flag.FEW_PIXELS | Flag.EDGE)) == quality("not_converged", 0) == "bad"
    assert quality("converged", int(Flag.UNCONSTRAINED | Flag.BLENDED)) == "poor", (
        "its errors hold what is not known"
    )
    assert quality("failed", 0) == quality("skipped", int(Flag.NO_TARGET)) == "none"
    assert set(QUALITY) < set(WORDS) and QUALITY["bad"] | QUALITY["poor"] == RESERVATIONS
    assert sum(int(flag in some) for some in QUALITY.values() for flag in Flag) == len(
        {f for s in QUALITY.values() for f in s}
    )
