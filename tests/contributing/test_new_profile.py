"""A radial profile that comes with the package: its own file, and its name in profiles/__init__.py; 2
files of the package."""

from __future__ import annotations

import torch

from autogal.profiles import PROFILES, RadialProfile, ShapeParameter
from autogal.profiles.validation import validate_profile

from .files import few_galaxies, fit

# -- autogal/profiles/exponential_of_root.py -----------------------------------------------------------------


class ExponentialOfRoot(RadialProfile):
    """A Sersic profile of n = 2 by another name: exp(-b sqrt(t)), b = 3.6721."""

    name = "exponential_of_root"
    shape: tuple[ShapeParameter, ...] = ()

    def intensity(self, log_t, shape):
        b = 3.672060748850928
        return b**4 / (24 * torch.pi) * torch.exp(-b * torch.exp(log_t / 2))


# -- autogal/profiles/__init__.py: one more name in PROFILES -------------------------------------------------


def test_it_passes_the_trial_of_users_profiles():
    validate_profile(ExponentialOfRoot)


def test_it_is_chosen_by_its_name_and_fitted(monkeypatch):
    monkeypatch.setitem(PROFILES, "exponential_of_root", ExponentialOfRoot)
    observed = few_galaxies(1)
    new = fit(observed, model={"name": "new", "profile": "exponential_of_root"})
    same = fit(observed, model={"name": "two", "profile": "sersic", "fixed": {"n": 2.0}})
    assert new.table["status"][0] == same.table["status"][0] == "converged"
    assert abs(new.table["r_eff"][0] / same.table["r_eff"][0] - 1) < 1e-3
    assert new.table["r_eff"].unit == "pix" and new.table["r_eff"].description.startswith("Half-light radius")
