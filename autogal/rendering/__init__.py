"""From numbers to PSF-convolved images with their derivatives, in Fourier space: one renderer a kind of
light."""

__all__ = []
