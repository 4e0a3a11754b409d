"""What is known of an image because of the survey it comes from."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from autogal.errors import AutogalError

__all__ = ["Survey"]

_POSITIVE = ("pixel_scale", "psf_fwhm", "psf_beta", "gain", "sky_sigma", "saturation")


@dataclass(frozen=True, slots=True)
class Survey:
    """Typical facts of a survey; None where they are not known.

    They stand in for what neither the user nor the header says. ``gain``,
    ``sky_sigma`` and ``saturation`` are in the units of ``zeropoint``.

    Attributes
    ----------
    name, band : str
    pixel_scale : float or None
        arcsec per pixel.
    zeropoint : float or None
        Magnitude of one image unit.
    psf_fwhm : float or None
        arcsec, of a star's image (pixel included).
    psf_beta : float
        Moffat index of the PSF.
    gain : float or None
        Electrons per image unit.
    sky_sigma : float or None
        Noise of a blank pixel, image units.
    saturation : float or None
        Image value at and above which a pixel is saturated.
    magnitude : tuple of float or None
        Range that the survey's single-Sersic fits make sense in.
    """

    name: str = "none"
    band: str = ""
    pixel_scale: float | None = None
    zeropoint: float | None = None
    psf_fwhm: float | None = None
    psf_beta: float = 3.0
    gain: float | None = None
    sky_sigma: float | None = None
    saturation: float | None = None
    magnitude: tuple[float, float] | None = None

    def __post_init__(self):
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise AutogalError(
                    f"survey.{name} = {value} is not a positive number.",
                    "Correct the survey's configuration.",
                )

    @classmethod
    def from_settings(cls, settings) -> Survey:
        """Survey facts from the ``survey`` group of the configuration.

        Parameters
        ----------
        settings : mapping or None
            The group, or None for no survey. Keys that this class does not
            know are left to their owners.

        Returns
        -------
        Survey

        Raises
        ------
        AutogalError
            Where a value is not a number, or not positive where it must be.
        """
        if settings is None:
            return cls()
        facts = {}
        for known in fields(cls):
            value = settings.get(known.name)
            if value is None:
                continue
            if known.name in ("name", "band"):
                facts[known.name] = str(value)
                continue
            try:
                number = tuple(map(float, value)) if known.name == "magnitude" else float(value)
            except (TypeError, ValueError):
                raise AutogalError(
                    f"survey.{known.name} = {value!r} is not a number.", "Correct the survey's configuration."
                ) from None
            facts[known.name] = number
        return cls(**facts)

    def unit_ratio(self, zeropoint: float) -> float:
        """Survey units in one unit of an image with this zero point (1 where unknown)."""
        return 1.0 if self.zeropoint is None else math.pow(10.0, 0.4 * (self.zeropoint - zeropoint))
