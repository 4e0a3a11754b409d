"""What segmentation returns: which pixels are the target's, which are its neighbours'."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from autogal.flags import Flag
from autogal.images.cutout import Cutout
from autogal.segment.neighbours import Reach

__all__ = ["Segmentation", "wanted_position"]


@dataclass(slots=True, eq=False)
class Segmentation:
    """The sources of one cutout, seen from its target.

    Attributes
    ----------
    labels : ndarray of int32, shape (H, W)
        Footprints: 0 sky, 1 the target, 2, 3, ... the neighbours.
    neighbours : ndarray of bool, shape (H, W)
        True = not to be fitted: the neighbours' footprints, grown over their
        wings. The target's own wings are never part of it.
    x, y : float
        Centre of the target, or where it was looked for if it was not found.
    n_sources : int
        Number of labels, the target included.
    blended : bool
        A neighbour's footprint touches the target's, or the neighbours' mask
        covers more than a tenth of it.
    flags : Flag
        Any of NO_TARGET, MASK_FALLBACK, LOW_SN, BLENDED, EDGE; POOR_FIT where neighbours may be parts of the
        target.
    notes : list of str
        One sentence for each thing that went another way than asked.
    reaches : dict of int to Reach
        What `neighbours` is made of: the part of each, by its label.
    otherwise : ndarray of bool, shape (H, W), or None
        What `neighbours` would be by another look at the image that disagrees about what is the target's;
        None where none does.
    doubtful : frozenset of int
        Labels of neighbours that may be parts of the target.
    """

    labels: np.ndarray
    neighbours: np.ndarray
    x: float
    y: float
    n_sources: int
    blended: bool
    flags: Flag
    notes: list[str]
    reaches: dict[int, Reach] = field(default_factory=dict)
    otherwise: np.ndarray | None = None
    doubtful: frozenset[int] = frozenset()

    @property
    def target(self) -> np.ndarray:
        """Footprint of the target, bool [H, W]; empty where there is none."""
        return self.labels == 1

    @classmethod
    def empty(
        cls, cutout: Cutout, note: str = "no source was found where the target should be"
    ) -> Segmentation:
        """A segmentation without any source.

        Parameters
        ----------
        cutout : Cutout
        note : str
            Why there is none.

        Returns
        -------
        Segmentation
            With the flag NO_TARGET.
        """
        x, y = wanted_position(cutout)
        shape = cutout.image.shape
        return cls(np.zeros(shape, np.int32), np.zeros(shape, bool), x, y, 0, False, Flag.NO_TARGET, [note])


def wanted_position(cutout: Cutout) -> tuple[float, float]:
    """Where the target should be: the user's starting position, else the centre of the image, or of that of
    which it is a window.

    Parameters
    ----------
    cutout : Cutout
        Of its ``start``, x and y count where both are finite.

    Returns
    -------
    x, y : float
        0-indexed pixel coordinates.
    """
    height, width = cutout.image.shape
    start = cutout.start or {}
    x, y = (float(start.get(name, np.nan)) for name in ("x", "y"))
    if np.isfinite(x) and np.isfinite(y):
        return x, y
    return (width - 1) / 2 + cutout.to_centre[0], (height - 1) / 2 + cutout.to_centre[1]
