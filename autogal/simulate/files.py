"""Simulated scenes as files, as a survey would hand them out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table, vstack

from autogal.errors import AutogalError
from autogal.images.cutout import Cutout

__all__ = ["SceneWriter", "write_scenes"]


class SceneWriter:
    """Writes scenes block by block, and their tables at the end, also where the end comes early.

    Parameters
    ----------
    folder : path
        Made if it is not there; files of the same names are replaced.

    Attributes
    ----------
    manifest, truth : Path
        ``manifest.csv``, which lists the files relative to itself and is itself an input of ``autogal fit``,
        and ``truth.ecsv``. Beside them, for each id: ``<id>_image.fits``, ``<id>_sigma.fits``,
        ``<id>_psf.fits``, where there are bad pixels ``<id>_mask.fits``, and ``<id>_instances.fits`` with a
        plane for each visible source.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.manifest, self.truth = self.folder / "manifest.csv", self.folder / "truth.ecsv"
        self._rows: list[dict] = []
        self._tables: list[Table] = []

    def __enter__(self) -> SceneWriter:
        return self

    def __exit__(self, *_) -> None:
        if self._tables:
            self.finish()

    def write(
        self, cutouts: Sequence[Cutout], truth: Table, instances: Sequence[np.ndarray] | None = None
    ) -> None:
        """Write the images of some scenes.

        Raises
        ------
        AutogalError
            Where the folder cannot be written.
        """
        with _explained(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            for i, cutout in enumerate(cutouts):
                self._rows.append(self._write_images(cutout))
                if instances is not None:
                    fits.writeto(
                        self.folder / f"{cutout.id}_instances.fits",
                        instances[i].astype(np.uint8),
                        overwrite=True,
                    )
        self._tables.append(truth)

    def finish(self) -> Path:
        """Write the manifest and the truth of all scenes so far; returns the manifest."""
        with _explained(self.folder):
            vstack(self._tables, metadata_conflicts="silent").write(
                self.truth, format="ascii.ecsv", overwrite=True
            )
            Table(self._rows).write(self.manifest, format="ascii.csv", overwrite=True)
        return self.manifest

    def _write_images(self, cutout: Cutout) -> dict:
        header = fits.Header()
        header["OBJECT"] = cutout.id
        header["MAGZERO"] = (cutout.zeropoint, "magnitude of one image unit")
        header["PIXSCALE"] = (cutout.pixel_scale, "arcsec per pixel")
        if cutout.gain is not None:
            header["GAINEFF"] = (cutout.gain, "electrons per image unit")
        row = {"id": cutout.id, "mask": ""}
        arrays = {"image": cutout.image, "sigma": cutout.sigma, "psf": cutout.psf}
        if cutout.mask.any():
            arrays["mask"] = cutout.mask
        for kind, array in arrays.items():
            row[kind] = f"{cutout.id}_{kind}.fits"
            fits.writeto(
                self.folder / row[kind],
                np.asarray(array, np.uint8 if kind == "mask" else np.float32),
                header if kind == "image" else None,
                overwrite=True,
            )
        return {**row, "zeropoint": cutout.zeropoint, "pixel_scale": cutout.pixel_scale, "gain": cutout.gain}


def write_scenes(
    folder: str | Path, cutouts: Sequence[Cutout], truth: Table, instances: Sequence[np.ndarray] | None = None
) -> Path:
    """Write the scenes of one simulation; see `SceneWriter`.

    Parameters
    ----------
    folder : str or Path
    cutouts, truth, instances
        As of `SceneWriter.write`.

    Returns
    -------
    Path
        The manifest.

    Raises
    ------
    AutogalError
        Where the folder cannot be written.
    """
    writer = SceneWriter(folder)
    writer.write(cutouts, truth, instances)
    return writer.finish()


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Errors of writing, said in the user's terms."""
    try:
        yield
    except OSError as problem:
        raise AutogalError(
            f"The simulated scenes cannot be written to {folder}: {problem.strerror or problem}.",
            "Choose another folder, or make room there.",
        ) from problem
