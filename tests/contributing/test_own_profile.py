"""A profile of one's own: a class in a file of one's own, named in the configuration; 0 files of the
package."""

from __future__ import annotations

import numpy as np

from .files import few_galaxies, fit, write

PROFILE = '''
from autogal import Profile, ShapeParameter


class Softened(Profile):
    """Light that falls as a power of the radius, from a flat core."""

    shape = (ShapeParameter("alpha", 1.2, 10.0),)
    typical = ((2.5,),)

    def surface_brightness(self, r, alpha):
        return (1 + r**2) ** -alpha
'''


def test_it_is_fitted_and_has_its_columns(tmp_path, monkeypatch):
    write(tmp_path, "my_profiles.py", PROFILE)
    monkeypatch.chdir(tmp_path)
    observed = few_galaxies(1)
    own = fit(observed, model={"name": "mine", "profile": "my_profiles:Softened", "start": {"alpha": 3.0}})
    same = fit(observed, model="moffat")
    assert own.table["status"][0] == "converged"
    assert abs(own.table["mag"][0] - same.table["mag"][0]) < 1e-3, (
        "the Moffat profile, with a size of another name"
    )
    np.testing.assert_allclose(own.table["alpha"], same.table["beta"], rtol=1e-2)
    assert np.isfinite(own.table["h_err"][0])
