"""From starting values to rows of a catalogue: the model and solver that were chosen, the fits, what they
measure."""

__all__ = []
