"""Starting values by a ResNet-50."""

__all__ = []
