"""The noise of an image: its sky, its sigma map, photons, gain, correlation, and whether they agree."""

__all__ = []
