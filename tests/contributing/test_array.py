"""An array from the fit: its field, where it is filled, and the line that declares it. Three files."""

from __future__ import annotations


def test_an_array_from_the_fit_touches_three_files(changed_package):
    run = changed_package(
        {
            # a fit has it, a row a galaxy
            "model/fitted.py": [
                (
                    "    hanging: np.ndarray | None = None\n",
                    "    correlation: np.ndarray | None = _rows(default=None)\n    hanging: np.ndarray | "
                    "None = None\n",
                )
            ],
            # it is filled
            "fitting/store.py": [
                (
                    "    reduced = chi2 / mean\n",
                    "    reduced = chi2 / mean\n"
                    "    if fitted.correlation is None:\n"
                    "        fitted.correlation = np.full_like(fitted.covariance, np.nan)\n"
                    "    error = np.sqrt(np.diagonal(matrix, axis1=1, axis2=2))\n"
                    "    fitted.correlation[rows] = matrix / (error[:, :, None] * error[:, None, :])\n",
                )
            ],
            # and the catalogue says what it is
            "results/data.py": [
                (
                    '    model: str = "sersic"\n    settings: Mapping',
                    '    correlation: np.ndarray | None = _array("correlation", ("parameter", "parameter"), "Correlation matrix of")\n'
                    '    model: str = "sersic"\n    settings: Mapping',
                )
            ],
        },
        most=3,
    )
    run("""
FIT
error = np.sqrt(catalogue.covariance[0].diagonal())
assert np.isfinite(error[:-1]).all()
np.testing.assert_allclose(catalogue.correlation[0], catalogue.covariance[0] / np.outer(error, error), rtol=1e-6)
for ending in ("fits", "ecsv", "parquet"):
    again = autogal.read(catalogue.write(f"a.{ending}"))
    np.testing.assert_array_equal(again.correlation, catalogue.correlation)
from astropy.io import fits
assert "CORRELATION" in [hdu.name for hdu in fits.open("a.fits")]
assert "Correlation matrix of x, y, mag" in Table.read("a.ecsv")["correlation"].description
assert autogal.Catalogue.join([catalogue, catalogue]).correlation.shape == (2, 8, 8)
""")
