"""A likelihood of one's own: a class in a file of one's own, named in the configuration; 0 files of the
package."""

from __future__ import annotations

import numpy as np
import pytest

from autogal.configuration.composing import compose
from autogal.errors import AutogalError
from autogal.fitting.choices import build_likelihood
from autogal.images.options import Options

from .files import few_galaxies, fit, off, write

LIKELIHOOD = '''
import numpy as np
import torch
from autogal.likelihood import Likelihood, Terms


class SmoothHuber(Likelihood):
    """Normal noise with exponential tails: 2 d^2 (sqrt(1 + (z / d)^2) - 1), z = (data - model) * weight."""

    name = "smooth_huber"

    def __init__(self, d=2.0):
        self.d = d
        z = np.linspace(-60, 60, 240001)
        self.z, density = z, np.exp(-d**2 * (np.sqrt(1 + (z / d) ** 2) - 1))
        self.share = density.cumsum() / density.sum()
        mean = lambda f: float((f * density).sum() / density.sum())
        deviance = 2 * d**2 * (np.sqrt(1 + (z / d) ** 2) - 1)
        self.mean, self.variance = mean(deviance), mean(deviance**2) - mean(deviance) ** 2
        self.curvature = mean((1 + (z / d) ** 2) ** -1.5)

    def terms(self, data, model, weight):
        off, squared = data - model, weight.square()
        root = torch.sqrt(1 + squared * off.square() / self.d**2)
        return Terms(2 * self.d**2 * (root - 1), squared * off / root, squared / root)

    def information(self, model, weight):
        return weight.square() * self.curvature

    def expected(self, model, weight):
        used = (weight > 0).to(weight.dtype)
        return used * self.mean, used * self.variance

    def draw(self, model, usable, rng):
        return np.interp(rng.random(model.shape), self.share, self.z).astype(np.float32)
'''
NAME = "my_noise:SmoothHuber"


@pytest.fixture
def likelihood(tmp_path, monkeypatch) -> str:
    write(tmp_path, "my_noise.py", LIKELIHOOD)
    monkeypatch.chdir(tmp_path)
    return NAME


def test_wild_pixels_do_less_harm_than_to_chi_square(likelihood):
    observed, rng = few_galaxies(), np.random.default_rng(2)
    for image, sigma in zip(observed.images, observed.sigmas):
        wild = rng.random(image.shape) < 0.01
        image[wild] += (40 * sigma * rng.random(image.shape))[wild]
    own = fit(observed, likelihood=likelihood)
    assert list(own.table["status"]) == ["converged"] * 3
    assert own.settings["likelihood"]["name"] == likelihood
    assert np.abs(off(own, observed)).mean() < 0.5 * np.abs(off(fit(observed), observed)).mean()


def test_its_settings_are_arguments_of_its_class(likelihood):
    assert build_likelihood(compose(overrides=[f"likelihood={likelihood}", "likelihood.d=3"])).d == 3
    with pytest.raises(AutogalError, match="does not take these settings: dof"):
        build_likelihood(compose(overrides=[f"likelihood={likelihood}", "likelihood.dof=3"]))


def test_whether_images_are_counts_is_its_to_say(tmp_path, monkeypatch):
    write(
        tmp_path,
        "my_counts.py",
        "from autogal.likelihood import Poisson\nclass Photons(Poisson):\n    name = 'photons'\n",
    )
    monkeypatch.chdir(tmp_path)
    assert Options.from_settings(compose(overrides=["likelihood=my_counts:Photons"])).counts
    assert not Options.from_settings(compose(overrides=["likelihood=student_t"])).counts
    assert build_likelihood(compose(overrides=["likelihood=my_counts:Photons"])).name == "photons"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            ("squared * off / root, squared", "-squared * off / root, squared"),
            "is not -1/2 of the derivative",
        ),
        (("2 * self.d**2 * (root - 1)", "self.d**2 * (root - 1)"), "is not -1/2 of the derivative"),
        (("squared / root)", "squared / root / 9)"), "overshoots"),
        (("used * self.mean,", "used * 2 * self.mean,"), "where it expects"),
        (("Terms(2", "(lambda *planes: planes)(2"), "are a tuple"),
        (
            ("return weight.square() * self.curvature", "return self.curvature + 0 * weight"),
            "is not 0 in excluded pixels",
        ),
        (("    def information", "    def fisher"), "has no information"),
        (("    name = ", "    quadratic = True\n    name = "), "is no sum of squares"),
        (("root = torch.sqrt(", "root = torch.sqrt(-"), "NaN or infinite"),
        (("rng.random(model.shape)", "rng.random(3)"), "draws an array of shape"),
        (("off, squared = data - model", "off, squared = data - self.model"), "fails in terms"),
    ],
)
def test_what_no_fit_can_rely_on_is_refused_before_the_run(changed, words, tmp_path, monkeypatch):
    assert changed[0] in LIKELIHOOD
    write(tmp_path, "broken.py", LIKELIHOOD.replace(*changed))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AutogalError, match=words) as caught:
        build_likelihood(compose(overrides=["likelihood=broken:SmoothHuber"]))
    assert caught.value.remedy


@pytest.mark.parametrize("name", ["gaussian", "poisson", "student_t"])
def test_the_built_in_ones_pass_the_same_trial(name):
    from autogal.likelihood import validate_likelihood

    validate_likelihood(build_likelihood(compose(overrides=[f"likelihood={name}"])))
