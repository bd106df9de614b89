"""The correlation of all positions with the residual, kept up to date without products."""

from dataclasses import dataclass

import numpy as np

# Share of the positions up to which multiplying them alone is cheaper than a whole product.
_FEW = 0.2


@dataclass(frozen=True)
class Correlation:
    """Upper bounds of ``||X_g^T residual||_F``, of all positions.

    A residual that moves by ``d`` changes the norm of position ``g`` by at most ``||X_g|| ||d||``.
    Near the solution the residual hardly moves, so that this alone keeps most positions below the
    penalty, and only the others need to be multiplied.

    Attributes
    ----------
    residual : ndarray of shape (n_samples, n_targets)
        The residual.
    norms : ndarray of shape (n_positions,)
        The bound of each position for the residual it was last multiplied with.
    drift : ndarray of shape (n_positions,)
        How far, at most, the residual has moved since.
    """

    residual: np.ndarray
    norms: np.ndarray
    drift: np.ndarray

    @classmethod
    def measure(cls, design, residual, threshold=None, known=None):
        """Multiply all positions with a residual.

        Parameters
        ----------
        design : BlockDesign
            Columns of ``X``.
        residual : ndarray of shape (n_samples, n_targets)
            The residual.
        threshold : float, default=None
            As for `BlockDesign.correlate`.
        known : tuple of (ndarray of int, ndarray), default=None
            As for `BlockDesign.correlate`.

        Returns
        -------
        correlation : Correlation
            What was found.
        """
        norms = design.correlate(residual, threshold, known)
        return cls(residual, norms, np.zeros(len(norms)))

    def bounds(self, design):
        """Compute what the norms are at most for the residual, shape (n_positions,)."""
        return self.norms + design.norms * self.drift

    def follow(self, design, residual, threshold, known, candidates):
        """Follow the residual to where it has moved.

        Parameters
        ----------
        design : BlockDesign
            Columns of ``X``.
        residual : ndarray of shape (n_samples, n_targets)
            The residual now.
        threshold : float
            What the norms are to be compared with: those above it are multiplied.
        known : tuple of (ndarray of int, ndarray)
            Positions whose norms are known, and these norms.
        candidates : ndarray of bool, shape (n_positions,)
            The positions that matter: no other is multiplied on its own.

        Returns
        -------
        correlation : Correlation
            For this residual.
        """
        positions, known_norms = known
        drift = self.drift + np.linalg.norm(residual - self.residual)
        is_open = candidates & (self.norms + design.norms * drift > threshold)
        is_open[positions] = False
        open_ = np.flatnonzero(is_open)
        if len(open_) > _FEW * design.n_positions:
            return self.measure(design, residual, threshold, known)
        norms = self.norms.copy()
        norms[positions] = known_norms
        threshold = max(threshold, known_norms.max(initial=0.0))
        norms[open_] = design.correlate(residual, threshold, positions=open_)
        drift[positions] = drift[open_] = 0.0
        return Correlation(residual, norms, drift)
