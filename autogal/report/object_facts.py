"""What there is to tell of one object, apart from how it is shown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Row

from autogal.flags import Flag, quality
from autogal.report.measurement import measurement
from autogal.results.columns import COLUMNS, component_of, of_chosen

if TYPE_CHECKING:
    from autogal.images.cutout import Cutout

__all__ = ["HalfLightEllipse", "Measured", "ObjectFacts", "object_facts"]

# What was assumed about the input; every other flag is about the measurement.
_ASSUMED = (
    Flag.SIGMA_ESTIMATED
    | Flag.PSF_DEFAULT
    | Flag.PSF_CORRECTED
    | Flag.ZEROPOINT_DEFAULT
    | Flag.PIXEL_SCALE_DEFAULT
)
# Of the numbers, those that come first and last, and those that are left out
_FIRST, _LAST = ("mag", "bt", "r_eff", "r_eff_arcsec", "n", "q", "pa"), ("x", "y", "sky", "sky_dx", "sky_dy")
_LEFT_OUT = ("flux", "mu_e_mean", "mu_break", "pa_sky")
_SYMBOLS = {"r_eff_arcsec": "r_eff", "pa": "PA", "bt": "B/T"}
_UNITS = {"pix": " px", "arcsec": "″", "deg": "°"}


@dataclass(frozen=True, slots=True)
class Measured:
    """A number: of which component, what it is called, and the number with its error and unit."""

    component: str
    label: str
    text: str


@dataclass(frozen=True, slots=True)
class HalfLightEllipse:
    """Where half of a component's light lies: centre and semi-major axis [px], axis ratio, and angle
    [deg]."""

    x: float
    y: float
    r_eff: float
    q: float
    pa: float


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """What is told of an object.

    Attributes
    ----------
    id : str
    status, quality : str
        Words of these columns; empty where they are not known.
    warnings, assumptions : list of str
        Its flags in words: what they say of the measurement, and what was assumed about the input.
    model : str
        The chosen one of several, else empty.
    snr, chi2_dof : float
        NaN where not measured.
    n_iter : int
    sky : float
        In image units per pixel; NaN where not measured.
    measured : list of list of Measured
        A list a component, in the order in which they are told; empty where nothing was measured.
    ellipses : list of HalfLightEllipse or None
        One a component that has a half-light radius; None where it was not measured.
    error : str
        Why there is no result; empty where there is one.
    """

    id: str
    status: str
    quality: str
    warnings: list[str]
    assumptions: list[str]
    model: str
    snr: float
    chi2_dof: float
    n_iter: int
    sky: float
    measured: list[list[Measured]]
    ellipses: list[HalfLightEllipse | None]
    error: str


def object_facts(cutout: Cutout, row: Row | Mapping[str, Any] | None = None) -> ObjectFacts:
    """What there is to tell of an object.

    Parameters
    ----------
    cutout : Cutout
    row : astropy.table.Row or mapping, optional
        The object's row of the catalogue.
    """
    values = of_chosen({name: row[name] for name in getattr(row, "colnames", row)} if row is not None else {})
    status = str(values.get("status") or ("failed" if cutout.error else ""))
    flags = Flag(int(values.get("flags", cutout.flags)))
    return ObjectFacts(
        id=cutout.id,
        status=status,
        quality=str(values.get("quality") or quality(status, int(flags))) if status else "",
        warnings=[_word(flag) for flag in flags & ~_ASSUMED],
        assumptions=[_word(flag) for flag in flags & _ASSUMED],
        model=str(values.get("model") or ""),
        snr=float(values.get("snr", np.nan)),
        chi2_dof=float(values.get("chi2_dof", np.nan)),
        n_iter=int(values.get("n_iter", 0)),
        sky=float(values.get("sky", np.nan)),
        measured=_measured(values),
        ellipses=_ellipses(values),
        error=cutout.error or "",
    )


def _word(flag: Flag) -> str:
    return str(flag.name).lower().replace("_", " ").replace("psf", "PSF").replace("low sn", "low S/N")


def _measured(values: Mapping[str, Any]) -> list[list[Measured]]:
    lines: dict[str, list[tuple[int, Measured]]] = {}
    is_measured = False
    for name in values:
        component, bare = component_of(name)
        if f"{name}_err" not in values or bare in _LEFT_OUT:
            continue
        value, error = float(values[name]), float(values[f"{name}_err"])
        is_measured |= math.isfinite(value)
        rank = (
            _FIRST.index(bare)
            if bare in _FIRST
            else 100 + _LAST.index(bare)
            if bare in _LAST
            else len(_FIRST)
        )
        unit = _UNITS.get(str(COLUMNS[bare].unit), "") if bare in COLUMNS else ""
        label = f"{component} {_SYMBOLS.get(bare, bare)}".strip()
        lines.setdefault(component, []).append(
            (rank, Measured(component, label, measurement(value, error) + unit))
        )
    return (
        [[one for _, one in sorted(lines[component], key=lambda one: one[0])] for component in sorted(lines)]
        if is_measured
        else []
    )


def _ellipses(values: Mapping[str, Any]) -> list[HalfLightEllipse | None]:
    out: list[HalfLightEllipse | None] = []
    for name in (name for name in values if component_of(name)[1] == "r_eff" and f"{name}_err" in values):
        prefix = name.removesuffix("r_eff")
        x, y, q, pa = (
            float(values.get(prefix + key, values.get(key, np.nan))) for key in ("x", "y", "q", "pa")
        )
        known = np.isfinite([x, y, q, pa, float(values[name])]).all()
        out.append(HalfLightEllipse(x, y, float(values[name]), q, pa) if known else None)
    return out
