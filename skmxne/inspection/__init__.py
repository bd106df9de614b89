"""Looking into fitted models."""

from .certificate import Certificate, compute_certificate, verify

__all__ = ["Certificate", "compute_certificate", "verify"]
