"""How the networks are trained; a fit imports none of it."""

__all__ = []
