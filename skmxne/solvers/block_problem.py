"""The convex problem that every solver gets: a few blocks, with all their columns."""

from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .objective import compute_block_norms, compute_dual, compute_primal
from .threads import map_chunks

# Minimum number of columns that one thread multiplies at a time.
_CHUNK = 128


def is_gram_small(X):
    """Whether ``X^T X`` is not much larger than ``X``."""
    return X.shape[1] <= 4 * len(X)


class BlockProblem:
    """Minimise ``1/2 ||y - X W||_F^2 + penalty * sum_g ||W_g||_F`` over ``W``.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_positions * n_orient)
        Columns, float64, Fortran ordered.
    y : ndarray of shape (n_samples, n_targets)
        Data, float64.
    penalty : float
        Regularization strength, positive.
    n_orient : int, default=1
        Number of columns per block.
    """

    def __init__(
        self, X: NDArray[np.float64], y: NDArray[np.float64], penalty: float, n_orient: int = 1
    ) -> None:
        if not 0.0 < penalty < np.inf:
            raise ValueError(f"penalty must be positive and finite, got {penalty!r}.")
        self.X = np.asarray(X, dtype=np.float64)
        self.y = np.asarray(y, dtype=np.float64)
        self.penalty = penalty
        self.n_orient = n_orient
        self.n_positions = X.shape[1] // n_orient

    @cached_property
    def power(self) -> float:
        """``||y||_F^2``, the unit of the duality gap; 1 where ``y`` is zero."""
        return float(np.vdot(self.y, self.y)) or 1.0

    @cached_property
    def gram(self) -> NDArray[np.float64]:
        """``X^T X``, shape (n_positions * n_orient, n_positions * n_orient)."""
        return self.X.T @ self.X

    @cached_property
    def Xty(self) -> NDArray[np.float64]:
        """``X^T y``, shape (n_positions * n_orient, n_targets)."""
        return self.correlate(self.y)

    @cached_property
    def squared_norms(self) -> NDArray[np.float64]:
        """The squared Frobenius norm of each block, shape (n_positions,)."""
        return compute_block_norms(self.X.T, self.n_orient) ** 2

    @cached_property
    def lipschitz(self) -> NDArray[np.float64]:
        """Largest eigenvalue of each block's ``X_g^T X_g``, shape (n_positions,)."""
        blocks = self.X.T.reshape(self.n_positions, self.n_orient, len(self.y))
        return np.linalg.eigvalsh(blocks @ blocks.transpose(0, 2, 1))[:, -1]

    def correlate(self, residual: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute ``X^T residual``, shape (n_positions * n_orient, n_targets)."""
        products = np.empty((self.X.shape[1], residual.shape[1]))

        def fill(chunk):
            np.matmul(self.X[:, chunk].T, residual, out=products[chunk])

        map_chunks(fill, len(products), _CHUNK, residual.size)
        return products

    def protect(self) -> Self:
        """Make the data read-only, as they may be those of the user, and return the problem."""
        self.X, self.y = self.X.view(), self.y.view()
        self.X.flags.writeable = self.y.flags.writeable = False
        return self

    def extend(self, columns: NDArray[np.float64]) -> "BlockProblem":
        """Return the problem with additional columns, keeping what was computed for the others."""
        n_old, n_new = self.X.shape[1], columns.shape[1]
        X = np.empty((len(self.y), n_old + n_new), order="F")
        X[:, :n_old], X[:, n_old:] = self.X, columns
        problem = BlockProblem(X, self.y, self.penalty, self.n_orient)
        if "gram" in self.__dict__ and n_old and is_gram_small(X):
            gram = np.empty((n_old + n_new, n_old + n_new))
            gram[:n_old, :n_old] = self.gram

            def fill(chunk):
                rows = slice(n_old + chunk.start, n_old + chunk.stop)
                gram[rows] = columns[:, chunk].T @ X

            map_chunks(fill, n_new, _CHUNK, X.size)
            gram[:n_old, n_old:] = gram[n_old:, :n_old].T
            problem.gram = gram
        return problem

    def restrict(self, kept: NDArray[np.bool_]) -> "BlockProblem":
        """Return the problem with only some of the blocks, given as a mask."""
        if kept.all():
            return self
        rows = np.repeat(kept, self.n_orient)
        problem = BlockProblem(self.X.T[rows].T, self.y, self.penalty, self.n_orient)
        if "gram" in self.__dict__:
            problem.gram = self.gram[np.ix_(rows, rows)]
        return problem

    def block_norms(self, coef: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute ``||W_g||_F`` of each block, shape (n_positions,)."""
        return compute_block_norms(coef, self.n_orient)

    def predict(self, coef: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute ``X W`` from the rows of ``W`` that are not zero."""
        rows = np.flatnonzero(coef.any(axis=1))
        if 2 * len(rows) > len(coef):
            return self.X @ coef
        return self.X[:, rows] @ coef[rows]

    def dual_gap(
        self, coef: NDArray[np.float64], residual: NDArray[np.float64] | None = None
    ) -> float:
        """Compute the duality gap of ``coef``, relative to ``||y||_F^2``.

        Parameters
        ----------
        coef : ndarray of shape (n_positions * n_orient, n_targets)
            Candidate solution.
        residual : ndarray of shape (n_samples, n_targets), default=None
            ``y - X W``, computed if not given.

        Returns
        -------
        gap : float
            Primal minus dual objective, divided by `power`: an upper bound on the distance to the
            minimum. It is non-negative up to rounding.
        """
        if residual is None:
            residual = self.y - self.predict(coef)
        dual_norm = self.block_norms(self.correlate(residual)).max(initial=0.0)
        primal = compute_primal(residual, self.block_norms(coef), self.penalty)
        return (primal - compute_dual(self.y, residual, dual_norm, self.penalty)) / self.power
