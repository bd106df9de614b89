"""Figures, made like scikit-learn's displays. matplotlib is imported when one is drawn."""

from .fields import FieldDisplay
from .path import PathDisplay
from .selection import SelectionDisplay
from .sources import SourceDisplay

__all__ = ["FieldDisplay", "PathDisplay", "SelectionDisplay", "SourceDisplay"]
