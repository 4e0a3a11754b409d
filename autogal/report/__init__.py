"""What is told of a run, of an object and of an evaluation: the facts, and how they are shown (terminal,
figures, files)."""

__all__ = []
