"""The mixed-norm estimate for one alpha, and along a path of alphas."""

from .mixed_norm import MixedNormEstimator
from .path import mixed_norm_path

__all__ = ["MixedNormEstimator", "mixed_norm_path"]
