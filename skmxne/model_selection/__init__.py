"""Choosing alpha on a warm-started path."""

from .cross_validation import MixedNormCV
from .information_criterion import MixedNormIC

__all__ = ["MixedNormCV", "MixedNormIC"]
