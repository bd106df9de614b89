"""Cholesky factors of small systems, directly by LAPACK: SciPy's checks would take longer."""

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs


def factorize(matrix, *, overwrite=False):
    """Return the lower Cholesky factor of a positive definite matrix; the upper part is arbitrary.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the matrix is not positive definite.
    """
    factor, info = dpotrf(matrix, lower=1, clean=0, overwrite_a=overwrite)
    if info:
        raise np.linalg.LinAlgError("The matrix is not positive definite.")
    return factor


def solve_factorized(factor, rhs):
    """Solve a system by its lower Cholesky factor."""
    return dpotrs(factor, rhs, lower=1)[0] if len(factor) else rhs


def invert_factorized(factor):
    """Return the inverse of a matrix, by its lower Cholesky factor."""
    if not len(factor):
        return factor
    inverse = dpotri(factor, lower=1)[0]
    return np.tril(inverse) + np.tril(inverse, -1).T
