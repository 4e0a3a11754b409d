"""Surface photometry of many targets at a time: rings, ellipses, PSF-convolved profiles as sums of
Gaussians."""

__all__ = []
