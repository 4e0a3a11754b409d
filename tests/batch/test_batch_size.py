"""What a GPU is given at a time; its memory is made up here."""

import torch

from autogal.batch import batch_size as memory
from autogal.batch.bucket import _chunk
from autogal.batch.stamps import held_at_once
from autogal.model.model import Model
from autogal.rendering.grid import Grid

GPU = torch.device("cuda", 0)


def with_memory(monkeypatch, free: int, reserved: int = 0, allocated: int = 0):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 10 * free))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: reserved)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: allocated)


def test_what_torch_keeps_for_later_is_free(monkeypatch):
    with_memory(monkeypatch, free=1000)
    assert memory.max_batch_size(GPU, 0.5, 10, 1) == 50
    with_memory(monkeypatch, free=200, reserved=900, allocated=100)
    assert memory.max_batch_size(GPU, 0.5, 10, 1) == 50


def test_at_least_one_and_never_more_than_can_be_counted(monkeypatch):
    with_memory(monkeypatch, free=1000)
    assert memory.max_batch_size(GPU, 0.5, 10_000, 1) == 1
    with_memory(monkeypatch, free=1 << 50)
    assert memory.max_batch_size(GPU, 0.5, 10, 1 << 20) == 2047


def test_chunks_of_a_large_gpu(monkeypatch):
    """Stamps of 128 x 128 on a GPU of 140 GB: thousands at a time, within what 32 bits can count."""
    with_memory(monkeypatch, free=140 << 30)
    model = Model()
    grid = Grid((128, 128), (160, 160))
    object.__setattr__(grid, "device", GPU)
    at_once = _chunk(grid, model)
    rows = sum(component.size for component in model.components) + 2
    assert at_once >= 4096 and at_once * rows * 128 * 128 < 2**31 and at_once * rows * 160 * 160 < 2**31
    held = held_at_once((128, 128, "effective", 1), GPU, torch.float32)
    assert held >= 16384 and held * 128 * 128 * 4 * 2 < 140 << 30
