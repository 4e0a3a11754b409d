"""What a FITS header says of its image: zero point, units, gain, pixel scale, sampling."""

__all__ = []
