"""What the networks share: their checkpoints, and how they are trained.

The training itself is imported where it is used (`autogal.training.run`): a fit needs no trainer.
"""

from autogal.networks.checkpoint import find, load, save

__all__ = ["find", "load", "save"]
