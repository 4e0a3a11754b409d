"""The result of a run: a table, the covariances, and the images that go with them."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Column, Table

from autogal import flags as quality
from autogal.errors import AutogalError
from autogal.model.spec import build_model
from autogal.images.cutout import Cutout
from autogal.model.fitted import NEIGHBOUR
from autogal.model_images import render
from autogal.results import writers
from autogal.results.rows import MEASURED, build_table, join_tables, measured, unmeasured_as_nan

__all__ = ["Catalogue"]


class Catalogue:
    """What was measured, one row per input, in input order.

    Parameters
    ----------
    table : astropy.table.Table
        N rows, from :func:`autogal.results.build_table`.
    covariance : ndarray, shape (N, P, P)
        In the units of the parameters' columns (degrees for angles); NaN
        where not measurable.
    parameters : sequence of str, length P
        Names of the fitted parameters, in the order of the covariance.
    cutouts : sequence of Cutout, length N, optional
        The fitted images. A run too large to keep them has none, and then no
        model images.
    model : str
        The model that was fitted.
    settings : mapping, optional
        The configuration of the run; it is written with the catalogue.
    seconds : mapping, optional
        Time spent in each stage [s].
    bootstrap : ndarray, shape (N, P, P), optional
        Covariance of the bootstrap's replicates, where ``covariance`` is of
        another kind.
    replicates : ndarray, shape (N, R, P), optional
        Parameters of the bootstrap's replicates, where they were asked for;
        NaN in those that failed.
    neighbours : ndarray, shape (N, K, 7), optional
        x, y, mag, r_eff, n, q, pa of the neighbours fitted together with each
        target; NaN where there is none, and in all but the first three of a
        point source.
    """

    def __init__(
        self,
        table: Table,
        covariance: np.ndarray,
        parameters: Sequence[str],
        cutouts: Sequence[Cutout] | None = None,
        model: str = "sersic",
        settings: Mapping[str, Any] | None = None,
        seconds: Mapping[str, float] | None = None,
        bootstrap: np.ndarray | None = None,
        replicates: np.ndarray | None = None,
        neighbours: np.ndarray | None = None,
    ):
        p = len(parameters)
        if np.shape(covariance) != (len(table), p, p):
            raise ValueError(f"covariance of shape {np.shape(covariance)} for {len(table)} rows of {p} parameters")
        if bootstrap is not None and np.shape(bootstrap) != np.shape(covariance):
            raise ValueError(f"a bootstrap covariance of shape {np.shape(bootstrap)} beside one of {np.shape(covariance)}")
        if replicates is not None and np.shape(replicates) != (len(table), np.shape(replicates)[1], p):
            raise ValueError(f"replicates of shape {np.shape(replicates)} for {len(table)} rows of {p} parameters")
        if neighbours is not None and np.shape(neighbours) != (len(table), np.shape(neighbours)[1], len(NEIGHBOUR)):
            raise ValueError(f"neighbours of shape {np.shape(neighbours)} for {len(table)} rows")
        if cutouts is not None and len(cutouts) != len(table):
            raise ValueError(f"{len(cutouts)} cutouts for {len(table)} rows")
        self.table = table
        self.covariance = covariance
        self.parameters = tuple(parameters)
        self.cutouts = None if cutouts is None else list(cutouts)
        self.model = model
        self.settings = dict(settings or {})
        self.seconds = dict(seconds or {})
        self.bootstrap = bootstrap
        self.replicates = replicates
        self.neighbours = neighbours

    @classmethod
    def from_fitted(
        cls,
        cutouts: Sequence[Cutout],
        fitted,
        model: str = "sersic",
        settings: Mapping[str, Any] | None = None,
        keep_cutouts: bool = True,
    ) -> Catalogue:
        """The catalogue of a fit.

        Parameters
        ----------
        cutouts : sequence of Cutout, length N
            Every input, failed ones included.
        fitted : Fitted
            One item per cutout, in the same order.
        model, settings
            As in the class.
        keep_cutouts : bool
            False lets the images go; the catalogue then has no model images.
        """
        table = build_table(cutouts, fitted)
        _, covariance, status = measured(cutouts, fitted)
        parts = (fitted.bootstrap, fitted.replicates, fitted.neighbours)
        others = (None if part is None else unmeasured_as_nan(part, status) for part in parts)
        kept = cutouts if keep_cutouts else None
        return cls(table, covariance, fitted.parameters, kept, model, settings, fitted.seconds, *others)

    @classmethod
    def read(cls, path: str | Path) -> Catalogue:
        """A catalogue that :meth:`write` wrote. It has no cutouts.

        Raises
        ------
        AutogalError
            Where the file is missing or is not a catalogue of autogal.
        """
        return cls(*writers.read_catalogue(path))

    @classmethod
    def join(cls, parts: Sequence[Catalogue]) -> Catalogue:
        """Blocks of one run as one catalogue, in order.

        Parameters
        ----------
        parts : sequence of Catalogue
            At least one; the same parameters in each. Cutouts are kept where
            every block has them, and times are added up.

        Raises
        ------
        ValueError
            Where the parameters differ.
        """
        first = parts[0]
        if any(part.parameters != first.parameters for part in parts):
            raise ValueError("the blocks of a catalogue were fitted with different parameters")
        seconds: Counter[str] = Counter()
        for part in parts:
            seconds.update(part.seconds)
        kept = all(part.cutouts is not None for part in parts)
        others = ([getattr(part, name) for part in parts] for name in ("bootstrap", "replicates", "neighbours"))
        return cls(
            join_tables([part.table for part in parts]),
            np.concatenate([part.covariance for part in parts]),
            first.parameters,
            [cutout for part in parts for cutout in part.cutouts or ()] if kept else None,
            first.model,
            first.settings,
            seconds,
            *(None if any(part is None for part in other) else np.concatenate(other) for other in others),
        )

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        status = Counter(str(s) for s in self.table["status"])
        counts = ", ".join(f"{number} {word}" for word, number in status.most_common())
        bits = np.asarray(self.table["flags"])
        raised = {flag.name: int(np.count_nonzero(bits & flag)) for flag in quality.Flag}
        flagged = ", ".join(f"{name} {count}" for name, count in raised.items() if count)
        return "\n".join(
            [
                f"<Catalogue of {len(self)} object{'' if len(self) == 1 else 's'}: {counts or 'empty'}",
                f"  model       {self.model} ({', '.join(self.parameters)})",
                f"  flags       {flagged or 'none'}",
                f"  table       {len(self)} rows x {len(self.table.columns)} columns",
                f"  covariance  {' x '.join(map(str, np.shape(self.covariance)))}",
                *([f"  replicates  {' x '.join(map(str, np.shape(self.replicates)))}"] if self.replicates is not None else []),
                *([f"  neighbours  {np.isfinite(self.neighbours[:, :, 0]).sum()} fitted together with their targets"]
                  if self.neighbours is not None else []),
                f"  images      {'kept: .model_image(i), .residual(i)' if self.cutouts is not None else 'not kept'}>",
            ]
        )

    def add_message(self, i: int, what: str) -> None:
        """Say one sentence more in the message of row `i`."""
        said = [str(text) for text in self.table["message"]]
        said[i] = f"{said[i]} {what}".strip()
        column = self.table["message"]
        self.table.replace_column("message", Column(said, name="message", description=column.description, format=column.format))

    def model_image(self, i: int) -> np.ndarray:
        """The fitted model of one object, PSF-convolved, sky and fitted neighbours included.

        Parameters
        ----------
        i : int
            Row; negative ones count from the end.

        Returns
        -------
        ndarray, shape (H, W)
            In image units, on the pixels of the object's own cutout. NaN
            where the object was not measured.

        Raises
        ------
        IndexError
            Where there is no such row.
        AutogalError
            Where the cutouts were not kept.
        """
        i, cutout = self._cutout(i)
        row = self.table[i]
        model, prefix, parameters = self.settings.get("model", self.model), "", list(self.parameters)
        if "models" in model and row["status"] in MEASURED:  # several were fitted: the chosen one
            model, prefix = model["models"][str(row["model"])], f"{row['model']}_"
            parameters = build_model(model).parameters
        values = [float(row[prefix + name]) for name in parameters]
        if row["status"] not in MEASURED or np.isnan(values).any():
            return np.full(cutout.shape, np.nan, dtype=np.float32)
        target = Table({name: [value] for name, value in zip(parameters, values)})
        return self._render(target, cutout, model)[0] + self.neighbours_image(i)

    def neighbours_image(self, i: int) -> np.ndarray:
        """The neighbours that were fitted together with one object, PSF-convolved, without sky.

        Parameters
        ----------
        i : int
            Row; negative ones count from the end.

        Returns
        -------
        ndarray, shape (H, W)
            In image units; zero where no neighbour was fitted.

        Raises
        ------
        IndexError, AutogalError
            As :meth:`model_image`.
        """
        i, cutout = self._cutout(i)
        out = np.zeros(cutout.shape, cutout.image.dtype)
        found = np.empty((0, len(NEIGHBOUR))) if self.neighbours is None else self.neighbours[i]
        is_lit, is_point = np.isfinite(found[:, 0]), ~np.isfinite(found[:, -1])
        for model, some in (("sersic", found[is_lit & ~is_point]), ("point_source", found[is_lit & is_point])):
            if len(some):
                out += self._render(Table(dict(zip(NEIGHBOUR, some.T))), cutout, model).sum(0)
        return out

    def residual(self, i: int) -> np.ndarray:
        """Image minus model of one object.

        Parameters
        ----------
        i : int
            Row; negative ones count from the end.

        Returns
        -------
        ndarray, shape (H, W)
            In image units, excluded pixels included; NaN where the object was
            not measured.

        Raises
        ------
        IndexError, AutogalError
            As :meth:`model_image`.
        """
        return self._cutout(i)[1].image - self.model_image(i)

    def write(self, path: str | Path, format: str | None = None) -> Path:
        """Write the catalogue: all of it, or, if that fails, none of it.

        Parameters
        ----------
        path : str or Path
            A file whose ending is that of a format, or a folder, in which
            the file is called ``catalogue``.
        format : {"fits", "ecsv", "parquet"}, optional
            By default from the ending of ``path``; fits for a folder.

        Returns
        -------
        Path
            The file written.

        Raises
        ------
        AutogalError
            For a format that does not exist, a folder that cannot be written, a full disk.
        """
        return writers.write_catalogue(self, path, format)

    @staticmethod
    def _render(table: Table, cutout: Cutout, model: str | Mapping) -> np.ndarray:
        """Images of the rows of a table as a cutout shows them."""
        return render(
            table,
            model=model,
            psf=cutout.psf,
            psf_kind=cutout.psf_kind,
            psf_oversample=cutout.psf_oversample,
            shape=cutout.shape,
            zeropoint=cutout.zeropoint,
            dtype=str(cutout.image.dtype),
        )

    def _cutout(self, i: int) -> tuple[int, Cutout]:
        i = operator.index(i)
        if not -len(self) <= i < len(self):
            raise IndexError(f"row {i} of a catalogue of {len(self)}")
        if self.cutouts is None:
            raise AutogalError(
                "This catalogue does not hold its images, so it has no model images.",
                "Fit the objects again with autogal.fit, or use autogal.render with rows of the table.",
            )
        i %= len(self)
        return i, self.cutouts[i]
