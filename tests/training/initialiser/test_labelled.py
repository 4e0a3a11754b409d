"""Training examples from the user's own images: matched by id, filtered, and every table that cannot
serve."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from omegaconf import OmegaConf

from autogal.configuration.schemas import SurveyFacts
from autogal.errors import AutogalError
from autogal.flags import Flag
from autogal.initialise.network.targets import TARGETS
from autogal.training.initialiser.labelled import Labelled, labelled_examples

COUNT = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cutouts")
    rows, columns = np.mgrid[:48, :48]
    light = 30 * np.exp(-0.5 * ((columns - 24) ** 2 / 9 + (rows - 23) ** 2 / 16))
    for i in range(COUNT):
        noise = np.random.default_rng(i).normal(size=light.shape)
        fits.writeto(folder / f"galaxy{i:02}.fits", (light + noise).astype(np.float32))
    return folder


@pytest.fixture
def table():
    flux = 30 * 2 * np.pi * 12
    values = dict(
        x=24.0,
        y=23.0,
        flux=flux,
        r_eff=4.7,
        n=0.5,
        q=0.75,
        pa=0.0,
        chi2_dof=1.0,
        status="converged",
        flags=0,
        snr=90.0,
    )
    return Table([dict(id=f"galaxy{i:02}", **values) for i in range(COUNT)])


def settings(folder, labels):
    return OmegaConf.create(
        {"data": str(folder), "labels": str(labels), "survey": OmegaConf.structured(SurveyFacts)}
    )


def write(table, tmp_path):
    table.write(tmp_path / "catalogue.fits")
    return tmp_path / "catalogue.fits"


def test_images_and_labels_make_examples(folder, table, tmp_path):
    table["status"][3], table["flags"][4], table["chi2_dof"][5], table["n"][6] = (
        "failed",
        int(Flag.AT_BOUND),
        3.0,
        np.nan,
    )
    training, validation = labelled_examples(settings(folder, write(table, tmp_path)))
    assert len(training["snr"]) + len(validation["snr"]) == COUNT - 4
    assert len(validation["snr"]) >= 1
    middle = training["targets"].median(0).values.tolist()
    assert dict(zip(TARGETS, middle))["ln n"] == pytest.approx(np.log(0.5))
    assert abs(middle[0]) < 0.1 and abs(middle[1]) < 0.1
    again = labelled_examples(settings(folder, tmp_path / "catalogue.fits"))
    assert again[1]["targets"].equal(validation["targets"])


def test_batches_are_reproducible_and_differ_between_processes(folder, table, tmp_path):
    training, _ = labelled_examples(settings(folder, write(table, tmp_path)))
    training["features"][:, 0] = training["features"].new_tensor(range(len(training["snr"])))
    first = [
        next(iter(Labelled(training, 8, first, rank, 2)))["features"]
        for first, rank in ((0, 0), (0, 1), (1, 0))
    ]
    assert not first[0].equal(first[1])
    assert first[1].equal(first[2])


def test_a_table_of_other_images(folder, table, tmp_path):
    table["id"] = [f"other{i}" for i in range(COUNT)]
    with pytest.raises(AutogalError, match="No image of"):
        labelled_examples(settings(folder, write(table, tmp_path)))


def test_too_few_good_rows(folder, table, tmp_path):
    table["chi2_dof"][5:] = 9.0
    with pytest.raises(AutogalError, match="Only 5 usable images"):
        labelled_examples(settings(folder, write(table, tmp_path)))


def test_a_table_that_is_no_catalogue(folder, table, tmp_path):
    table.remove_column("flux")
    with pytest.raises(AutogalError, match="no column flux"):
        labelled_examples(settings(folder, write(table, tmp_path)))


@pytest.mark.parametrize("content", [None, b"nothing"])
def test_a_table_that_cannot_be_read(folder, tmp_path, content):
    if content is not None:
        (tmp_path / "catalogue.fits").write_bytes(content)
    with pytest.raises(AutogalError, match="cannot be read"):
        labelled_examples(settings(folder, tmp_path / "catalogue.fits"))
