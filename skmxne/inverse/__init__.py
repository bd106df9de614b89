"""Objects of MNE in, sources out."""
