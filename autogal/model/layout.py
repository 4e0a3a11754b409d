"""Where everything stands in the vectors of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from autogal.model.component import Component
from autogal.model.plane import PlaneComponent
from autogal.model.point import PointComponent

__all__ = ["Layout"]


@dataclass(frozen=True)
class Layout:
    """The blocks, every component's free parameters one after the other and the sky, and what of them the solver moves.

    Attributes
    ----------
    components : tuple of Component, PointComponent and PlaneComponent
    shared : dict of str to str
        Parameters that take another's value, by catalogue name.
    holds_sky : bool
        Whether the sky keeps the value that it starts at.
    """

    components: tuple[Component | PointComponent | PlaneComponent, ...] = field(default_factory=lambda: (Component(),))
    shared: dict = field(default_factory=dict)
    holds_sky: bool = field(default=False, kw_only=True)

    @property
    def size(self) -> int:
        """Length of the free vector."""
        return len(self._kept)

    @property
    def held(self) -> tuple[int, ...]:
        """Places in the free vector of what keeps the value that each galaxy starts at."""
        return (self.size - 1,) if self.holds_sky else ()

    @property
    def fitted(self) -> tuple[int, ...]:
        """Places in the free vector of all else."""
        return tuple(i for i in range(self.size) if i not in self.held)

    @property
    def own(self) -> tuple[int, ...]:
        """Places in the free vector of what is fitted and the catalogue's values hang on, without the sky."""
        return tuple(i for i in range(self.size - 1) if i not in self.held)

    @cached_property
    def lights(self) -> tuple[int, ...]:
        """Numbers of the components that are light of the target, not its sky."""
        return tuple(i for i, c in enumerate(self.components) if not isinstance(c, PlaneComponent))

    @cached_property
    def _starts(self) -> tuple[int, ...]:
        """First place of each component in the blocks."""
        return tuple(sum(c.size for c in self.components[:i]) for i in range(len(self.components)))

    @cached_property
    def _places(self) -> dict[str, int]:
        """Places in the blocks of all that can be shared: what is the same there and in the catalogue, or its logarithm."""
        return {c.parameters[i]: start + i for start, c in zip(self._starts, self.components) for i in c.plain}

    @cached_property
    def _fixed(self) -> dict[int, float]:
        """Places in the blocks of what is fixed, and the values there."""
        return {start + place: value for start, c in zip(self._starts, self.components) for place, value in c.constants.items()}

    @cached_property
    def _source(self) -> tuple[int, ...]:
        """For every place in the blocks, the place that it takes its value from: itself unless it is shared."""
        out = list(range(self._starts[-1] + self.components[-1].size + 1))
        for one, other in self.shared.items():
            out[self._places[one]] = self._places[other]
        return tuple(out)

    @cached_property
    def _kept(self) -> tuple[int, ...]:
        """Places in the blocks that the solver moves."""
        return tuple(i for i, source in enumerate(self._source) if source == i and i not in self._fixed)

    @cached_property
    def _constant(self) -> list[float]:
        return [self._fixed.get(source, 0.0) for source in self._source]

    def _spread(self, like: Tensor) -> Tensor:
        """Blocks by free vector, [F, P], zeros and ones."""
        return self._tensor("spread", like, lambda: [[float(source == kept) for kept in self._kept] for source in self._source])

    @cached_property
    def _tensors(self) -> dict[tuple, Tensor]:
        return {}

    def _tensor(self, name: str, like: Tensor, numbers: Callable[[], Sequence], dtype: torch.dtype | None = None) -> Tensor:
        """Numbers of the model where `like` is. They are taken there once: for every transfer a GPU is waited for."""
        key = name, like.device, dtype or like.dtype
        if key not in self._tensors:
            self._tensors[key] = torch.tensor(numbers(), dtype=key[-1], device=like.device)
        return self._tensors[key]

    def _split(self, vector: Tensor) -> list[Tensor]:
        return [vector[:, start : start + c.size] for start, c in zip(self._starts, self.components)]

    def _assemble(self, parts: list[Tensor]) -> Tensor:
        """Block-diagonal matrix of the components' own, and 1 for the sky."""
        out = parts[0].new_zeros(len(parts[0]), len(self._source), len(self._source))
        for start, part in zip(self._starts, parts):
            stop = start + part.shape[-1]
            out[:, start:stop, start:stop] = part
        out[:, -1, -1] = 1.0
        return out
