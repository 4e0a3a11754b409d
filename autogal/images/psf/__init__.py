"""The PSF of an image: checked, completed where it holds too little, and its sampling."""

__all__ = []
