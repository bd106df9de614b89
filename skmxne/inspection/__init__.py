"""Inspection of fitted models."""

from .certificate import Certificate, compute_certificate, verify
from .confidence import Confidence, compute_confidence

__all__ = ["Certificate", "Confidence", "compute_certificate", "compute_confidence", "verify"]
