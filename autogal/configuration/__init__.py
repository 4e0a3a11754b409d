"""How a run is asked for: the words of a command line, the YAML files, their types, and what is said when
they do not agree."""

__all__ = []
