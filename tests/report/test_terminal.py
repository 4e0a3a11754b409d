"""The screen at the end of a run."""

import io

import numpy as np
import pytest
from rich.console import Console

from autogal.flags import DESCRIPTIONS, Flag
from autogal.images.cutout import Cutout
from autogal.report.terminal import print_summary
from autogal.results import Catalogue

from ..results.scenes import make_cutout, make_fit


def printed(catalogue, elapsed=10.0, width=None, **wishes):
    stream = io.StringIO()
    print_summary(catalogue, elapsed, console=Console(file=stream, width=width, highlight=False), **wishes)
    return stream.getvalue()


def test_what_happened_and_where_it_is(run):
    places = {"catalogue": "run1/catalogue.fits", "pictures": "run1/objects"}
    text = printed(Catalogue.from_fitted(*run), 6.0, written=places)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "3 objects in 6 s, 0.5 galaxies/s" in lines
    assert "converged 1 33.3 %" in lines and "failed 2 66.7 %" in lines
    assert f"BAD_INPUT 1 {DESCRIPTIONS[Flag.BAD_INPUT]}" in lines
    assert any(line.startswith("Quality ") and line.endswith("none 2 (66.7 %)") for line in lines)
    assert "Time segment 0.5 s fit 2 s" in lines
    assert "missing There is no file missing.fits." in lines
    assert "lost NOT_CONVERGED" in lines
    assert "catalogue run1/catalogue.fits" in lines and "pictures run1/objects" in lines


def test_flags_are_ordered_by_how_many_rows_carry_them():
    flags = np.array([int(Flag.EDGE), int(Flag.EDGE | Flag.LOW_SN), int(Flag.EDGE)])
    text = printed(Catalogue.from_fitted([make_cutout(str(k)) for k in range(3)], make_fit(3, flags=flags)))
    assert text.index("EDGE") < text.index("LOW_SN")
    assert "Without a result" not in text and "Written" not in text


def test_a_large_run_with_every_flag_fits_on_a_screen():
    n = 100
    cutouts = [Cutout.failed(f"object-{k}", f"There is no file {'folder/' * 40}{k}.fits.") for k in range(n)]
    every = sum(int(flag) for flag in Flag)
    text = printed(Catalogue.from_fitted(cutouts, make_fit(n, flags=np.full(n, every))), width=160)
    assert len(text.splitlines()) <= 16 + len(Flag), "a line a flag, two a row without a result"
    assert "Without a result (100, the first 5)" in text and "object-5" not in text


def test_names_are_never_read_as_markup():
    text = printed(
        Catalogue.from_fitted([Cutout.failed("[red]a[/]", "No [bold]file[/nothing].")], make_fit(1))
    )
    assert "[red]a[/]" in text and "No [bold]file[/nothing]." in text


def test_a_long_path_in_a_pipe_stays_in_one_piece():
    path = "/data/" + "long-folder-name/" * 8 + "catalogue.fits"
    assert path in printed(Catalogue.from_fitted([make_cutout()], make_fit(1)), written={"catalogue": path})


def test_times_are_said_as_people_say_them():
    catalogue = Catalogue.from_fitted([make_cutout()], make_fit(1))
    said = {0.123: "0.12 s", 12.3: "12 s", 59.7: "1 min 00 s", 200: "3 min 20 s", 7500: "2 h 05 min"}
    for seconds, text in said.items():
        assert f" in {text}" in printed(catalogue, seconds)


def test_an_empty_run():
    assert "0 objects in 0 s" in printed(Catalogue.from_fitted([], make_fit(0)), 0.0)


def test_a_run_of_few_objects_shows_what_was_measured(run):
    catalogue = Catalogue.from_fitted(*run)
    text = printed(catalogue, width=80)
    [line] = [line for line in text.splitlines() if line.split()[:1] == ["mag"]]
    measured = np.isfinite(np.asarray(catalogue.table["mag"]))
    assert line.count("±") == measured.sum() >= 1, "those that were not measured are named with the reason"
    assert f"{float(catalogue.table['mag'][measured][0]):.1f}" in line
    assert len([line for line in text.splitlines() if "±" in line]) == len(catalogue.parameters)


def test_of_several_models_the_chosen_one_is_shown():
    parameters, values = (
        ("sersic_mag", "sersic_n", "sersic_point_host_mag"),
        np.array([[18.0, 2.5, 17.0], [18.5, 3.5, 16.0]]),
    )
    selection = {"model": np.array(["sersic", "sersic_point"]), "sersic_status": np.array(["converged"] * 2),
                 "sersic_point_status": np.array(["converged"] * 2)}  # fmt: skip
    fit = make_fit(
        2,
        values=values,
        covariance=np.tile(1e-4 * np.eye(3), (2, 1, 1)),
        parameters=parameters,
        selection=selection,
    )
    lines = {
        line.split()[0]: line
        for line in printed(
            Catalogue.from_fitted([make_cutout("a"), make_cutout("b")], fit), width=80
        ).splitlines()
        if line.split()
    }
    assert lines["model"].split()[1:] == ["sersic", "sersic_point"]
    assert (
        "2.50" in lines["n"]
        and "3.50" not in lines["n"]
        and "16.00" in lines["host_mag"]
        and "17.00" not in lines["host_mag"]
    )


def test_a_run_of_many_objects_does_not():
    assert "±" not in printed(Catalogue.from_fitted([make_cutout(str(k)) for k in range(4)], make_fit(4)))


@pytest.mark.parametrize(("status", "bits"), [("failed", Flag.BAD_INPUT), ("skipped", Flag.NO_TARGET)])
def test_the_reason_is_in_what_is_shown_of_a_long_message(status, bits):
    fit = make_fit(1)
    fit.status[:], fit.flags[:] = [status], int(bits)
    cutout = make_cutout("gone")
    if status == "failed":
        cutout.fail("This is why.")
    cutout.notes += ["This was read from the header." for _ in range(20)]
    if status == "skipped":
        cutout.notes.append("This is why.")
    assert "This is why." in printed(Catalogue.from_fitted([cutout], fit))


def test_rows_that_were_skipped_are_named_too():
    fit = make_fit(2)
    fit.status[:] = ["converged", "skipped"]
    cutouts = [make_cutout("here"), make_cutout("gone")]
    cutouts[1].notes.append("No source was found.")
    text = printed(Catalogue.from_fitted(cutouts, fit))
    assert "Without a result (1)" in text and "No source was found." in text
