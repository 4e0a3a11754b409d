"""Simulated cutouts with known truth."""

from autogal.simulate.batch import SceneBatch
from autogal.simulate.files import write_scenes
from autogal.simulate.noise import poisson_quantile
from autogal.simulate.population import Population, Scene, Source
from autogal.simulate.scenes import Simulation, simulate
from autogal.simulate.source import SceneDataset, SceneSource

__all__ = ["Population", "Scene", "SceneBatch", "SceneDataset", "SceneSource", "Simulation", "Source", "poisson_quantile", "simulate",
           "write_scenes"]
