"""Simulated cutouts with known truth."""

from autogal.simulate.files import write_scenes
from autogal.simulate.noise import poisson_quantile
from autogal.simulate.population import Population, Scene, Source
from autogal.simulate.scenes import Simulation, simulate

__all__ = ["Population", "Scene", "Simulation", "Source", "poisson_quantile", "simulate", "write_scenes"]
