"""The catalogue as a Python object."""

import numpy as np
import pytest

from autogal.errors import AutogalError
from autogal.results import Catalogue

from .scenes import PARAMETERS, VALUES, make_cutout, make_fit, make_model, sky_wcs


@pytest.fixture
def asked(monkeypatch):
    """A renderer that records what it was asked for and draws the known galaxy."""
    calls = []

    def render(table, **wishes):
        calls.append((table, wishes))
        return make_model(wishes["shape"])[None]

    monkeypatch.setattr("autogal.model_images.render", render)
    return calls


def test_the_model_is_rendered_for_the_object_s_own_stamp(asked):
    cutouts = [
        make_cutout("a"),
        make_cutout("b", shape=(40, 31), zeropoint=22.5, psf_kind="optical", psf_oversample=3),
    ]
    catalogue = Catalogue.from_fitted(cutouts, make_fit(2))
    assert catalogue.model_image(1).shape == (40, 31)
    table, wishes = asked[-1]
    assert table.colnames == list(PARAMETERS) and len(table) == 1
    assert [table[name][0] for name in PARAMETERS] == list(VALUES), "the sky is part of the model"
    assert wishes["psf"] is cutouts[1].psf
    assert (wishes["zeropoint"], wishes["psf_kind"], wishes["psf_oversample"]) == (22.5, "optical", 3)
    assert wishes["model"] == "sersic" and wishes["dtype"] == "float32"


def test_the_residual_is_image_minus_model(asked):
    cutout = make_cutout()
    residual = Catalogue.from_fitted([cutout], make_fit(1)).residual(-1)
    np.testing.assert_array_equal(residual, cutout.image - make_model())
    assert residual.std() == pytest.approx(0.6, rel=0.05)


def test_what_was_not_measured_has_no_model(run, asked):
    catalogue = Catalogue.from_fitted(*run)
    assert catalogue.model_image(1).shape == (52, 60) and np.isnan(catalogue.residual(1)).all()
    assert catalogue.model_image(2).shape == (0, 0)
    assert not asked


@pytest.mark.parametrize("i", [3, -4])
def test_a_row_that_does_not_exist(run, i):
    with pytest.raises(IndexError, match="catalogue of 3"):
        Catalogue.from_fitted(*run).model_image(i)


def test_without_cutouts_there_is_a_clear_error(run):
    catalogue = Catalogue.from_fitted(*run, keep_cutouts=False)
    assert catalogue.cutouts is None and len(catalogue) == 3
    with pytest.raises(AutogalError, match="does not hold its images"):
        catalogue.residual(0)


def test_the_covariance_belongs_to_the_errors(run):
    catalogue = Catalogue.from_fitted(*run)
    assert catalogue.covariance.shape == (3, 8, 8) and catalogue.parameters == PARAMETERS
    errors = [catalogue.table[f"{name}_err"][0] for name in PARAMETERS]
    np.testing.assert_allclose(np.sqrt(np.diag(catalogue.covariance[0])), errors)
    assert np.isnan(catalogue.covariance[1:]).all()


def test_repr_tells_what_happened(run):
    text = repr(Catalogue.from_fitted(*run))
    for part in (
        "3 objects",
        "2 failed",
        "1 converged",
        "r_eff",
        "BAD_INPUT 1",
        "SIGMA_ESTIMATED 1",
        "3 x 8 x 8",
    ):
        assert part in text
    assert "1 object:" in repr(Catalogue.from_fitted([make_cutout()], make_fit(1)))
    assert "empty" in repr(Catalogue.from_fitted([], make_fit(0)))


def test_blocks_join_in_order_with_their_times_added(run):
    one = Catalogue.from_fitted(*run)
    two = Catalogue.from_fitted([make_cutout("later", wcs=sky_wcs())], make_fit(1))
    joined = Catalogue.join([one, two])
    assert list(joined.table["id"]) == ["good", "lost", "missing", "later"]
    assert joined.seconds == {"segment": 1.0, "fit": 4.0}
    assert [c.id for c in joined.cutouts] == list(joined.table["id"])
    np.testing.assert_array_equal(joined.covariance[3], two.covariance[0])
    assert Catalogue.join([one, Catalogue.from_fitted([], make_fit(0), keep_cutouts=False)]).cutouts is None
    with pytest.raises(ValueError, match="different parameters"):
        Catalogue.join([one, Catalogue(two.table, two.covariance[:, :7, :7], PARAMETERS[:7])])


def test_parts_that_do_not_belong_together_are_refused(run):
    good = Catalogue.from_fitted(*run)
    with pytest.raises(ValueError, match="covariance of shape"):
        Catalogue(good.table, good.covariance[:2], PARAMETERS)
    with pytest.raises(ValueError, match="1 cutouts for 3 rows"):
        Catalogue(good.table, good.covariance, PARAMETERS, good.cutouts[:1])


def test_the_engine_draws_the_row_again():
    """With the real renderer: the image it drew, less the model of its own parameters, is nothing."""
    from autogal.api import render

    truth = make_cutout(wcs=sky_wcs())
    table = Catalogue.from_fitted([truth], make_fit(1)).table
    truth.image = render(table, psf=truth.psf, shape=truth.shape, zeropoint=truth.zeropoint)[0]
    catalogue = Catalogue.from_fitted([truth], make_fit(1))
    model = catalogue.model_image(0)
    assert model.dtype == np.float32 and np.abs(catalogue.residual(0)).max() < 1e-4 * model.max()
    assert (model - VALUES[7]).sum() == pytest.approx(table["flux"][0], rel=0.05)
