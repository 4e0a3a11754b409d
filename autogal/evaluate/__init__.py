"""How good masks, starting values and fits are where the truth is known: ``autogal evaluate``."""

__all__ = []
