"""A GPU that is none: tensors that say they are on ``cuda:0``, keep to their own kind as a GPU's do, and hold
their numbers on the CPU.

It finds what a machine without a GPU would let pass: tensors made on the wrong device, or read as if they
were the host's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

__all__ = ["GPU", "pretended_gpu"]

GPU = torch.device("cuda:0")
_aten = torch.ops.aten
# What a real GPU takes from the host too: copies, and the places of an index
_CROSSING = {
    _aten._to_copy.default,
    _aten.to.device,
    _aten.to.dtype_layout,
    _aten.to.other,
    _aten.copy_.default,
    _aten.index.Tensor,
    _aten.index_put_.default,
    _aten.index_put.default,
    _aten._index_put_impl_.default,
    _aten._local_scalar_dense.default,
}


class _OnGPU(torch.Tensor):
    """A tensor of the pretended GPU around one of the CPU."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> _OnGPU:
        out = torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=GPU,
            requires_grad=False,
        )
        out.held = held
        return out

    def __repr__(self) -> str:
        return f"{self.held!r} on the pretended GPU"

    def tolist(self):
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return _run(function, args, kwargs or {})


class _Mode(TorchDispatchMode):
    """Makes the tensors that are asked for on the GPU."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return _run(function, args, kwargs or {})


class _Generator(torch.Generator):
    """The CPU's, whatever device it is asked for."""

    def __new__(cls, device=None):
        return super().__new__(cls)


@torch.inference_mode(False)  # tensors that are made in it could not stand for others
@torch.no_grad()
def _run(function, args, kwargs):
    """One operation on the tensors that are held; its results are where a GPU would have left them."""
    given = tree_flatten((args, kwargs))[0]
    wrappers, hosts = (
        [v for v in given if isinstance(v, torch.Tensor) and isinstance(v, _OnGPU) == which]
        for which in (True, False)
    )
    if wrappers and function not in _CROSSING and any(v.ndim for v in hosts):
        raise RuntimeError(
            f"Expected all tensors to be on the same device: {function} got "
            f"{[tuple(v.shape) for v in hosts]} of the CPU."
        )
    asked = [v.type for v in given if isinstance(v, torch.device)]
    same = {id(v.held): v for v in wrappers}  # what is changed in place stays itself

    def host(value):
        return (
            value.held
            if isinstance(value, _OnGPU)
            else torch.device("cpu")
            if isinstance(value, torch.device)
            else value
        )

    args, kwargs = tree_map(host, (args, kwargs))
    out = function(
        *args,
        **{
            name: False if name in ("pin_memory", "non_blocking") else value for name, value in kwargs.items()
        },
    )
    there = asked[0] == GPU.type if asked else bool(wrappers)
    if function is _aten.copy_.default:  # to the one that is copied into, wherever the other was
        there = id(out) in same

    def wrapped(value):
        return (
            same[id(value)]
            if id(value) in same
            else _OnGPU(value)
            if isinstance(value, torch.Tensor)
            else value
        )

    return tree_map(wrapped, out) if there else out


@contextmanager
def pretended_gpu(monkeypatch, memory: int = 8 << 30) -> Iterator[torch.device]:
    """The pretended GPU for a with-block, as autogal sees GPUs."""
    # as torch's own fake tensors have it: guards that do nothing where there is no driver, and new tensors
    # made on the host first
    torch._C._ensureCUDADeviceGuardSet()
    monkeypatch.setattr(torch, "Generator", _Generator)
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *args, pin_memory=False, **kwargs: empty(*args, **kwargs))
    for name, value in {
        "is_available": True,
        "device_count": 1,
        "mem_get_info": (memory, memory),
        "memory_reserved": 0,
        "memory_allocated": 0,
        "empty_cache": None,
        "synchronize": None,
        "get_device_name": "pretended",
        "_lazy_init": None,
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)
    overwrite = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    torch._C._set_only_lift_cpu_tensors(True)
    try:
        with _Mode():
            yield GPU
    finally:
        torch._C._set_only_lift_cpu_tensors(False)
        torch.__future__.set_overwrite_module_params_on_conversion(overwrite)
