"""The quality flags of a catalogue row: named bits of one integer."""

from enum import IntFlag
from functools import lru_cache

__all__ = ["DESCRIPTIONS", "MEASURED", "QUALITY", "RESERVATIONS", "WORDS", "Flag", "names", "quality"]


class Flag(IntFlag):
    """What a user must know about a row before trusting it.

    The values are written in catalogues: add new bits at the end, never
    renumber or reuse one.
    """

    BAD_INPUT = 1 << 0
    NO_TARGET = 1 << 1
    MASK_FALLBACK = 1 << 2
    START_FALLBACK = 1 << 3
    SIGMA_ESTIMATED = 1 << 4
    PSF_DEFAULT = 1 << 5
    NOT_CONVERGED = 1 << 6
    AT_BOUND = 1 << 7
    POOR_FIT = 1 << 8
    LOW_SN = 1 << 9
    BLENDED = 1 << 10
    EDGE = 1 << 11
    SATURATED = 1 << 12
    FEW_PIXELS = 1 << 13
    SINGULAR_COVARIANCE = 1 << 14
    PSF_CORRECTED = 1 << 15
    ZEROPOINT_DEFAULT = 1 << 16
    PIXEL_SCALE_DEFAULT = 1 << 17
    SKY_FIXED = 1 << 18
    BOOTSTRAP_FAILED = 1 << 19
    NEIGHBOUR_FALLBACK = 1 << 20
    PSF_UNDERSAMPLED = 1 << 21
    PSF_TRUNCATED = 1 << 22
    UNCONSTRAINED = 1 << 23
    SKY_SLOPED = 1 << 24
    NOISE_MISMATCH = 1 << 25
    NOISE_CORRELATED = 1 << 26
    CORE_MASKED = 1 << 27
    ROLES_SWAPPED = 1 << 28
    TARGET_MASKED = 1 << 29
    GAIN_ESTIMATED = 1 << 30
    PSF_MISMATCH = 1 << 31
    NEIGHBOURS_IGNORED = 1 << 32


DESCRIPTIONS: dict[Flag, str] = {
    Flag.BAD_INPUT: "The input could not be read or cannot be fitted; the message says why.",
    Flag.NO_TARGET: "No source was found where the target should be.",
    Flag.MASK_FALLBACK: "The chosen segmentation failed; a simpler one made the mask.",
    Flag.START_FALLBACK: "The chosen starting values were not usable; simpler ones were taken.",
    Flag.SIGMA_ESTIMATED: "No sigma map was given; it was estimated from the image.",
    Flag.PSF_DEFAULT: "No PSF was given; the survey's typical Moffat PSF was used.",
    Flag.NOT_CONVERGED: "The solver stopped before it converged.",
    Flag.AT_BOUND: "At least one parameter ended at its bound; its error is not measurable.",
    Flag.POOR_FIT: (
        "The model misses a good part of the light, residuals are far above the noise, or a neighbour may "
        "be part of the target."
    ),
    Flag.LOW_SN: "The signal-to-noise ratio is too low for a reliable fit.",
    Flag.BLENDED: "The target overlaps a neighbour.",
    Flag.EDGE: "The image cuts the target off: part of its light is extrapolated.",
    Flag.SATURATED: "Pixels of the image are saturated and were excluded.",
    Flag.FEW_PIXELS: "Too few usable pixels for the number of free parameters.",
    Flag.SINGULAR_COVARIANCE: "The covariance matrix is singular; some errors are not measurable.",
    Flag.PSF_CORRECTED: "The PSF was not odd, centred or normalised, and was put right.",
    Flag.ZEROPOINT_DEFAULT: "No zero point was given or found; the default was used, so magnitudes are relative.",  # noqa: E501
    Flag.PIXEL_SCALE_DEFAULT: "No pixel scale was given or found; 1 arcsec per pixel was used.",
    Flag.SKY_FIXED: "The fitted sky was not the image's own; it was held at the level measured there.",
    Flag.BOOTSTRAP_FAILED: (
        "More than a tenth of the bootstrap's fits failed and were left out, or the image has no room for "
        "its blocks, or the posterior could not be sampled."
    ),
    Flag.NEIGHBOUR_FALLBACK: "Neighbours could not be fitted together with the target and were masked; the message says why.",  # noqa: E501
    Flag.PSF_UNDERSAMPLED: "The PSF image has too few samples across its core to be known between them.",
    Flag.PSF_TRUNCATED: "The PSF image ends where the star still has light; its wings are missing.",
    Flag.UNCONSTRAINED: (
        "Size or light are not told by the data: most of the light lies outside the image, or hangs on the "
        "sky alone."
    ),
    Flag.SKY_SLOPED: "The sky is not flat where the model has it flat; light and size may follow the slope.",
    Flag.NOISE_MISMATCH: "The noise map does not agree with the scatter of the image itself, or the image has no noise.",  # noqa: E501
    Flag.NOISE_CORRELATED: "The noise of neighbouring pixels is correlated; errors of likelihood=gaussian allow for it.",  # noqa: E501
    Flag.CORE_MASKED: "Bad pixels cover a third or more of the target's signal-to-noise.",
    Flag.ROLES_SWAPPED: "The inner component ended larger than the outer one; their names do not say what they are.",  # noqa: E501
    Flag.TARGET_MASKED: "Masks hide more than half of the target's signal-to-noise.",
    Flag.GAIN_ESTIMATED: "No gain was given; the sources' own photon noise was bounded from the image itself.",  # noqa: E501
    Flag.PSF_MISMATCH: "How finely the PSF is sampled, as given, is not what its header says; one of the two is wrong.",  # noqa: E501
    Flag.NEIGHBOURS_IGNORED: "Neighbours were not looked for (all starting values were given), but one seems to be in the way.",  # noqa: E501
}


WORDS = ("good", "fair", "poor", "bad", "none")
"""The words of the column ``quality``, the best first."""

QUALITY: dict[str, Flag] = {
    "bad": Flag.BAD_INPUT | Flag.NO_TARGET | Flag.NOT_CONVERGED | Flag.FEW_PIXELS,
    "poor": (
        Flag.UNCONSTRAINED
        | Flag.AT_BOUND
        | Flag.POOR_FIT
        | Flag.LOW_SN
        | Flag.EDGE
        | Flag.SINGULAR_COVARIANCE
        | Flag.SKY_FIXED
        | Flag.SKY_SLOPED
        | Flag.PSF_UNDERSAMPLED
        | Flag.PSF_TRUNCATED
        | Flag.NOISE_MISMATCH
        | Flag.CORE_MASKED
        | Flag.ROLES_SWAPPED
        | Flag.TARGET_MASKED
        | Flag.MASK_FALLBACK
        | Flag.START_FALLBACK
        | Flag.PSF_MISMATCH
        | Flag.NEIGHBOURS_IGNORED
    ),
    "fair": (
        Flag.BLENDED
        | Flag.SATURATED
        | Flag.NEIGHBOUR_FALLBACK
        | Flag.NOISE_CORRELATED
        | Flag.GAIN_ESTIMATED
        | Flag.PSF_DEFAULT
        | Flag.BOOTSTRAP_FAILED
    ),
}
"""The flags that make a measured row bad (not to be used), poor (with a reservation on the values) or fair
(on the errors, or in a crowd).

Any other says only what was assumed or put right, and leaves a row good.
"""

RESERVATIONS = QUALITY["bad"] | QUALITY["poor"]
"""Flags of rows whose values are not to be taken without a look: all that make them poor or bad."""

MEASURED = ("converged", "not_converged")
"""The words of the column ``status`` whose rows carry numbers; all others are NaN."""


def quality(status: str, flags: int) -> str:
    """One word for how far a row can be trusted, of how the fit ended and of its flags together.

    Parameters
    ----------
    status : str
        As in the column ``status`` of a catalogue.
    flags : int
        As in the column ``flags``.

    Returns
    -------
    str
        One of `WORDS`: ``none`` where nothing was measured, else the worst that any flag says in `QUALITY`,
        and ``good`` where none says anything.
    """
    if status not in MEASURED:
        return "none"
    bits = int(flags) | (int(Flag.NOT_CONVERGED) if status == "not_converged" else 0)
    return next((word for word, some in QUALITY.items() if bits & int(some)), "good")


@lru_cache(maxsize=4096)
def _names(value: int) -> tuple[str, ...]:
    return tuple(str(flag.name) for flag in Flag if value & flag)


def names(value: int) -> list[str]:
    """Names of the bits set in ``value``, lowest bit first.

    Parameters
    ----------
    value : int
        A flag value, as in the ``flags`` column of a catalogue.

    Returns
    -------
    list of str
        Empty where no bit is set; unknown bits are left out.
    """
    return list(_names(int(value)))
