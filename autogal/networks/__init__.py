"""What the networks share: their checkpoints. How they are trained is in `autogal.training`, which a fit
does not import."""

from autogal.networks.checkpoint import find, load, save

__all__ = ["find", "load", "save"]
