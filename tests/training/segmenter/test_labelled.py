"""Training stamps of the segmenter from the user's own images: labels by sep or given, and every image
that cannot serve."""

from __future__ import annotations

import logging
import re

import numpy as np
import pytest
import torch
from astropy.io import fits
from omegaconf import OmegaConf

from autogal.configuration.schemas import SurveyFacts
from autogal.errors import AutogalError
from autogal.training.segmenter.labelled import Labelled, LabelledBatch, labelled_stamps, validation_batches
from autogal.training.segmenter.learning import SegmenterModule, _augmented
from tests.segment.scenes import galaxy, star

COUNT = 24
SHAPES = [(48, 48), (40, 80)] * 11 + [(300, 280)] * 2


def light(shape):
    """A galaxy in the middle and a star near the corner."""
    scale = min(shape) / 20
    target = galaxy(shape, (shape[1] - 1) / 2, (shape[0] - 1) / 2 + 1, 2000 * scale**2, scale, q=0.6, pa=30)
    return target, star(shape, 0.2 * shape[1], 0.2 * shape[0], 1500 * scale, 3 * scale / 2.4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cutouts")
    for i in range(COUNT):
        shape = SHAPES[i]
        image = 100 + 1e-3 * (
            sum(light(shape)) + np.random.default_rng(i).normal(size=shape)
        )  # a pedestal and odd units
        fits.writeto(folder / f"galaxy{i:02}.fits", image)
    return folder


@pytest.fixture(scope="module")
def stamps(folder):
    return labelled_stamps(settings(folder))


@pytest.fixture
def labels(tmp_path):
    """Label images with the star as 3, the galaxy as 7."""
    (tmp_path / "labels").mkdir()
    for i in range(COUNT):
        target, neighbour = light(SHAPES[i])
        values = np.where(target > 1, 7, np.where(neighbour > 1, 3, 0))
        fits.writeto(tmp_path / "labels" / f"galaxy{i:02}_labels.fits", values.astype(np.int16))
    return tmp_path / "labels"


def settings(folder, labels="sep"):
    return OmegaConf.create(
        {"data": str(folder), "labels": str(labels), "survey": OmegaConf.structured(SurveyFacts)}
    )


def test_stamps_of_all_sizes_and_their_sources(stamps):
    training, aside = stamps
    assert len(training) + len(aside) == COUNT and 1 <= len(aside) < COUNT / 2
    assert {tuple(stamp.image.shape) for stamp in training} == {(64, 64), (64, 96), (160, 160)}
    for stamp in training:
        target, *others = stamp.instances
        x, y = stamp.centre
        assert target[round(y), round(x)] and len(others) >= 1
        assert stamp.image.isfinite().all() and (stamp.sigma > 0).all()
        sky = stamp.image[~stamp.mask & ~stamp.instances.any(0)]
        assert (
            abs(sky.median()) < 0.3 and 0.6 < sky.std() < 1.6
        )  # in units of the noise, whatever the units of the file
        assert stamp.image[target & ~stamp.mask].mean() > 2 and stamp.image[others[0]].mean() > 1


def test_an_image_stays_on_its_side_when_others_leave(folder, labels):
    first = labelled_stamps(settings(folder, labels))[1]
    for name in ("galaxy00", "galaxy01"):
        (labels / f"{name}_labels.fits").unlink()
    second = labelled_stamps(settings(folder, labels))[1]
    assert 0 <= len(first) - len(second) <= 2
    assert all(any(torch.equal(one.image, other.image) for other in first) for one in second)


def test_given_labels_are_taken_and_the_middle_one_is_the_target(folder, labels):
    for stamp in labelled_stamps(settings(folder, labels))[0]:
        target, star = stamp.instances
        rows, columns = target.nonzero().float().T
        assert abs(columns.mean() - stamp.centre[0]) < 1.5 and abs(rows.mean() - stamp.centre[1]) < 1.5
        assert not (target & star).any() and star.any()


def test_a_plane_for_each_source(folder, labels):
    """As `autogal simulate` writes them: sources may overlap."""
    for path in list(labels.iterdir()):
        values = fits.getdata(path)
        star = np.roll(values == 7, 4, axis=1)
        fits.writeto(
            labels / path.name.replace("_labels", "_instances"),
            np.stack([star, values == 7]).astype(np.uint8),
        )
        path.unlink()
    for stamp in labelled_stamps(settings(folder, f"{labels}/*_instances.fits"))[0]:
        assert len(stamp.instances) == 2 and stamp.instances.all(0).any()
        assert abs(stamp.instances[0].nonzero()[:, 1].float().mean() - stamp.centre[0]) < 1.5


def _rewrite(labels, change):
    path = labels / "galaxy03_labels.fits"
    values = change(fits.getdata(path))
    fits.writeto(path, values, overwrite=True)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda labels: _rewrite(labels, lambda values: 0 * values), "its label mask is empty"),
        (
            lambda labels: _rewrite(labels, lambda values: np.where(values == 7, 0, values)),
            "no labelled source is where the target should be",
        ),
        (lambda labels: _rewrite(labels, lambda values: values + 0.5), "not whole numbers"),
        (lambda labels: _rewrite(labels, lambda values: values[:-1]), r"shape \(39, 80\)"),
        (lambda labels: (labels / "galaxy03_labels.fits").write_bytes(b"nothing"), "cannot be read"),
        (lambda labels: (labels / "galaxy03_labels.fits").unlink(), "no label image"),
    ],
)
def test_an_image_without_a_usable_label_is_left_out_and_said(folder, labels, harm, reason, caplog):
    harm(labels)
    with caplog.at_level(logging.INFO, "autogal"):
        training, aside = labelled_stamps(settings(folder, labels))
    assert len(training) + len(aside) == COUNT - 1
    assert [
        record.message.startswith("galaxy03 is left out: ")
        for record in caplog.records
        if "left out" in record.message
    ] == [True]
    assert re.search(reason, caplog.text)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.random.default_rng(0).normal(size=(48, 48)), "no source was found"),
        (np.random.default_rng(0).normal(size=(24, 24)) + sum(light((24, 24))), "smaller than 32 px"),
        (np.full((48, 48), np.nan), "pixel"),
    ],
)
def test_an_image_without_a_target_is_left_out_and_said(folder, tmp_path, image, reason, caplog):
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    fits.writeto(tmp_path / "odd.fits", image)
    with caplog.at_level(logging.INFO, "autogal"):
        training, aside = labelled_stamps(settings(tmp_path))
    assert len(training) + len(aside) == COUNT
    assert [reason in record.message for record in caplog.records if "odd is left out" in record.message] == [
        True
    ]


def test_a_target_that_is_all_masked_is_left_out(folder, tmp_path, labels, caplog):
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    fits.writeto(
        tmp_path / "galaxy03_mask.fits", (fits.getdata(labels / "galaxy03_labels.fits") == 7).astype(np.uint8)
    )
    training, aside = labelled_stamps(settings(tmp_path, labels))
    assert len(training) + len(aside) == COUNT - 1
    assert "galaxy03 is left out: its target has 0 usable pixels" in caplog.text


def test_without_one_usable_image(tmp_path):
    for i in range(4):
        fits.writeto(tmp_path / f"empty{i}.fits", np.random.default_rng(i).normal(size=(40, 40)))
    with pytest.raises(AutogalError, match="Only 0 usable images") as caught:
        labelled_stamps(settings(tmp_path))
    assert "left out" in caught.value.remedy


@pytest.mark.parametrize("labels", ["SEP", "no/such/folder", "no_such_*.fits"])
def test_labels_that_are_none(folder, labels):
    with pytest.raises(AutogalError, match="neither sep nor a folder"):
        labelled_stamps(settings(folder, labels))


def test_a_folder_of_images_is_no_folder_of_their_labels(folder):
    with pytest.raises(AutogalError, match="Only 0 usable images"):
        labelled_stamps(settings(folder, folder))


def test_batches_are_of_one_shape_reproducible_and_different_for_every_process(stamps):
    training, _ = stamps

    def draw(first, rank, world):
        stream = iter(Labelled(training, 4, first, rank, world))
        return [next(stream) for _ in range(8)]

    two, one = [draw(0, rank, 2) for rank in (0, 1)], draw(0, 0, 1)
    assert {tuple(batch.image.shape) for batch in one + two[0]} >= {(4, 64, 64), (4, 64, 96)}
    assert all(torch.equal(one[2 * k + rank].image, two[rank][k].image) for k in range(3) for rank in (0, 1))
    assert torch.equal(draw(4, 0, 1)[0].image, one[4].image)


def test_every_process_validates_and_no_stamp_twice(stamps):
    training, _ = stamps
    whole = validation_batches(training, 4)
    assert sum(len(batch.image) for batch in whole) == len(training)
    parts = [validation_batches(training, 4, rank, 3) for rank in range(3)]
    assert sum(len(batch.image) for part in parts for batch in part) == len(training)
    assert all(validation_batches(training[:1], 4, rank, 3) for rank in range(3))


def test_the_network_takes_them_and_every_target_counts(stamps):
    training, _ = stamps
    module = SegmenterModule()
    logged = {}
    module.log = lambda name, value, **_: logged.update({name: float(value)})
    small = LabelledBatch.of([stamp for stamp in training if stamp.image.shape == (64, 64)][:2])
    assert torch.isfinite(module.training_step(small.to("cpu"), 0))
    module.eval()
    module.validation_step(small, 0)
    assert len(module._stamps) == 2
    module.on_validation_epoch_end()
    assert 0 <= logged["val/quality"] <= 1


def test_what_is_expected_off_the_middle_stays_there_when_turned(stamps):
    """The stamp is wider than the image: the place where the target is expected is not the middle of the
    stamp."""
    training, _ = stamps
    batch = LabelledBatch.of([stamp for stamp in training if stamp.image.shape == (64, 64)][:4])
    torch.manual_seed(0)
    for stamp, truth in zip(*_augmented(batch)):
        assert stamp[2][truth["masks"][0].bool()].mean() < 0.7 * stamp[2].mean()
