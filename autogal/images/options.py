"""What the configuration says about the input, read once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from autogal.errors import AutogalError
from autogal.images.noise.given import read_correlation
from autogal.images.psf.own import is_psf_model, validate_psf_model
from autogal.images.survey import Survey

__all__ = ["Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """Settings that hold for every cutout of a run; None where nothing is set.

    They win over manifests, companions found by name, headers and the survey.

    Attributes
    ----------
    dtype : str
        ``"float32"`` or ``"float64"``: of the images and sigma maps.
    hdu : str or int or None
        Extension of the images whose path selects none.
    psf, sigma, mask : str or None
        Files shared by all cutouts; of the PSF also a model, MODULE:FUNCTION.
    psf_kind : str
    psf_oversample : int or None
        None: what the PSF's header says, else 1.
    zeropoint, pixel_scale, gain, saturation : float or None
    survey : Survey
    counts : bool
        Whether the images, times the gain, are counts, and fitted as such.
    correlation : str
        Of the noise of neighbouring pixels: ``auto``, ``none`` or a FITS file.
    largest : float or None
        Pixels of the largest image that is read; None: what the memory can hold.
    """

    dtype: str = "float32"
    hdu: str | int | None = None
    psf: str | None = None
    psf_kind: str = "effective"
    psf_oversample: int | None = None
    sigma: str | None = None
    mask: str | None = None
    zeropoint: float | None = None
    pixel_scale: float | None = None
    gain: float | None = None
    saturation: float | None = None
    survey: Survey = field(default_factory=Survey)
    counts: bool = False
    correlation: str = "auto"
    largest: float | None = None

    def __post_init__(self):
        if self.dtype not in ("float32", "float64"):
            raise AutogalError(f"dtype = {self.dtype} is not known.", "Choose float32 or float64.")
        if self.psf_kind not in ("effective", "optical"):
            raise AutogalError(f"psf.kind = {self.psf_kind} is not known.", "Choose effective or optical.")
        if self.psf_oversample is not None and self.psf_oversample < 1:
            raise AutogalError(
                f"psf.oversample = {self.psf_oversample} is not positive.", "Give 1, 2, 3, ..."
            )

    @classmethod
    def from_settings(cls, settings=None) -> Options:
        """Options from a composed configuration; keys that are absent keep their defaults.

        Parameters
        ----------
        settings : mapping, Options or None

        Returns
        -------
        Options

        Raises
        ------
        AutogalError
            Where a value is not usable.
        """
        if isinstance(settings, cls):
            return settings
        if settings is None:
            return cls()
        given = {}
        for name in ("zeropoint", "pixel_scale", "gain", "saturation"):
            if settings.get(name) is not None:
                given[name] = float(settings.get(name))
        for name in ("sigma", "mask"):
            given[name] = _file(settings.get(name))
        if settings.get("dtype") is not None:
            given["dtype"] = str(settings.get("dtype"))
        given["hdu"] = settings.get("hdu")
        psf = settings.get("psf")
        if psf is not None:
            if psf.get("kind") is not None:
                given["psf_kind"] = str(psf.get("kind"))
            if psf.get("oversample") is not None:
                given["psf_oversample"] = int(psf.get("oversample"))
            path = psf.get("path")
            given["psf"] = (
                validate_psf_model(path, given.get("psf_oversample", 1))
                if is_psf_model(path)
                else _file(path)
            )
        given["counts"] = _are_counts(settings.get("likelihood") or {})
        if settings.get("noise") is not None:
            given["correlation"] = _correlation(settings["noise"].get("correlation"))
        if (settings.get("limits") or {}).get("image") is not None:
            given["largest"] = 1e6 * float(settings["limits"]["image"])
        return cls(survey=Survey.from_settings(settings.get("survey")), **given)


def _are_counts(node: Mapping) -> bool:
    """Whether a node ``likelihood`` is of counts."""
    if node.get("name") is None:
        return False
    from autogal.likelihood import likelihood_class  # with it comes torch, which images do without

    return likelihood_class(str(node.get("name"))).counts


def _correlation(wanted: str | bool | None) -> str:
    if wanted in (None, False):  # YAML's null, and its no
        return "none"
    if wanted in ("auto", "none"):
        return str(wanted)
    path = _file(str(wanted))
    read_correlation(path)  # before any image is
    return path


def _file(path: str | None) -> str | None:
    return None if path is None else os.path.abspath(os.path.expanduser(str(path)))
