"""Published positions of real galaxies are found in the images of every survey."""

from types import SimpleNamespace

import numpy as np
from astropy.io import fits
from astropy.table import Table

from autogal.flags import Flag
from autogal.images.cutout import Cutout
from autogal.segment import segment


def test_targets_of_real_surveys_are_found(shared_data):
    settings = SimpleNamespace(
        name="sep", threshold=4.0, min_area=5, deblend_levels=64, deblend_contrast=3e-5, grow=1.0
    )
    found, rows = 0, 0
    lost = []
    for row in Table.read(shared_data / "INDEX.csv"):
        # GAMA's images hold next to no signal in most of their bands.
        if np.ma.is_masked(row["x_target"]) or row["survey"].startswith("GAMA"):
            continue
        read = {
            key: None if np.ma.is_masked(row[key]) else fits.getdata(shared_data / row[key]).astype(float)
            for key in ("image", "sigma", "mask", "psf")
        }
        sigma = (
            read["sigma"] if read["sigma"] is not None else np.full(read["image"].shape, row["bkg_rms_meas"])
        )
        mask = ~np.isfinite(read["image"]) | ~(sigma > 0)
        if read["mask"] is not None:
            mask |= read["mask"] > 0
        cutout = Cutout(
            row["object_id"],
            read["image"],
            sigma,
            mask,
            read["psf"],
            start={"x": float(row["x_target"]), "y": float(row["y_target"])},
        )
        result = segment(cutout, settings)
        rows += 1
        size = np.sqrt(max(result.target.sum(), 1) / np.pi)
        distance = np.hypot(result.x - row["x_target"], result.y - row["y_target"])
        good = Flag.NO_TARGET not in result.flags and distance < max(3, 0.5 * size)
        found += good
        if not good:
            lost.append((row["object_id"], row["band"], round(float(distance), 1)))
    assert rows > 100
    assert found >= 0.97 * rows, lost
