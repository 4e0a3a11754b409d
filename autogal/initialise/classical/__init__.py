"""Starting values measured from the image, or given by the user."""

__all__ = []
