"""Profiles that users write: as good as the built-in ones, found where they lie, refused where they cannot
work."""

from __future__ import annotations

import math
import os

import pytest
import torch
from omegaconf import OmegaConf

from autogal.errors import AutogalError
from autogal.model.spec import build_model, model_overrides
from autogal.profiles import PROFILES, Profile, ShapeParameter, Truncated, own_profile
from autogal.runtime.references import resolve_reference

HEAD = (
    "import numpy as np, torch\nfrom autogal.profiles import Emissivity, Profile, RadialProfile, "
    "ShapeParameter\n"
)
BODY = (
    "class P(Emissivity):\n    def emissivity(self, x, y, z):\n        r = (x**2 + y**2 + z**2)**0.5\n      "
    "  "
)
ALPHA = "    shape = (ShapeParameter('alpha', 1.1, 8.0),)\n    typical = ((2.5,),)\n"


class Bell(Profile):
    """The Moffat profile, with another size."""

    shape = (ShapeParameter("beta", 1.1, 20.0),)
    typical = ((2.5,),)

    def surface_brightness(self, r, beta):
        return (1 + r**2) ** -beta


class Cut(Profile):
    """A Sersic-like profile within a radius of its own."""

    shape = (ShapeParameter("n", 0.5, 4.0), ShapeParameter("r_out", 0.5, math.inf, length=True))
    typical = ((1.0, 6.0),)

    def surface_brightness(self, r, n, r_out):
        return torch.exp(-(r ** (1 / n))) * torch.clamp(1 - (r / r_out) ** 2, min=0) ** 2


def test_as_the_same_profile_in_closed_form():
    beta = torch.tensor([[1.5], [4.0]], dtype=torch.float64)
    log_t = torch.linspace(-6, 5, 300, dtype=torch.float64).expand(2, -1)
    scale = 0.5 / torch.sqrt(torch.exp2(1 / beta) - 1)  # r_d / fwhm
    own = Bell().evaluate(log_t - scale.log(), beta.log())
    moffat = PROFILES["moffat"]().evaluate(log_t, beta.log())
    torch.testing.assert_close(own[0] / scale**2, moffat[0], rtol=1e-6, atol=0)
    torch.testing.assert_close(own[1] / scale**2, moffat[1], rtol=1e-6, atol=0)
    assert (
        float(
            (Bell().half_light(beta.log()) + scale[:, 0].log() - PROFILES["moffat"]().half_light(beta.log()))
            .abs()
            .max()
        )
        < 1e-3
    )


@pytest.mark.parametrize("profile", [Bell(), Cut(), Truncated(Bell())], ids=["bell", "cut", "truncated"])
def test_derivatives_are_those_by_differences(profile):
    shape = torch.tensor(profile.typical[:1], dtype=torch.float64).log()
    log_t = torch.linspace(-6, 4, 200, dtype=torch.float64).expand(1, -1)
    _, by_log_t, by_shape = profile.evaluate(log_t, shape)
    step = 1e-5
    light = lambda r, s: profile.evaluate(r, s)[0]
    torch.testing.assert_close(
        by_log_t, (light(log_t + step, shape) - light(log_t - step, shape)) / (2 * step), rtol=1e-4, atol=1e-7
    )
    for i, slope in enumerate(by_shape):
        move = torch.zeros_like(shape)
        move[:, i] = step
        torch.testing.assert_close(
            slope,
            (light(log_t, shape + move) - light(log_t, shape - move)) / (2 * step),
            rtol=1e-4,
            atol=1e-7,
        )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_light_that_underflows_leaves_no_nan(dtype):
    class Steep(Profile):
        def surface_brightness(self, r):
            return torch.cosh(r) ** -2

    log_t = torch.linspace(-17, 17, 2000, dtype=dtype).expand(1, -1)
    assert all(bool(torch.isfinite(v).all()) for v in Steep().evaluate(log_t, torch.zeros(1, 0, dtype=dtype)))


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (
            "class P(Profile):\n    def surface_brightness(self, r):\n        return r * float('nan')",
            "is NaN, infinite or negative at the radius",
        ),
        (
            "class P(Profile):\n    def surface_brightness(self, r):\n        return torch.sinh(r) * "
            "torch.exp(-3 * r)",
            "is NaN, infinite or negative at the radius",
        ),
        (
            f"class P(Profile):\n{ALPHA}    def surface_brightness(self, r, alpha):\n        return "
            f"torch.log(5 - alpha) * torch.exp(-r * alpha)",
            "at alpha = 8",
        ),
        (
            "class P(Profile):\n    def surface_brightness(self, r):\n        return torch.exp(-r).sum(-1)",
            r"shape \[1\] for radii of shape \[1, ",
        ),
        (
            "class P(Profile):\n    def surface_brightness(self, r):\n        return np.exp(-np.asarray(r))",
            "returns a ndarray",
        ),
        (
            "class P(Profile):\n    def surface_brightness(self, r):\n        return torch.exp(-r.detach())",
            "it is not differentiable",
        ),
        (
            "class P(Profile):\n    def surface_brightness(self, r):\n        return "
            "torch.as_tensor(np.exp(-r.numpy()))",
            "is not differentiable: ",
        ),
        (
            f"class P(Profile):\n{ALPHA}    def surface_brightness(self, r, alpha):\n        return "
            f"torch.exp(-r * alpha.detach())",
            "by alpha is not that",
        ),
        (
            f"class P(Profile):\n{ALPHA}    def surface_brightness(self, r, alpha):\n        return "
            f"torch.exp(-r)",
            "does not depend on alpha",
        ),
        (
            "class P(Profile):\n    def surface_brightness(self, r):\n        return 1 / (1 + r)",
            "does not add up to a finite total",
        ),
        (
            "class P(RadialProfile):\n    name = 'p'\n    def intensity(self, log_t, shape):\n        "
            "return torch.exp(-log_t.exp())",
            "does not add up",
        ),
        (
            "class P(Profile):\n    size = ShapeParameter('r_eff', 0.1, 50.0, True)\n    def "
            "surface_brightness(self, r):\n        return torch.exp(-r)",
            "is called r_eff, but 26% of the light",
        ),
        ("class P(Profile):\n    shape = (ShapeParameter('alpha', None, 3.0),)", "has no surface_brightness"),
        (
            "class P(Profile):\n    shape = (ShapeParameter('alpha', None, 3.0),)\n    surface_brightness "
            "= None",
            "alpha of the profile P has the bounds None and 3",
        ),
        (
            "class P(Profile):\n    shape = (ShapeParameter('alpha'),)\n    surface_brightness = None",
            "cannot be imported: TypeError",
        ),
        (
            "class P(Profile):\n    shape = (ShapeParameter('q', 1.0, 3.0),)\n    surface_brightness = None",
            "q of the profile P is a name already taken",
        ),
        (
            "class P(Profile):\n    shape = (ShapeParameter('alpha', 1.0, 3.0),)\n    surface_brightness = "
            "None",
            "has no typical parameters",
        ),
        (
            "class P(Profile):\n    shape = (ShapeParameter('alpha', 1.0, 3.0),)\n    typical = "
            "((4.0,),)\n    surface_brightness = None",
            "has typical parameters",
        ),
        (
            "class P(Profile):\n    def __init__(self, n):\n        pass\n    surface_brightness = None",
            "cannot be made: TypeError",
        ),
        (f"{BODY}return torch.exp(-r) * float('nan')", "emissivity P is NaN, infinite or negative at "),
        (f"{BODY}return torch.exp(-r).sum(-1)", r"returns an array of shape \[1\] for places of shape \[1, "),
        (f"{BODY}return np.exp(-np.asarray(r))", "returns a ndarray"),
        (f"{BODY}return torch.exp(-r.detach())", "it is not differentiable"),
        (f"{BODY}return torch.exp(-r.float())", "emissivity P returns light in float32"),
        (
            f"{BODY}return torch.exp(-r.float()) * torch.exp(-r)",
            "by x is not that of its light: that is rounded to single precision",
        ),
        (
            f"{BODY}return torch.where((r < 1) & (z.abs() < 0.1), 1.0, 0.0).to(r)",
            "emissivity P has a hard edge: by x it jumps",
        ),
        (
            "class P(Profile):\n    def surface_brightness(self, r):\n        return torch.exp(-r.float())",
            "profile P returns light in float32",
        ),
        (
            "class P(Profile):\n    def surface_brightness(self, r):\n        return torch.where(r < 1, "
            "1.0, 0.0).to(r)",
            "has a hard edge: by the radius it jumps",
        ),
        (
            f"class P(Profile):\n{ALPHA}    def surface_brightness(self, r, alpha):\n        return "
            f"torch.exp(-r) * torch.where(r < alpha, 1.0, 0.5)",
            "has a hard edge: by alpha it jumps",
        ),
        (f"{BODY}return 1 / (1 + r)**3", "does not add up to a finite total"),
        (f"{BODY}return torch.exp(-r) * torch.sigmoid(z)", "is another one below its plane"),
        (f"{BODY}return torch.exp(-r) * torch.sigmoid(x)", "is another one after half a turn about its pole"),
        (
            f"{BODY}return torch.exp(-r - x**2)\n    axisymmetric = True",
            "is another one after another turn about its pole",
        ),
        ("class P(Emissivity):\n    pass", "P has no emissivity"),
        (
            "class P(Emissivity):\n    shape = (ShapeParameter('inclination', 1.0, 9.0),)\n    emissivity "
            "= None",
            "a name already taken",
        ),
        ("class P:\n    pass", "P in .* is not a profile"),
        ("class Other(Profile):\n    pass", "There is no P in"),
        ("import a_module_that_is_not_there", "cannot be imported: ModuleNotFoundError"),
        ("class P(", "cannot be imported: SyntaxError"),
    ],
)
def test_bad_profiles_are_refused_before_the_run(tmp_path, monkeypatch, body, what):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(HEAD + body)
    with pytest.raises(AutogalError, match=what) as caught:
        build_model(OmegaConf.create({"name": "mine", "profile": "mine:P"}))
    assert caught.value.remedy and "\n" not in caught.value.what + caught.value.remedy


@pytest.mark.parametrize(
    ("model", "what"),
    [
        ({"profile": "nowhere_at_all:P"}, "There is no module nowhere_at_all"),
        ({"profile": "nowhere/at_all.py:P"}, "There is no module"),
        ({"profile": ":P"}, "does not name a profile"),
        ({"profile": "math:"}, "does not name a profile"),
        ({"profile": "sercic"}, "There is no profile called"),
        ({"profile": "sersic", "bounds": {"n": [0.2]}}, "The bounds of n are"),
        ({"profile": "sersic", "bounds": {"n": 3}}, "The bounds of n are"),
    ],
)
def test_bad_models(model, what):
    with pytest.raises(AutogalError, match=what):
        build_model(OmegaConf.create(model))


def test_a_module_is_found_in_the_folders_and_read_again_where_it_changed(tmp_path):
    source = (
        HEAD
        + "from beside import POWER\nclass P(Profile):\n    size = ShapeParameter('{}', 0.05, 99.0, True)\n"
        "    def surface_brightness(self, r):\n        return torch.exp(-r**POWER)\n"
    )
    (tmp_path / "package").mkdir()
    (tmp_path / "beside.py").write_text("POWER = 1.5")
    file = tmp_path / "mine.py"
    file.write_text(source.format("h"))
    reference = resolve_reference("mine:P", [tmp_path / "package", tmp_path])
    assert reference == f"{file}:P"
    assert resolve_reference("package.mine:P", [tmp_path]) == "package.mine:P", (
        "left to Python where it is in none of them"
    )
    assert own_profile(reference).size.name == "h"
    file.write_text(source.format("r_scale"))
    os.utime(file, ns=(1, 1))
    assert own_profile(reference).size.name == "r_scale"


def test_a_class_needs_no_file():
    overrides = model_overrides({"profile": Bell})
    assert overrides == ["~model", f"++model={{name:Bell,profile:{__name__}:Bell}}"]
