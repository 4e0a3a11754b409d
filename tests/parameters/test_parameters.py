"""What the numbers of a galaxy are: the registry, and the ways between them, of tensors and arrays alike."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from astropy import units

from autogal.parameters import (
    FLUX_START,
    PARAMETERS,
    SINGLE,
    START,
    angle_difference,
    axis_ratio_and_angle,
    ellipticity,
    flux_of,
    is_magnitude,  # fmt: skip
    magnitude_of,
    position_angle,
    spin,
    split_name,
)
from autogal.profiles import PROFILES


def tensor(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


@pytest.mark.parametrize("of", [np.asarray, tensor, float], ids=["array", "tensor", "number"])
@pytest.mark.parametrize(("q", "pa"), [(0.5, 0.0), (0.3, 179.5), (0.999, 90.0), (0.05, 33.3)])
def test_there_and_back(of, q, pa):
    e1, e2 = ellipticity(of(q), of(pa))
    assert np.hypot(float(e1), float(e2)) == pytest.approx(-np.log(q))
    back = axis_ratio_and_angle(e1, e2)
    assert float(back[0]) == pytest.approx(q)
    assert angle_difference(float(back[1]) - pa) == pytest.approx(0, abs=1e-9)
    assert isinstance(back[0], torch.Tensor) == (of is tensor)


def test_the_major_axis_of_pa_zero_is_along_y():
    e1, e2 = ellipticity(0.5, 0.0)
    assert e1 < 0 and e2 == pytest.approx(0, abs=1e-12), "along y is opposite to along x, at twice the angle"
    assert position_angle(1.0, 0.0) == pytest.approx(90.0), "along x"
    assert spin(0.0, 30.0) == (0.0, 0.0) and ellipticity(1.2, 10.0) == pytest.approx((0.0, 0.0), abs=0), (
        "rounder than round is round"
    )


@pytest.mark.parametrize("of", [np.asarray, tensor, float], ids=["array", "tensor", "number"])
def test_magnitudes_are_pogsons(of):
    assert float(flux_of(of(20.0), 25.0)) == pytest.approx(100.0)
    assert float(magnitude_of(of(100.0), 25.0)) == pytest.approx(20.0)
    assert float(magnitude_of(flux_of(of(17.3)))) == pytest.approx(17.3)


@pytest.mark.parametrize(
    ("difference", "expected"), [(179.0, -1.0), (-179.0, 1.0), (90.0, -90.0), (0.0, 0.0), (361.0, 1.0)]
)
def test_the_nearest_turn(difference, expected):
    assert angle_difference(difference) == pytest.approx(expected)


def test_the_orders_are_one_order():
    assert START[:-1] == SINGLE and tuple("flux" if name == "mag" else name for name in START) == FLUX_START
    assert set(START) <= set(PARAMETERS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mag", ("", "mag")),
        ("bulge_mag", ("bulge", "mag")),
        ("disk_r_eff", ("disk", "r_eff")),
        ("disk_out_mag_break", ("disk_out", "mag_break")),
        ("sky_dx", ("", "sky_dx")),
        ("mine", ("", "mine")),
    ],
)
def test_names_of_components(name, expected):
    assert split_name(name) == expected


@pytest.mark.parametrize("parameter", PARAMETERS.values(), ids=PARAMETERS)
def test_what_is_said_makes_sense(parameter):
    units.Unit(parameter.unit)
    format(1.0, parameter.format)
    assert parameter.low < parameter.high and parameter.text and not parameter.text.endswith(".")
    assert parameter.tried[0] < parameter.tried[1] and (parameter.turn is None or parameter.kind == "angle")
    assert is_magnitude(parameter.name) == (parameter.unit == "mag")


@pytest.mark.parametrize("name", PROFILES)
def test_every_parameter_of_a_profile_is_in_the_registry(name):
    profile = PROFILES[name]()
    for own in (getattr(profile, "size", None), *getattr(profile, "shape", ())):
        if own is not None:
            known = PARAMETERS[own.name]
            assert (
                (known.kind == "length") == own.length and known.low <= own.lower and own.upper <= known.high
            )


def test_it_needs_neither_torch_nor_astropy():
    code = (
        "import sys, autogal.parameters; assert not {'torch', 'astropy', 'hydra'} & set(sys.modules), "
        "sorted(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
