"""From the image of a galaxy back to its light in space: an emissivity that is free."""

__all__ = []
