"""Where everything stands in the vectors of a model."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor

from autogal.model.component import Component
from autogal.model.elliptical import EllipticalComponent
from autogal.model.fit_model import FitModel

__all__ = ["Layout"]


@dataclass(frozen=True)
class Layout(FitModel):
    """The blocks, every component's free parameters one after the other and the sky, and what of them the
    solver moves.

    Attributes
    ----------
    components : tuple of Component
    shared : dict of str to str
        Parameters that take another's value, by catalogue name.
    holds_sky : bool
        Whether the sky keeps the value that it starts at.
    """

    components: tuple[Component, ...] = field(default_factory=lambda: (EllipticalComponent(),))
    shared: dict = field(default_factory=dict)
    holds_sky: bool = field(default=False, kw_only=True)

    @property
    def size(self) -> int:
        return len(self._free_places)

    @property
    def fixed(self) -> tuple[int, ...]:
        return (self.size - 1,) if self.holds_sky else ()

    @property
    def own(self) -> tuple[int, ...]:
        return tuple(i for i in range(self.size - 1) if i not in self.fixed)

    @cached_property
    def lights(self) -> tuple[int, ...]:
        return tuple(i for i, c in enumerate(self.components) if c.flux is not None)

    @cached_property
    def _starts(self) -> tuple[int, ...]:
        """First place of each component in the blocks."""
        return tuple(sum(c.size for c in self.components[:i]) for i in range(len(self.components)))

    @cached_property
    def _places(self) -> dict[str, int]:
        """Places in the blocks of all that can be shared: what is the same there and in the catalogue, or
        its logarithm."""
        return {
            c.parameters[i]: start + i for start, c in zip(self._starts, self.components) for i in c.plain
        }

    @cached_property
    def _fixed_values(self) -> dict[int, float]:
        """Places in the blocks of what is fixed, and the values there."""
        return {
            start + place: value
            for start, c in zip(self._starts, self.components)
            for place, value in c.constants.items()
        }

    @cached_property
    def _source(self) -> tuple[int, ...]:
        """For every place in the blocks, the place that it takes its value from: itself unless it is
        shared."""
        out = list(range(self._starts[-1] + self.components[-1].size + 1))
        for one, other in self.shared.items():
            out[self._places[one]] = self._places[other]
        return tuple(out)

    @cached_property
    def _free_places(self) -> tuple[int, ...]:
        """Places in the blocks that the solver moves."""
        return tuple(
            i for i, source in enumerate(self._source) if source == i and i not in self._fixed_values
        )

    @cached_property
    def _constant(self) -> list[float]:
        return [self._fixed_values.get(source, 0.0) for source in self._source]

    def _selection(self, like: Tensor) -> Tensor:
        """Blocks by free vector, [F, P], zeros and ones."""
        return self._tensor(
            "selection",
            like,
            lambda: [[float(source == place) for place in self._free_places] for source in self._source],
        )

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
