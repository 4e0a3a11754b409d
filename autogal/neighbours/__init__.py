"""Neighbours: which of them are fitted together with the target, where they start, and the fits."""

from __future__ import annotations

from autogal.neighbours.joint import fit_neighbours
from autogal.neighbours.neighbour_map import Surroundings

__all__ = ["Surroundings", "fit_neighbours"]
