"""A run of `autogal fit`: its blocks, who works on them, and what is kept on disk while it goes on."""

__all__ = []
