"""Simulated scenes with known truth: to train from, to test with, to write."""

from autogal.simulate.background import Background
from autogal.simulate.batch import SceneBatch
from autogal.simulate.cutouts import Simulation, simulate
from autogal.simulate.files import write_scenes
from autogal.simulate.general import General
from autogal.simulate.population import Population
from autogal.simulate.source import SceneDataset, SceneSource, build_population
from autogal.simulate.structure import Structure
from autogal.simulate.templates import Templates

__all__ = [
    "Background",
    "General",
    "Population",
    "SceneBatch",
    "SceneDataset",
    "SceneSource",
    "Simulation",
    "Structure",
    "Templates",
    "build_population",
    "simulate",
    "write_scenes",
]
