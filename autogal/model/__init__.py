"""From parameters to PSF-convolved images and normal equations."""

from autogal.model.model import Model

__all__ = ["Model"]
