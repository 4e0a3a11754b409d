"""Rows that go from one process to another."""

from __future__ import annotations

import numpy as np
import pytest

from autogal.errors import AutogalError
from autogal.results import Catalogue
from autogal.run.handover import Handover

from ..results.scenes import make_cutout, make_fit


@pytest.fixture
def handover(tmp_path):
    handover = Handover(tmp_path / "between")
    handover.open()
    return handover


def block(first: int) -> Catalogue:
    part = Catalogue.from_fitted(
        [make_cutout(f"g{first}"), make_cutout("héllo")], make_fit(2), keep_cutouts=False
    )
    part.seconds = {"fit": 1.5}
    return part


def test_blocks_arrive_whole_and_once(handover):
    handover.put(12, block(12))
    handover.put(2, block(2))
    came = dict(handover.poll())
    assert set(came) == {2, 12} and list(handover.poll()) == []
    given = block(12)
    assert came[12].seconds == {"fit": 1.5} and np.array_equal(
        came[12].covariance, given.covariance, equal_nan=True
    )
    assert (
        list(came[12].table["id"]) == ["g12", "héllo"]
        and came[12].table["mag"].unit == given.table["mag"].unit
    )


def test_a_block_that_is_being_written_is_not_there_yet(handover):
    (handover.folder / ".abc.pkl").write_bytes(b"half")
    assert list(handover.poll()) == []


def test_what_a_run_before_left_is_gone(handover):
    handover.put(0, block(0))
    handover.open()
    assert list(handover.poll()) == []
    handover.close()
    assert not handover.folder.exists()


def test_what_went_wrong(handover, caplog):
    assert handover.failure() is None
    with handover.reporting():
        raise AutogalError("It is wrong.", "Mend it.")
    failure = handover.failure()
    assert isinstance(failure, AutogalError) and (failure.what, failure.remedy) == (
        "It is wrong.",
        "Mend it.",
    )
    with handover.reporting():
        raise type("Odd", (Exception,), {})("a class that no other process knows")
    assert str(handover.failure()) == "Odd: a class that no other process knows"


def test_ctrl_c_is_no_failure(handover):
    with pytest.raises(KeyboardInterrupt), handover.reporting():
        raise KeyboardInterrupt
    assert handover.failure() is None
