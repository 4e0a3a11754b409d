"""A catalogue that grows while the run goes on."""

import logging

import numpy as np
import pytest

from autogal.errors import AutogalError
from autogal.results import Catalogue
from autogal.run import catalogue_writer
from autogal.run.catalogue_writer import CatalogueWriter

from ..results.scenes import make_cutout, make_fit


class Clock:
    """A clock that is set by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def block(first, n=2):
    return Catalogue.from_fitted(
        [make_cutout(f"g{first + k}") for k in range(n)], make_fit(n), keep_cutouts=False
    )


def rows(path):
    return list(Catalogue.read(path).table["id"])


def test_all_blocks_are_on_disk_in_order(tmp_path):
    with CatalogueWriter(tmp_path / "run") as writer:
        for first in range(0, 10, 2):
            writer.append(block(first))
    assert writer.path == tmp_path / "run" / "catalogue.fits"
    assert rows(writer.path) == [f"g{k}" for k in range(10)] == list(writer.catalogue.table["id"])
    assert len(writer) == 10 and writer.catalogue.covariance.shape == (10, 8, 8)


def test_blocks_in_another_order_become_rows_in_order(tmp_path):
    clock = Clock()
    with CatalogueWriter(tmp_path, interval=0, clock=clock) as writer:
        for first, expected in [
            (4, [4, 5]),
            (0, [0, 1, 4, 5]),
            (8, [0, 1, 4, 5, 8, 9]),
            (2, [0, 1, 2, 3, 4, 5, 8, 9]),
        ]:
            writer.append(block(first), first)
            assert rows(writer.path) == [f"g{k}" for k in expected]
            clock.now += 1
        writer.append(block(6), 6)
    assert rows(writer.path) == [f"g{k}" for k in range(10)] == list(writer.catalogue.table["id"])


@pytest.mark.parametrize("format", ["ecsv", "parquet"])
def test_other_formats(tmp_path, format):
    with CatalogueWriter(tmp_path, format) as writer:
        writer.append(block(0))
        writer.append(block(2))
    assert writer.path.suffix == f".{format}" and len(rows(writer.path)) == 4


def test_the_file_is_rewritten_at_intervals_only(tmp_path):
    clock = Clock()
    with CatalogueWriter(tmp_path, interval=30, clock=clock) as writer:
        writer.append(block(0))
        assert len(rows(writer.path)) == 2, "the first block at once"
        clock.now += 29
        writer.append(block(2))
        assert len(rows(writer.path)) == 2
        clock.now += 2
        writer.append(block(4))
        assert len(rows(writer.path)) == 6
        writer.append(block(6))
    assert len(rows(writer.path)) == 8


def test_slow_writing_makes_the_interval_longer(tmp_path, monkeypatch):
    clock, written = Clock(), []

    def slowly(catalogue, path, format):
        clock.now += 10
        written.append(len(catalogue))

    monkeypatch.setattr(catalogue_writer, "write_catalogue", slowly)
    with CatalogueWriter(tmp_path, interval=30, clock=clock) as writer:
        for first in range(0, 100, 2):
            writer.append(block(first))
            clock.now += 10
    assert len(written) == 4 and written[-1] == 100, (
        "500 s of work allow a write every 200 s, and one at the end"
    )


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_keeps_what_is_done(tmp_path, stop):
    with pytest.raises(stop), CatalogueWriter(tmp_path) as writer:
        writer.append(block(0))
        writer.append(block(2))
        raise stop
    assert rows(writer.path) == ["g0", "g1", "g2", "g3"]


def test_a_disk_that_is_full_for_a_while_costs_nothing(tmp_path, monkeypatch, caplog):
    full = AutogalError("The disk is full.", "Free some space.")
    clock, real, broken = Clock(), catalogue_writer.write_catalogue, [True]

    def write(*wishes):
        if broken[0]:
            raise full
        return real(*wishes)

    monkeypatch.setattr(catalogue_writer, "write_catalogue", write)
    with CatalogueWriter(tmp_path, clock=clock) as writer:
        with caplog.at_level(logging.ERROR):
            writer.append(block(0))
        assert "disk is full" in caplog.text
        broken[0] = False
        clock.now += 31
        writer.append(block(2))
        assert len(rows(writer.path)) == 4
        broken[0] = True
        clock.now += 31
        writer.append(block(4))
        broken[0] = False
    assert len(rows(writer.path)) == 6


def test_a_disk_that_stays_full_is_an_error_at_the_end(tmp_path, monkeypatch, caplog):
    def write(*_):
        raise AutogalError("The disk is full.", "Free some space.")

    monkeypatch.setattr(catalogue_writer, "write_catalogue", write)
    with pytest.raises(AutogalError, match="disk is full"), CatalogueWriter(tmp_path) as writer:
        writer.append(block(0))
    with pytest.raises(KeyboardInterrupt), CatalogueWriter(tmp_path) as writer:
        writer.append(block(0))
        raise KeyboardInterrupt
    assert "the last rows were not written" in caplog.text


def test_a_folder_that_cannot_be_written_is_known_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AutogalError, match="a file is in its place"):
        CatalogueWriter(tmp_path / "file")


def test_a_folder_with_a_dot_in_its_name_is_a_folder(tmp_path):
    with CatalogueWriter(tmp_path / "run.v2") as writer:
        writer.append(block(0))
    assert writer.path == tmp_path / "run.v2" / "catalogue.fits"


def test_nothing_appended_nothing_written(tmp_path):
    with CatalogueWriter(tmp_path) as writer:
        pass
    assert not list(tmp_path.iterdir())
    with pytest.raises(AutogalError, match="no result"):
        _ = writer.catalogue


def test_many_rows_are_quick(tmp_path):
    """A hundred blocks of a thousand rows: each appended once, and written once more only."""
    part = block(0, 1)
    part = Catalogue.join([part] * 1000)
    with CatalogueWriter(tmp_path) as writer:
        for _ in range(100):
            writer.append(part)
    assert len(writer) == 100_000
    assert np.isfinite(Catalogue.read(writer.path).table["mag"]).all()
