"""What tests share: the folder of real images, and the command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source tree."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real survey images (INDEX.csv and one sub-folder a survey); skips where there is none.

    It is ``data/`` inside the folder that AUTOGAL_SHARED names, by default
    ``shared`` next to the repository.
    """
    data = Path(os.environ.get("AUTOGAL_SHARED", ROOT.parent / "shared")) / "data"
    if not (data / "INDEX.csv").is_file():
        pytest.skip(f"no real images: {data}/INDEX.csv is missing (AUTOGAL_SHARED names another folder)")
    return data


@pytest.fixture
def autogal_command(tmp_path) -> Callable[..., subprocess.CompletedProcess]:
    """Run ``autogal WORD ...`` in a process of its own, by default in an empty folder."""

    def run(*words: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess:
        folder = cwd or tmp_path
        inherited = {
            key: value
            for key, value in os.environ.items()
            if key not in ("AUTOGAL_DEBUG", "HYDRA_FULL_ERROR")
        }
        return subprocess.run(
            [sys.executable, "-m", "autogal.cli", *map(str, words)],
            cwd=folder,
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=300,
            env=inherited | environment,
        )

    return run


@pytest.fixture(scope="session")
def write_galaxy() -> Callable[..., None]:
    """Write a FITS image of one bright galaxy, and one of its PSF."""
    import numpy as np
    from astropy.io import fits
    from astropy.table import Table

    import autogal

    def write(image: Path, psf: Path | None = None, *, mag: float = 18.0, seed: int = 1) -> None:
        y, x = np.mgrid[-12:13, -12:13]
        star = (1 + (x**2 + y**2) / 2.3**2) ** -3.0  # Moffat, FWHM 2.3 px
        star /= star.sum()
        truth = Table(
            {"x": [31.3], "y": [32.2], "mag": [mag], "r_eff": [5.0], "n": [1.5], "q": [0.7], "pa": [40.0]}
        )
        pixels = autogal.render(truth, psf=star, shape=(64, 64), zeropoint=25.0)[0]
        pixels = pixels + np.random.default_rng(seed).normal(0.0, 0.3, pixels.shape)
        fits.writeto(image, pixels.astype(np.float32))
        if psf is not None:
            fits.writeto(psf, star.astype(np.float32), overwrite=True)

    return write
