"""What a run needs besides astronomy: its log, its clock, its threads, work done ahead, Lightning."""

__all__ = []
