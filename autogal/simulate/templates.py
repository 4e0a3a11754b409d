"""Galaxies of a user's own catalogue, to draw scenes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from astropy.table import Table
from torch import Tensor

from autogal.errors import AutogalError
from autogal.images.survey import Survey
from autogal.simulate.rng import Rng

__all__ = ["Templates"]

_KERNEL = {"mag": 0.1, "r_eff": 0.05, "n": 0.05}


@dataclass(frozen=True, eq=False)
class Templates:
    """Magnitudes, sizes and shapes that occur together.

    Attributes
    ----------
    mag, r_eff, n, q : Tensor, [M]
        `r_eff` in arcsec where `in_arcsec`, else in px.
    in_arcsec : bool
    """

    mag: Tensor
    r_eff: Tensor
    n: Tensor
    q: Tensor
    in_arcsec: bool

    @classmethod
    def read(cls, path: str | Path) -> Templates:
        """Read a table with columns mag, r_eff_arcsec (or r_eff, in px), n and q, as a catalogue of ``autogal
        fit`` has.

        Rows with a value that is missing or impossible are left out.

        Raises
        ------
        AutogalError
            Where the file cannot be read, lacks a column, or has no usable row.
        """
        wanted = "It needs the columns mag, r_eff_arcsec (or r_eff, in pixels), n and q."
        try:
            table = Table.read(path)
        except Exception as problem:  # astropy's readers raise whatever their formats do
            raise AutogalError(f"The catalogue {path} cannot be read: {problem}.", wanted) from problem
        in_arcsec = "r_eff_arcsec" in table.colnames
        names = ("mag", "r_eff_arcsec" if in_arcsec else "r_eff", "n", "q")
        if missing := [name for name in names if name not in table.colnames]:
            raise AutogalError(f"The catalogue {path} has no column {', '.join(missing)}.", wanted)
        try:
            mag, r_eff, n, q = (np.ma.filled(np.ma.asarray(table[name], float), np.nan) for name in names)
        except (TypeError, ValueError) as problem:
            raise AutogalError(
                f"The catalogue {path} holds words where numbers are needed.", wanted
            ) from problem
        good = np.isfinite(mag) & (r_eff > 0) & (n >= 0.2) & (n <= 10) & (q > 0.02) & (q <= 1)
        if not good.any():
            raise AutogalError(
                f"The catalogue {path} has no row with a possible mag, r_eff, n and q.", wanted
            )
        return cls(
            *(torch.as_tensor(np.asarray(column[good], np.float32)) for column in (mag, r_eff, n, q)),
            in_arcsec,
        )

    def draw(self, rng: Rng, *draw: int, survey: Survey) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """mag, r_eff [px], n and q of rows drawn at random, moved a little so that no galaxy comes twice."""
        row = rng.uniform(0, len(self.mag), *draw).long().clamp(max=len(self.mag) - 1)
        mag, r_eff, n, q = (column.to(rng.device)[row] for column in (self.mag, self.r_eff, self.n, self.q))
        r_eff = (
            r_eff
            * torch.exp(_KERNEL["r_eff"] * rng.normal(*draw))
            / (survey.pixel_scale if self.in_arcsec else 1.0)
        )
        n = (n * torch.exp(_KERNEL["n"] * rng.normal(*draw))).clamp(0.2, 10)
        return mag + _KERNEL["mag"] * rng.normal(*draw), r_eff, n, q
