"""Work ahead: in order, the same results, one block ahead and no more, and nothing left running."""

from __future__ import annotations

import gc
import threading
import time
import warnings
import weakref
from contextlib import closing
from functools import partial

import numpy as np
import pytest
import torch
from astropy.utils.exceptions import AstropyWarning

import autogal
from autogal import api, pipeline
from autogal.configuration.composing import compose
from autogal.errors import AutogalError
from autogal.run import blocks, job
from autogal.runtime.prefetch import prefetch, prefetch_threads
from autogal.runtime.warnings import silenced

from ..observations import ZEROPOINT, observe, random_galaxies

THREADS = [0, 1, 3]


def running() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("autogal-prefetch")]


def tasks(blocks, each, do):
    return ([partial(do, (block, k)) for k in range(each)] for block in range(blocks))


@pytest.mark.parametrize("threads", THREADS)
def test_results_come_in_order(threads):
    def do(place):
        time.sleep(0.002 * (place[1] % 3 == 0))  # the first of a block is not the first to be done
        return place

    with closing(prefetch(tasks(5, 7, do), threads)) as blocks:
        assert list(blocks) == [[(block, k) for k in range(7)] for block in range(5)]
    assert not running()


@pytest.mark.parametrize("threads", THREADS)
def test_no_blocks_and_empty_blocks(threads):
    assert list(prefetch([], threads)) == []
    assert list(prefetch([[], [lambda: 1], []], threads)) == [[], [1], []]


@pytest.mark.parametrize("threads", [1, 3])
def test_the_next_block_is_done_while_the_caller_is_busy(threads):
    done = [threading.Event() for _ in range(4)]
    with closing(prefetch(([done[k].set] for k in range(4)), threads)) as blocks:
        for k, _ in enumerate(blocks):
            # the caller does not ask for the next block before it has been done: without overlap it would
            # wait in vain
            assert k == 3 or done[k + 1].wait(60)


def test_reading_hides_behind_a_slow_device():
    """Fitted for 0.2 s each, six blocks that take 0.15 s to read: 1.35 s in place of 2.1 s."""
    begin = time.perf_counter()
    with closing(prefetch(([partial(time.sleep, 0.15)] for _ in range(6)), 1)) as blocks:
        for _ in blocks:
            time.sleep(0.2)
    assert time.perf_counter() - begin < 1.9


@pytest.mark.parametrize("threads", [1, 3])
def test_never_more_than_one_block_ahead(threads):
    begun = []
    with closing(prefetch(tasks(6, 4, begun.append), threads)) as blocks:
        for k, _ in enumerate(blocks):
            time.sleep(0.05)
            assert max(block for block, _ in begun) <= k + 1


@pytest.mark.parametrize("threads", THREADS)
def test_what_the_caller_has_dropped_is_freed(threads):
    class Pixels:
        pass

    alive = weakref.WeakSet()

    def read():
        pixels = Pixels()
        alive.add(pixels)
        return pixels

    with closing(prefetch(([read] * 3 for _ in range(6)), threads)) as blocks:
        for block in blocks:
            del block
            gc.collect()
            assert len(alive) <= 6  # of this block, which the generator may hold, and of the next


@pytest.mark.parametrize("threads", THREADS)
def test_an_exception_comes_in_its_place_and_ends_the_work(threads):
    done = []

    def do(place):
        done.append(place)
        if place == (1, 2):
            raise AutogalError("There is no PSF.", "Give one.")
        return place

    taken = []
    with (
        pytest.raises(AutogalError, match="There is no PSF"),
        closing(prefetch(tasks(5, 4, do), threads)) as blocks,
    ):
        taken.extend(blocks)
    assert taken == [[(0, k) for k in range(4)]]
    assert max(done) < (2, 0) and not running()


def test_ctrl_c_drops_what_has_not_begun():
    begun, go = [], threading.Event()

    def do(place):
        begun.append(place)
        if place[0] == 1:
            go.wait(60)

    with pytest.raises(KeyboardInterrupt), closing(prefetch(tasks(3, 50, do), 2)) as blocks:
        next(blocks)
        while len(begun) < 52:  # both threads are in the second block
            time.sleep(0.001)
        threading.Timer(0.1, go.set).start()
        raise KeyboardInterrupt
    assert len(begun) == 52 and not running()


def test_a_lone_core_that_fits_has_no_helpers(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 16)
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    assert prefetch_threads(torch.device("cpu"), 1) == 0 and prefetch_threads(torch.device("cpu"), 2) == 1
    assert prefetch_threads(torch.device("cuda"), 1) == 1
    assert 1 < prefetch_threads(torch.device("cpu")) == prefetch_threads(torch.device("cuda")) <= 8


def test_filters_of_warnings_survive_threads_that_silence():
    before, (inside, wanted, left) = list(warnings.filters), (threading.Event() for _ in range(3))

    def first():
        with silenced(AstropyWarning):
            inside.set()
            wanted.wait(60)
            time.sleep(0.1)  # the second one would be in by now
        left.set()

    def second():
        inside.wait(60)
        wanted.set()
        with silenced(AstropyWarning):
            left.wait(60)  # and would leave the filters of the first one behind

    readers = [threading.Thread(target=reader) for reader in (first, second)]
    for step in (threading.Thread.start, threading.Thread.join):
        for reader in readers:
            step(reader)
    assert warnings.filters == before


@pytest.fixture(scope="module")
def crowd():
    """Nine galaxies with starting values, the fifth of them without a usable pixel."""
    observed = observe(random_galaxies(9, seed=50), seed=51).arguments()
    observed["images"] = list(observed["images"])
    observed["images"][4] = np.full_like(observed["images"][4], np.nan)
    return observed


def same(one, other):
    for name in one.table.colnames:
        numbers = one.table[name].dtype.kind == "f"
        assert np.array_equal(one.table[name], other.table[name], equal_nan=numbers), name
    assert np.array_equal(one.covariance, other.covariance, equal_nan=True)


@pytest.mark.parametrize("piece", [1, 2])
def test_arrays_read_ahead_give_the_same_rows(piece, crowd, monkeypatch, caplog):
    found, logs = [], []
    monkeypatch.setattr(api, "_PIECE", piece)
    for threads in (0, 3):
        monkeypatch.setattr(api, "prefetch_threads", lambda *_, threads=threads: threads)
        with caplog.at_level("INFO", "autogal"):
            found.append(autogal.fit(**crowd, block=4, device="cpu"))
        logs.append([record.getMessage() for record in caplog.records])
        caplog.clear()
    same(*found)
    assert logs[0] == logs[1] and logs[0]
    assert list(found[0].table["id"]) == [str(i) for i in range(9)]
    assert [i for i, status in enumerate(found[0].table["status"]) if status == "failed"] == [4]


def test_arrays_are_read_while_others_are_fitted(crowd, monkeypatch):
    """Nothing is fitted before the next block has been looked at: without overlap it would wait in vain."""
    looked = [threading.Event() for _ in range(3)]
    read, fit_cutouts = api.ArrayCutouts.__getitem__, api.fit_cutouts

    def seen(self, part):
        cutouts = read(self, part)
        looked[part.start // 3].set()
        return cutouts

    def fit(cutouts, settings):
        assert looked[min(int(cutouts[0].id) // 3 + 1, 2)].wait(60)
        return fit_cutouts(cutouts, settings)

    monkeypatch.setattr(api.ArrayCutouts, "__getitem__", seen)
    monkeypatch.setattr(api, "fit_cutouts", fit)
    monkeypatch.setattr(api, "prefetch_threads", lambda *_: 1)
    assert len(autogal.fit(**crowd, block=3, device="cpu")) == 9


def test_a_psf_for_all_that_cannot_be_used_is_one_error(crowd, monkeypatch):
    monkeypatch.setattr(api, "prefetch_threads", lambda *_: 2)
    with pytest.raises(AutogalError, match="PSF"):
        autogal.fit(**crowd | {"psf": np.zeros((9, 9)), "sigma": 10.0}, block=4, device="cpu")
    assert not running()


def run_files(folder, out, threads, monkeypatch):
    monkeypatch.setattr(blocks, "prefetch_threads", lambda *_: threads)
    words = [
        f"out='{out}'",
        "device=cpu",
        "block=2",
        "objects.fits=false",
        "objects.png=false",
        f"zeropoint={ZEROPOINT}",
        "pixel_scale=0.4",
    ]
    return job.run(compose(overrides=words), sorted(str(path) for path in folder.glob("g*.fits")))


@pytest.fixture
def files(tmp_path, write_galaxy):
    """Five images, the third of them damaged."""
    for k in range(5):
        write_galaxy(tmp_path / f"g{k}.fits", tmp_path / f"g{k}_psf.fits", mag=18.0 + 0.3 * k, seed=k)
    (tmp_path / "g2.fits").write_text("This is no image.\n")
    return tmp_path


def test_files_read_ahead_give_the_same_rows_and_log(files, tmp_path, monkeypatch):
    one, other = (run_files(files, tmp_path / f"out{threads}", threads, monkeypatch) for threads in (0, 3))
    same(one, other)
    said = [
        [
            line.split(" ", 2)[2]
            for line in (tmp_path / f"out{threads}" / "autogal.log").read_text().splitlines()
            if ": g" in line
        ]
        for threads in (0, 3)
    ]
    assert said[0] == said[1] and any("g2" in line for line in said[0])


def test_ctrl_c_while_files_are_read_ahead(files, tmp_path, monkeypatch):
    calls, fit_cutouts = [], pipeline.fit_cutouts

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fit_cutouts(*arguments)

    monkeypatch.setattr(blocks, "fit_cutouts", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_files(files, tmp_path / "out", 2, monkeypatch)
    kept = autogal.Catalogue.read(tmp_path / "out" / "catalogue.fits")
    assert list(kept.table["id"]) == ["g0", "g1"] and not running()


def test_what_breaks_while_reading_ahead_keeps_the_blocks_before(files, tmp_path, monkeypatch):
    load = blocks.load_unreported

    def broken(entry, options):
        if entry.id == "g3":
            raise MemoryError("no room")
        return load(entry, options)

    monkeypatch.setattr(blocks, "load_unreported", broken)
    with pytest.raises(MemoryError, match="no room"):
        run_files(files, tmp_path / "out", 2, monkeypatch)
    kept = autogal.Catalogue.read(tmp_path / "out" / "catalogue.fits")
    assert list(kept.table["id"]) == ["g0", "g1"] and not running()
