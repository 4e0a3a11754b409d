"""The catalogue's table: what is in a row, and what must not be."""

import numpy as np
import pytest
from astropy import units as u

from autogal.flags import Flag
from autogal.images.cutout import Cutout
from autogal.results import COLUMNS, column
from autogal.results.build import build_table, measured
from autogal.results.columns import component_of
from autogal.results.data import join_tables

from .scenes import ERRORS, PARAMETERS, VALUES, make_cutout, make_fit, sky_wcs


def test_every_number_has_a_unit_and_every_column_a_description(run):
    table = build_table(*run)
    for name in table.colnames:
        assert table[name].description, name
        if table[name].dtype.kind == "f":
            assert table[name].unit is not None, name
    assert table["r_eff"].unit == u.pix and table["pa_err"].unit == u.deg
    assert table["mu_e_mean"].unit == u.mag / u.arcsec**2


def test_one_row_per_cutout_in_their_order():
    ids = ["c", "a", "b", "a b", "0"]
    table = build_table([make_cutout(i) for i in ids], make_fit(5))
    assert list(table["id"]) == ids


def test_a_row_carries_the_numbers_of_its_fit():
    row = build_table([make_cutout()], make_fit(1))[0]
    for name, value, error in zip(PARAMETERS, VALUES, ERRORS, strict=True):
        assert row[name] == value
        assert row[f"{name}_err"] == pytest.approx(error)
    assert row["chi2_dof"] == pytest.approx(1.1)
    assert (row["snr"], row["n_iter"], row["status"]) == (120, 9, "converged")


@pytest.mark.parametrize("status", ["failed", "skipped"])
def test_a_fit_without_a_result_leaves_no_number_behind(status):
    fitted = make_fit(2, status=["converged", status])
    table = build_table([make_cutout("a"), make_cutout("b", wcs=sky_wcs())], fitted)
    floats = [name for name in table.colnames if table[name].dtype.kind == "f"]
    assert np.isnan([table[name][1] for name in floats]).all()
    assert np.isfinite(
        [table[name][0] for name in floats if name not in ("ra", "dec", "pa_sky", "pa_sky_err")]
    ).all()
    assert np.array_equal(fitted.values[1], VALUES), "the fit itself must not be changed"


def test_an_input_that_could_not_be_read_is_failed_whatever_the_fit_says():
    bad = Cutout.failed("x", "There is no file\n  x.fits.", path="x.fits")
    row = build_table([bad], make_fit(1))[0]
    assert row["status"] == "failed" and np.isnan(row["mag"])
    assert row["message"] == "There is no file x.fits."
    assert row["flag_names"] == "BAD_INPUT" and row["path"] == "x.fits"


def test_flags_of_the_input_and_of_the_fit_are_joined():
    cutout = make_cutout()
    cutout.flags |= Flag.PSF_DEFAULT
    cutout.notes += ["One.", "Two."]
    row = build_table([cutout], make_fit(1, flags=np.array([int(Flag.AT_BOUND)])))[0]
    assert row["flags"] == Flag.PSF_DEFAULT | Flag.AT_BOUND
    assert row["flag_names"] == "PSF_DEFAULT AT_BOUND"
    assert row["message"] == "One. Two."


@pytest.mark.parametrize("variance", [0.0, -1e-3, np.inf, np.nan])
def test_an_error_that_cannot_be_measured_is_nan_never_zero(variance):
    fitted = make_fit(1)
    fitted.covariance[0, 4, 4] = variance
    row = build_table([make_cutout()], fitted)[0]
    assert np.isnan(row["n_err"]) and np.isfinite(row["n"]) and np.isfinite(row["q_err"])


def test_flux_size_and_surface_brightness_agree_with_draws_of_the_parameters():
    """First-order errors against a Monte Carlo of the whole covariance."""
    cutout, fitted = make_cutout(pixel_scale=0.4, zeropoint=25.0), make_fit(1)
    row = build_table([cutout], fitted)[0]
    draws = np.random.default_rng(3).multivariate_normal(VALUES, fitted.covariance[0], 200_000).T
    mag, r_eff, q = draws[2], draws[3] * 0.4, draws[5]
    for name, drawn in {
        "flux": 10 ** (-0.4 * (mag - 25.0)),
        "r_eff_arcsec": r_eff,
        "mu_e_mean": mag + 2.5 * np.log10(2 * np.pi * q * r_eff**2),
    }.items():
        assert row[name] == pytest.approx(drawn.mean(), abs=0.02 * drawn.std())
        assert row[f"{name}_err"] == pytest.approx(drawn.std(), rel=0.01), name


def test_arcseconds_are_not_made_up_from_an_unknown_pixel_scale():
    row = build_table([make_cutout(flags=Flag.PIXEL_SCALE_DEFAULT)], make_fit(1))[0]
    assert np.isnan(
        [row["r_eff_arcsec"], row["r_eff_arcsec_err"], row["mu_e_mean"], row["mu_e_mean_err"]]
    ).all()
    assert row["r_eff"] == VALUES[3]


def test_no_degrees_of_freedom_no_reduced_chi_square():
    assert np.isnan(build_table([make_cutout()], make_fit(1, dof=np.array([0])))["chi2_dof"][0])


def test_components_have_their_own_columns_and_share_a_centre():
    names = (
        "x",
        "y",
        "bulge_mag",
        "bulge_r_eff",
        "bulge_q",
        "bulge_pa",
        "disk_mag",
        "disk_r_eff",
        "disk_alpha",
        "sky",
    )
    values = np.array([[30.0, 25.0, 19.0, 2.0, 0.9, 10.0, 18.0, 9.0, 1.5, 0.1]])
    fitted = make_fit(1, values=values, covariance=np.eye(10)[None] * 1e-4, parameters=names)
    table = build_table([make_cutout(wcs=sky_wcs(rotation=40))], fitted)
    row = table[0]
    assert row["disk_flux"] == pytest.approx(10 ** (0.4 * 7))
    assert row["bulge_r_eff_arcsec"] == pytest.approx(0.8)
    assert row["disk_alpha"] == 1.5 and row["disk_alpha_err"] == pytest.approx(0.01)
    assert np.isfinite([row["ra"], row["dec"], row["bulge_pa_sky"]]).all()
    assert (
        "disk_pa_sky" not in table.colnames
        and "bulge_ra" not in table.colnames
        and "flux" not in table.colnames
    )
    assert table["bulge_r_eff"].unit == u.pix and "bulge" in table["bulge_r_eff"].description


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("r_eff", ("", "r_eff")),
        ("mu_e_mean", ("", "mu_e_mean")),
        ("bulge_r_eff", ("bulge", "r_eff")),
        ("thin_disk_r_eff_arcsec", ("thin_disk", "r_eff_arcsec")),
        ("alpha", ("", "alpha")),
        ("r_break", ("", "r_break")),
    ],
)
def test_component_of(name, parts):
    assert component_of(name) == parts


def test_a_declaration_names_its_own_column():
    for name, declared in COLUMNS.items():
        assert declared.name == name == column(name).name
        assert not declared.description.endswith(".")
    assert "disk_q_err" in column("disk_q_err").name and column("disk_q_err").format == COLUMNS["q"].format


def test_a_fit_of_another_number_of_objects_is_refused():
    with pytest.raises(ValueError, match="2 cutouts, but 3 fits"):
        measured([make_cutout("a"), make_cutout("b")], make_fit(3))


def test_no_objects_give_an_empty_table_with_all_columns(run):
    empty, full = build_table([], make_fit(0)), build_table(*run)
    assert len(empty) == 0 and empty.colnames == full.colnames


def test_blocks_join_to_what_one_block_gives():
    cutouts = [make_cutout("short"), make_cutout("a much longer identifier")]
    whole = build_table(cutouts, make_fit(2))
    joined = join_tables([build_table([c], make_fit(1)) for c in cutouts])
    assert joined.colnames == whole.colnames
    for name in whole.colnames:
        assert joined[name].unit == whole[name].unit and joined[name].description == whole[name].description
        np.testing.assert_array_equal(joined[name], whole[name])
