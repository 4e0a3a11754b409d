"""Several models for every galaxy: the right one is chosen, all are kept, and one that fails costs no
other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from astropy.io import fits
from astropy.table import Table

import autogal
from autogal.configuration.composing import compose, composed
from autogal.configuration.overrides import several_models
from autogal.errors import AutogalError
from autogal.fitting.choices import validate_model
from autogal.fitting.selection import select
from autogal.images import moffat
from autogal.model.fitted import Fitted
from autogal.model.spec import model_overrides
from autogal.results import Catalogue


def fitted(parameters, chi2, status=("converged", "converged"), dof=1000):
    out = Fitted.empty(len(chi2), parameters)
    out.values[:], out.covariance[:] = 1.0, np.eye(len(parameters))
    out.chi2[:], out.dof[:], out.status, out.n_iter[:] = chi2, dof, list(status), 5
    return out


@pytest.mark.parametrize(("criterion", "price"), [("bic", np.log(1000)), ("aic", 2.0)])
def test_the_criterion(criterion, price):
    few, many = (
        fitted(("mag", "sky"), [1000.0, 1000.0], dof=998),
        fitted(("mag", "n", "sky"), [1000 - 0.9 * price, 1000 - 1.1 * price], dof=997),
    )
    few.bootstrap, many.bootstrap = 2 * few.covariance, 3 * many.covariance
    few.replicates, many.replicates = np.zeros((2, 4, 2)), np.ones((2, 4, 3))
    both = select({"few": few, "many": many}, {"few": 2, "many": 3}, criterion)
    np.testing.assert_array_equal(both.replicates[1, 2], [0, 0, 1, 1, 1])
    np.testing.assert_array_equal(np.diag(both.bootstrap[0]), [2, 2, 3, 3, 3])
    assert both.selection["model"].tolist() == ["few", "many"]
    np.testing.assert_allclose(both.selection[f"few_delta_{criterion}"], [0, 0.1 * price], atol=1e-9)
    np.testing.assert_allclose(both.selection[f"many_delta_{criterion}"], [0.1 * price, 0], atol=1e-9)
    assert both.parameters == ("few_mag", "few_sky", "many_mag", "many_n", "many_sky")
    np.testing.assert_array_equal(both.chi2, [1000.0, 1000 - 1.1 * price])
    assert np.isnan(both.covariance[0, :2, 2:]).all() and np.isfinite(both.covariance[0, 2:, 2:]).all()


def test_a_model_that_fails_for_a_galaxy_costs_no_other():
    few = fitted(("mag",), [1000.0, np.nan, np.nan], ("converged", "failed", "failed"))
    few.values[1:] = np.nan
    many = fitted(("mag",), [np.nan, 900.0, np.nan], ("failed", "not_converged", "skipped"))
    both = select({"few": few, "many": many}, {"few": 1, "many": 2}, "bic")
    assert both.selection["model"].tolist() == ["few", "many", ""]
    assert both.status == ["converged", "not_converged", "failed"]
    assert both.selection["many_status"].tolist() == ["failed", "not_converged", "skipped"]
    assert (
        np.isnan(both.selection["many_delta_bic"][[0, 2]]).all() and both.selection["many_delta_bic"][1] == 0
    )


@pytest.mark.parametrize("names", [["sersic"], ["sersic", "sersic"], []])
def test_bad_lists(names):
    with pytest.raises(AutogalError, match="is not possible"):
        several_models(names)


def test_bad_choices():
    for models, words in (
        (["sersic", {"profile": "sersic", "fixed": {"n": 4}}], "Several of the models are called sersic"),
        ([{"profile": "king"}], r"model=\[king\] is not possible"),
        (["sersic", ["king"]], "holds another list"),
        (["sersic", {"profile": "king", "fixd": {}}], "no key model.fixd"),
        (["sersic", "nowhere.yaml"], "cannot be read"),
    ):
        with pytest.raises(AutogalError, match=words):
            autogal.fit(np.zeros((1, 32, 32)), psf=np.ones((3, 3)), model=models)
    with pytest.raises(AutogalError, match="no model called sercic"):
        compose(overrides=several_models(["sersic", "sercic"]))
    with pytest.raises(AutogalError, match="model.choose=dic is not possible"):
        autogal.fit(np.zeros((1, 32, 32)), model=["sersic", "exponential"], **{"model.choose": "dic"})


class Bell(autogal.Profile):
    """A Gaussian, as a user's own profile."""

    size = autogal.ShapeParameter("s", 0.05, float("inf"), length=True)

    def surface_brightness(self, r):
        return torch.exp(-(r**2) / 2)


def test_a_list_holds_whatever_can_be_fitted_alone(tmp_path):
    (tmp_path / "flat.yaml").write_text(
        "components: {inner: {profile: sersic, fixed: {n: 0.5}}, outer: {profile: exponential}}\n"
        "ties: {outer.x: inner.x, outer.y: inner.y}\n"
    )
    models = [
        Bell,
        "sersic",
        {"name": "round", "profile": "sersic", "fixed": {"q": 1.0}, "limits": ["n < 2"]},
        tmp_path / "flat.yaml",
        {"name": "bulge_disk", "limits": ["bulge.r_eff < disk.r_eff"]},
    ]
    node = composed(*model_overrides(models), "model.models.sersic.bounds.n=[0.3,4]").model
    validate_model(node)
    assert (
        node.name == "Bell+sersic+round+flat+bulge_disk"
        and list(node.models) == node.name.split("+")
        and node.choose == "bic"
    )
    assert (
        node.models.sersic.bounds.n == [0.3, 4]
        and node.models.round.limits == ["n < 2"]
        and len(node.models.bulge_disk.limits) == 1
    )

    psf = moffat(2.5, 3.5, size=21)
    clean = autogal.render(
        {"x": [15.4], "y": [16.3], "mag": [17.0], "s": [3.0], "q": [0.6], "pa": [20.0]},
        model=Bell,
        psf=psf,
        shape=(32, 32),
        zeropoint=25.0,
    )
    found = autogal.fit(
        clean + np.random.default_rng(3).normal(0.0, 0.3, clean.shape),
        sigma=0.3,
        psf=psf,
        zeropoint=25.0,
        segment="none",
        neighbours="mask",
        model=[{"profile": "exponential"}, Bell],
        **{"model.choose": "aic"},
    )
    assert found.table["model"].tolist() == ["Bell"] and found.table["Bell_s"][0] == pytest.approx(
        3.0, abs=4 * found.table["Bell_s_err"][0]
    )
    assert found.table["exponential_delta_aic"][0] > 10 and np.std(found.residual(0)) == pytest.approx(
        0.3, abs=0.03
    )


def test_on_images_in_python_and_on_the_command_line(tmp_path, autogal_command):
    psf = moffat(2.5, 3.5, size=31)
    truth = Table(
        {
            "x": [23.4, 24.2],
            "y": [24.3, 23.1],
            "mag": [17.0, 17.0],
            "r_eff": [5.0, 4.0],
            "n": [1.0, 3.0],
            "q": [0.5, 0.8],
            "pa": [20.0, 110.0],
        }
    )
    clean = autogal.render(truth, psf=psf, shape=(48, 48), zeropoint=25.0)
    images = clean + np.random.default_rng(3).normal(0.0, 0.3, clean.shape).astype(np.float32)
    found = autogal.fit(
        [*images, np.full((48, 48), np.nan)],
        sigma=0.3,
        psf=psf,
        zeropoint=25.0,
        model=["exponential", "sersic"],
    )
    table = found.table
    assert table["model"].tolist() == ["exponential", "sersic", ""]
    assert table["exponential_delta_bic"][0] == 0 < table["sersic_delta_bic"][0] < 8, "about ln(48^2)"
    assert table["exponential_delta_bic"][1] > 100 and table["sersic_delta_bic"][1] == 0
    assert np.all(np.abs(table["sersic_n"][:2] - truth["n"]) < 4 * table["sersic_n_err"][:2])
    assert np.all(np.isfinite(table["exponential_r_eff"][:2]))
    assert [np.std(found.residual(i)) for i in range(2)] == pytest.approx([0.3, 0.3], abs=0.02)
    assert np.isnan(found.model_image(2)).all()

    masked = np.ones((48, 48), bool)
    masked[20:24, 20:24] = False  # 16 pixels are enough for 7 parameters, not for 8
    start = Table({name: [float(truth[name][0])] for name in truth.colnames} | {"sky": [0.0]})
    few = autogal.fit(
        images[:1],
        sigma=0.3,
        psf=psf,
        mask=masked[None],
        start=start,
        zeropoint=25.0,
        model=["exponential", "sersic"],
    ).table[0]
    assert (
        few["model"] == "exponential"
        and few["sersic_status"] == "skipped"
        and "sersic: Only 16 usable pixels" in few["message"]
    )

    fits.writeto(tmp_path / "psf.fits", psf)
    fits.writeto(tmp_path / "g.fits", images[1])
    words = [
        "psf=psf.fits",
        "zeropoint=25",
        "device=cpu",
        "model.choose=aic",
        "model=[exponential,sersic]",
        "out=run",
    ]
    done = autogal_command("fit", "g.fits", *words, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    read = Catalogue.read(tmp_path / "run" / "catalogue.fits")
    assert list(read.table["model"]) == ["sersic"] and read.table["exponential_delta_aic"][0] > 100
    assert np.isfinite(fits.getdata(tmp_path / "run" / "objects" / "g.fits")).all()
