"""The result of a run: a table, the covariances, and the images that go with them."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Column, Table

from autogal.errors import AutogalError
from autogal.flags import MEASURED, Flag
from autogal.parameters import SINGLE
from autogal.results.arviz import to_arviz
from autogal.results.columns import bare_names
from autogal.results.data import CatalogueData
from autogal.results.files import read_catalogue, write_catalogue

if TYPE_CHECKING:  # reading a catalogue needs neither images nor fits
    from autogal.images.cutout import Cutout
    from autogal.model.fitted import Fitted

__all__ = ["Catalogue", "read"]


@dataclass(eq=False, repr=False)
class Catalogue(CatalogueData):
    """What was measured, one row per input, in input order.

    Parameters
    ----------
    table : astropy.table.Table
        N rows, from :func:`autogal.results.build.build_table`.
    covariance : ndarray, shape (N, P, P)
        In the units of the parameters' columns (degrees for angles); NaN
        where not measurable.
    parameters : sequence of str, length P
        Names of the fitted parameters, in the order of the covariance.
    cutouts : sequence of Cutout, length N, optional
        The fitted images. A run too large to keep them has none, and then no
        model images.
    bootstrap, replicates, neighbours, model, settings, seconds
        As `CatalogueData` has them, by name.

    Raises
    ------
    ValueError
        Where these do not belong together.
    """

    cutouts: Sequence[Cutout] | None = None

    def __post_init__(self):
        super().__post_init__()
        if self.cutouts is not None and len(self.cutouts) != len(self.table):
            raise ValueError(f"{len(self.cutouts)} cutouts for {len(self.table)} rows")
        self.cutouts = None if self.cutouts is None else list(self.cutouts)

    @classmethod
    def from_fitted(
        cls,
        cutouts: Sequence[Cutout],
        fitted: Fitted,
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
        from autogal.results.build import build_data

        fields = vars(build_data(cutouts, fitted)) | {"model": model, "settings": dict(settings or {})}
        return cls(**fields, cutouts=cutouts if keep_cutouts else None)

    @classmethod
    def read(cls, path: str | Path, format: str | None = None) -> Catalogue:
        """A catalogue that :meth:`write` wrote. It has no cutouts.

        Parameters
        ----------
        path : str or Path
            A file, or the folder of a run.
        format : str, optional
            MODULE:CLASS of a format of your own; by default from the ending of the file.

        Raises
        ------
        AutogalError
            Where the file is missing or is not a catalogue of autogal.
        """
        return cls(**vars(read_catalogue(path, format)))

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
        kept = (
            [cutout for part in parts for cutout in part.cutouts or ()]
            if all(part.cutouts is not None for part in parts)
            else None
        )
        return cls(**parts[0].joined(parts[1:]), cutouts=kept)

    def __repr__(self) -> str:
        status = Counter(str(s) for s in self.table["status"])
        counts = ", ".join(f"{number} {word}" for word, number in status.most_common())
        bits = np.asarray(self.table["flags"])
        raised = {flag.name: int(np.count_nonzero(bits & flag)) for flag in Flag}
        flagged = ", ".join(f"{name} {count}" for name, count in raised.items() if count)
        return "\n".join(
            [
                f"<Catalogue of {len(self)} object{'' if len(self) == 1 else 's'}: {counts or 'empty'}",
                f"  model       {self.model} ({', '.join(self.parameters)})",
                f"  flags       {flagged or 'none'}",
                f"  table       {len(self)} rows x {len(self.table.columns)} columns",
                f"  covariance  {' x '.join(map(str, np.shape(self.covariance)))}",
                *(
                    [f"  replicates  {' x '.join(map(str, np.shape(self.replicates)))}"]
                    if self.replicates is not None
                    else []
                ),
                *(
                    [
                        f"  neighbours  {np.isfinite(self.neighbours[:, :, 0]).sum()} fitted together with "
                        f"their targets"
                    ]
                    if self.neighbours is not None
                    else []
                ),
                f"  images      {'kept: .model_image(i), .residual(i)' if self.cutouts is not None else 'not kept'}>",  # noqa: E501
            ]
        )

    def add_message(self, i: int, what: str) -> None:
        """Say one sentence more in the message of row `i`."""
        messages = [str(text) for text in self.table["message"]]
        messages[i] = f"{messages[i]} {what}".strip()
        column = self.table["message"]
        self.table.replace_column(
            "message", Column(messages, name="message", description=column.description, format=column.format)
        )

    def to_arviz(self, i: int) -> Any:
        """The samples of one object's posterior, or its bootstrap's replicates, as ArviZ takes them.

        Parameters
        ----------
        i : int
            Row; negative ones count from the end.

        Returns
        -------
        arviz.InferenceData, or xarray.DataTree from ArviZ 1 on
            Group ``posterior``, one chain, a variable for each parameter, without samples that failed.

        Raises
        ------
        IndexError
            Where there is no such row.
        AutogalError
            Where there are no samples, or ArviZ is not installed.
        """
        i = self._place(i)
        samples = np.empty((0, len(self.parameters))) if self.replicates is None else self.replicates[i]
        samples = samples[~np.isnan(samples).any(1)]
        if not len(samples):
            raise AutogalError(
                f"There are no samples of {self.table['id'][i]}.",
                "Fit with uncertainty=posterior uncertainty.keep=true.",
            )
        return to_arviz(dict(zip(self.parameters, samples.T)))

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
        i, cutout = self._place(i), self.cutout(i)
        row = self.table[i]
        model, names = self.settings.get("model", self.model), {name: name for name in self.parameters}
        if "models" in model and row["status"] in MEASURED:  # several were fitted: the chosen one
            chosen, bare = str(row["model"]), bare_names(self.table.colnames)
            model, names = (
                model["models"][chosen],
                {name: bare[name][1] for name in self.parameters if bare[name][0] == chosen},
            )
        values = {bare: float(row[name]) for name, bare in names.items()}
        if row["status"] not in MEASURED or np.isnan(list(values.values())).any():
            return np.full(cutout.shape, np.nan, dtype=np.float32)
        target = Table({name: [value] for name, value in values.items()})
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
        i, cutout = self._place(i), self.cutout(i)
        out = np.zeros(cutout.shape, cutout.image.dtype)
        found = np.empty((0, len(SINGLE))) if self.neighbours is None else self.neighbours[i]
        is_lit, is_point = np.isfinite(found[:, 0]), ~np.isfinite(found[:, -1])
        for model, some in (
            ("sersic", found[is_lit & ~is_point]),
            ("point_source", found[is_lit & is_point]),
        ):
            if len(some):
                out += self._render(Table(dict(zip(SINGLE, some.T))), cutout, model).sum(0)
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
        return self.cutout(i).image - self.model_image(i)

    def write(self, path: str | Path, format: str | None = None) -> Path:
        """Write the catalogue: all of it, or, if that fails, none of it.

        Parameters
        ----------
        path : str or Path
            A file whose ending is that of a format, or a folder, in which
            the file is called ``catalogue``.
        format : {"fits", "ecsv", "parquet"} or str, optional
            MODULE:CLASS for one of your own. By default from the ending of ``path``; fits for a folder.

        Returns
        -------
        Path
            The file written.

        Raises
        ------
        AutogalError
            For a format that does not exist, a folder that cannot be written, a full disk.
        """
        return write_catalogue(self, path, format)

    @staticmethod
    def _render(table: Table, cutout: Cutout, model: str | Mapping) -> np.ndarray:
        """Images of the rows of a table as a cutout shows them."""
        from autogal.model_images import render  # and with it torch

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

    def cutout(self, i: int) -> Cutout:
        """The image of one object.

        Raises
        ------
        IndexError, AutogalError
            As :meth:`model_image`.
        """
        i = self._place(i)
        if self.cutouts is None:
            raise AutogalError(
                "This catalogue does not hold its images, so it has no model images.",
                "Fit the objects again with autogal.fit, or use autogal.render with rows of the table.",
            )
        return self.cutouts[i]

    def _place(self, i: int) -> int:
        """A row counted from the first one."""
        i = operator.index(i)
        if not -len(self) <= i < len(self):
            raise IndexError(f"row {i} of a catalogue of {len(self)}")
        return i % len(self)


def read(path: str | Path, format: str | None = None) -> Catalogue:
    """The catalogue of a run, without its images.

    Parameters
    ----------
    path : str or Path
        The folder of a run (``out=``), or a catalogue's file.
    format : str, optional
        MODULE:CLASS of a format of your own; by default from the ending of the file.

    Raises
    ------
    AutogalError
        Where there is no catalogue.

    Examples
    --------
    >>> catalogue = autogal.read("run1")            # doctest: +SKIP
    >>> catalogue.table["mag", "mag_err"]           # doctest: +SKIP
    """
    return Catalogue.read(path, format)
