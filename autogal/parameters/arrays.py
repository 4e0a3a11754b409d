"""Functions that take tensors and arrays alike."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

__all__ = ["Numbers", "functions_of"]

#: A number, an array or a tensor
Numbers = Any


def functions_of(*numbers: Numbers) -> Any:
    """The module whose functions these take: torch where one is a tensor, else numpy. Torch is not
    imported for it."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and any(isinstance(one, torch.Tensor) for one in numbers) else np
