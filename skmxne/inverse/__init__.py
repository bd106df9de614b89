"""Inverse problems made of MNE objects, and their solutions as MNE objects."""
