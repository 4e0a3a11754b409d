"""Which detected pieces are the target's own: arms, knots, outskirts, halves that no valley parts from the
rest."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from autogal.segment.classical.detection import Field
from autogal.segment.sources import Sources
from autogal.segment.symmetry import join_symmetric
from autogal.segment.target import target_profile

__all__ = ["doubtful_pieces", "join_pieces", "judge_pieces"]

_EXCESS = 0.5  # a neighbour's peak stands this much above the target's own light, relative to it
_SADDLE = 5.0  # and by this many sigmas above the saddle that joins it to the target
_ARM = 0.3  # height of a spiral arm's peak, at most, relative to the target's
_BRIGHTER = 1.5  # a peak this much brighter than the target's own is never the target's
# What the network finds within a target, and is no surer of than this, must be parted from it by a saddle
_SURE = 0.75
_WITHIN = 0.5  # part of the piece that lies within the target
_LARGE = 0.1  # part of the target that it covers; smaller ones take nothing from it
# What of a source beside the target makes one doubt that it is one: its peak hardly stands above the saddle
# to the target, lies off the middle of its light (in radii of a circle of its area), and it is bright enough
# to matter
_HIGH_SADDLE = 0.7
_OFF_MIDDLE = 0.1
_MATTERS = 0.1  # of the target's light
# As many clumps on a target, none beyond a deep valley, are a string of clumps sooner than chance
_STRING = 3
_SHALLOW = 0.4
_EACH = 0.02  # of the target's light
# What lies in the middle of the target, where this has no summit of its own, is the target's core
_INSIDE = 0.9  # part of the core that lies within the target
_SMALL = 0.5  # part of the target that it covers, at most
_MIDDLE = 0.15  # distance of its peak from the target's centroid, in radii of the target
_NEAR_MIDDLE = 0.4  # the same, where the network is no surer than above


def judge_pieces(
    field: Field, objects: np.ndarray, labels: np.ndarray, k: int, threshold: float
) -> np.ndarray:
    """Tell neighbours from pieces of the target, and relabel.

    Deblending splits spiral arms and knots off large galaxies, and noise makes islands of a galaxy's
    faint outskirts. A neighbour must stand above what the target itself should have at that place:
    the median of the target's ellipse there, and the value diametrically opposite.

    Parameters
    ----------
    field : Field
    objects, labels
        From :func:`autogal.segment.classical.detection.extract`.
    k : int
        The target, as an index into `objects`.
    threshold : float
        Detection threshold in units of ``field.noise``.

    Returns
    -------
    ndarray of int32, shape (H, W)
        0 sky, 1 the target with its pieces, 2, 3, ... neighbours, brightest first.
    """
    x, y = float(objects["x"][k]), float(objects["y"][k])
    islands, _ = ndimage.label(labels > 0, structure=np.ones((3, 3)))
    own_island = islands == islands[objects["ypeak"][k], objects["xpeak"][k]]
    target = labels == k + 1
    # The whole island gives a better ellipse than a shredded galaxy's middle piece, the piece a better one
    # where the island is a chain of neighbours: light expected by either is accepted.
    elsewhere = (labels > 0) & ~own_island
    peaks = objects["ypeak"], objects["xpeak"]
    height, noise = field.data[peaks], field.noise[peaks]
    connected = own_island[peaks]
    expected = target_profile(field, target, elsewhere, x, y)[peaks]
    # A spiral arm has its like on the other side; a source as bright as the target's centre is no arm.
    opposite = np.minimum(_opposite(field, x, y, elsewhere)[peaks], _ARM * height[k])
    expected = np.where(connected, np.maximum(expected, opposite), expected)
    excess = height - expected
    stands_out = excess > threshold * noise
    own_light = connected & ~(stands_out & (excess > _EXCESS * expected))
    # Where noise alone could have dug the saddle between two peaks, they are one source: the piece is a clump
    # of the target, or the target a clump of the piece. A joined piece can bring others within reach, but no
    # saddle is higher than the lowest on the way from the target.
    summit = np.where(height < _BRIGHTER * height[k], np.minimum(height, height[k]), height)
    joined_at = _joined(
        field, labels, k + 1, len(objects), lambda saddle: own_light | (summit - saddle < _SADDLE * noise)
    )
    part = own_light | (joined_at[1:] > -np.inf)

    new = np.zeros(len(objects) + 1, np.int32)
    new[1:][part] = 1
    neighbours = np.flatnonzero(~part & (connected | stands_out))
    brightest_first = neighbours[np.argsort(objects["flux"][neighbours])[::-1]]
    new[1 + brightest_first] = 2 + np.arange(neighbours.size)
    return new[labels]


def join_pieces(field: Field, sources: Sources) -> np.ndarray:
    """Footprints of what the network found, without the pieces that it cut out of the target.

    Of many galaxies, spirals and those with sharp edges above all, it detects a part besides the whole. Such
    a part is a neighbour where the network is sure of it, or where its light stands out of the target's by
    more than noise could make it. The middle of the target is no neighbour, however bright, if the target has
    no summit nearer to its centre: without its core a galaxy would be measured as another one. What has its
    like on the target's other side is the target's too.

    Parameters
    ----------
    field : Field
    sources : Sources

    Returns
    -------
    ndarray of int32, shape (H, W)
        0 sky, 1 the target, others as in `Sources.labels`.
    """
    labels = sources.labels().numpy()
    target, others = sources.target.flatten().numpy(), sources.neighbours.flatten(1).numpy()
    common = np.count_nonzero(others & target, axis=1)
    unsure, size = sources.scores.numpy() < _SURE, np.count_nonzero(others, axis=1)
    doubtful = unsure & (common >= _WITHIN * size) & (common >= _LARGE * np.count_nonzero(target))
    within = (common >= _INSIDE * size) & (common <= _SMALL * np.count_nonzero(target))
    if not (doubtful | within).any():
        return join_symmetric(field, labels)
    # one that others cover entirely has no pixel left, and nothing to join
    present = np.isin(np.arange(2, len(others) + 2), labels)
    peaks = ndimage.maximum_position(field.data, labels, 2 + np.flatnonzero(present))
    rows, columns = np.array(peaks, int).reshape(-1, 2).T
    least = np.full(
        len(others) + 1, np.inf
    )  # height of the saddle that makes a source the target's; inf: none does
    least[1:][present] = field.data[rows, columns] - _SADDLE * field.noise[rows, columns]
    least[1:][~doubtful] = np.inf
    distance, away = _from_middle(target.reshape(labels.shape)), np.full(len(others), np.inf)
    away[present] = distance[rows, columns]
    for k in np.flatnonzero(within & (away < np.where(unsure, _NEAR_MIDDLE, _MIDDLE))):
        if not _has_summit(field, labels, k + 2, distance < away[k]):
            least[1 + k] = -np.inf
    joined_at = _joined(field, labels, 1, len(others) + 1, lambda saddle: saddle > least)
    labels[(joined_at > -np.inf)[labels]] = 1
    return join_symmetric(field, labels)


def doubtful_pieces(field: Field, labels: np.ndarray, expected: np.ndarray) -> list[int]:
    """Sources beside the target that may be parts of it: no valley lies between, and they have no middle of
    their own.

    A galaxy of its own is brightest in its middle. What is cut out of another one, an arm, a tail, half of a
    disk, is brightest towards the rest. Clumps do have their middle, but one galaxy has several.

    Parameters
    ----------
    field : Field
    labels : ndarray of int, shape (H, W)
        0 sky, 1 the target, 2, 3, ... others.
    expected : ndarray of float64, shape (H, W)
        The target's own light, in the units of ``field.data``.

    Returns
    -------
    list of int
        Their labels.
    """
    joined_at = np.full(int(labels.max()) + 1, -np.inf)
    joined_at[1] = np.inf
    saddle = _saddles(field, labels, joined_at)
    light = np.maximum(field.data - expected, 0.0)
    own = np.maximum(field.data, 0.0)[labels == 1].sum()
    found, clumps = [], []
    for k in 1 + np.flatnonzero(np.isfinite(saddle[1:])) + 1:
        rows, columns = np.nonzero(labels == k)
        weight, height = light[rows, columns], field.data[rows, columns].max()
        if weight.sum() > _EACH * own and saddle[k - 1] > _SHALLOW * height:
            clumps.append((int(k), weight.sum()))
        if not weight.sum() > _MATTERS * own or not saddle[k - 1] > _HIGH_SADDLE * height:
            continue
        top = int(np.argmax(weight))
        middle = (weight * rows).sum() / weight.sum(), (weight * columns).sum() / weight.sum()
        if np.hypot(rows[top] - middle[0], columns[top] - middle[1]) > _OFF_MIDDLE * np.sqrt(
            rows.size / np.pi
        ):
            found.append(int(k))
    if len(clumps) >= _STRING and sum(light for _, light in clumps) > _MATTERS * own:
        found = sorted({*found, *(k for k, _ in clumps)})
    return found


def _from_middle(target: np.ndarray) -> np.ndarray:
    """Distance of every pixel from the centroid of a footprint, holes filled, in radii of a circle of its
    area."""
    whole = ndimage.binary_fill_holes(target)
    y, x = ndimage.center_of_mass(whole)
    rows, columns = np.indices(target.shape)
    return np.hypot(rows - y, columns - x) / np.sqrt(np.count_nonzero(whole) / np.pi)


def _has_summit(field: Field, labels: np.ndarray, label: int, where: np.ndarray) -> bool:
    """Whether the target has a summit `where` it is asked for, and a valley parts it from the source
    `label`."""
    tops = (
        (labels == 1)
        & where
        & (field.data == ndimage.maximum_filter(field.data, size=3))
        & (field.data > _SADDLE * field.noise)
    )
    for row, column in np.argwhere(tops):
        above = np.isin(labels, (1, label)) & (
            field.data > field.data[row, column] - _SADDLE * field.noise[row, column]
        )
        hills, _ = ndimage.label(above, structure=np.ones((3, 3)))
        if not (hills[labels == label] == hills[row, column]).any():
            return True
    return False


def _joined(
    field: Field, labels: np.ndarray, target: int, count: int, accepts: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Join sources to the target, and further ones to these, where `accepts` (saddles of labels 1 to
    `count`) has it; the saddles by which each is."""
    joined_at = np.full(count + 1, -np.inf)
    joined_at[target] = np.inf
    while True:
        saddle = _saddles(field, labels, joined_at)
        joined = (joined_at[1:] == -np.inf) & np.isfinite(saddle) & accepts(saddle)
        if not joined.any():
            return joined_at
        joined_at[1:][joined] = saddle[joined]


def _saddles(field: Field, labels: np.ndarray, joined_at: np.ndarray) -> np.ndarray:
    """Height of the saddle that joins each source to the target; -inf where it borders none of its pieces.

    ``joined_at[i]`` is the height of the saddle by which label i is joined already, -inf where it is not.
    """
    joined = ndimage.maximum_filter(np.minimum(field.data, joined_at[labels]), size=3)
    return np.asarray(ndimage.maximum(np.minimum(joined, field.data), labels, np.arange(1, joined_at.size)))


def _opposite(field: Field, x: float, y: float, exclude: np.ndarray) -> np.ndarray:
    """The image turned by 180 degrees about (x, y); zero where that is unknown."""
    height, width = field.data.shape
    rows = np.rint(2 * y - np.arange(height)).astype(int)
    columns = np.rint(2 * x - np.arange(width)).astype(int)
    known = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))[None, :]
    rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    turned = np.maximum(field.data, 0)[np.ix_(rows, columns)]
    known &= ~exclude[np.ix_(rows, columns)] & field.good[np.ix_(rows, columns)]
    return np.where(known, turned, 0.0)
