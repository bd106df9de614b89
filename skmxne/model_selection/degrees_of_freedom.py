"""Exact degrees of freedom: the effective number of parameters of a fit."""

import numpy as np
from scipy.linalg import pinvh, solve_triangular

# Fields whose Gram matrix has a smaller relative eigenvalue count as linearly dependent.
_DEPENDENT = 1e-12


def compute_degrees_of_freedom(X, coefs, penalties, *, n_orient=1, target_covariance=None):
    """Compute the degrees of freedom of a mixed-norm fit, reweighted or not.

    They are the divergence of the fit ``y -> X W(y)``, which Stein's unbiased risk estimate (SURE)
    and information criteria need. The implicit function theorem gives the derivative of ``W`` from
    the Hessian of the objective on the active positions. Its Kronecker structure reduces the
    computation to linear systems of the size of the active features and positions; for the group
    lasso see [1]_. Reweighting is a chain of such problems: the norms of one solution set the
    penalties of the next. By the chain rule, the result is exact after any number of
    reweightings, at the fixed point or before it.

    Notes
    -----
    Within one problem let ``r_g = ||W_g||_F``, ``c_g = penalty_g / r_g``, ``P = X^T X + diag(c)``,
    ``Z_g = X P^-1`` times block ``g`` of ``W``, and ``M = diag(r^2 / c) - s(P^-1)`` with ``s`` the
    sums of ``P^-1 * (W W^T)`` over the blocks. If ``rho_g`` is the derivative of ``log r_g`` with
    respect to ``y``, ``rho'`` that of the previous problem (0 for the first), and ``C`` the target
    covariance, ::

        rho = diag(1 / c) M^+ (Z + diag(r^2) rho' / 2) - rho' / 2
        dof = tr(C) tr(X P^-1 X^T) + sum_gh M^+_gh <Z_h + r_h^2 rho'_h / 2, Z_g C>

    Only inner products of ``rho`` with the last ``Z C`` are needed. ``M`` is the Gram matrix of
    the fields ``S^-1/2 X_g W_g / c_g``, ``S = I + X diag(1 / c) X^T``, and is computed as such. It
    is singular if fields are linearly dependent, for example with duplicate columns: ``W`` may then
    change without changing the fit, and the pseudo-inverse excludes such changes. Weights computed
    from such a ``W`` are as arbitrary; a fixed point does not depend on them.

    References
    ----------
    .. [1] Vaiter, Deledalle, Peyré, Fadili & Dossal (2012). The degrees of freedom of the group
       lasso. ICML Workshop on Sparsity, Dictionaries and Projections in Machine Learning.
    """
    n_positions = X.shape[1] // n_orient
    variance = coefs[-1].shape[1] if target_covariance is None else np.trace(target_covariance)
    if not coefs[-1].any():
        return 0.0
    if not penalties[-1].any():
        return float(variance * np.linalg.matrix_rank(X))
    if len(X) > X.shape[1]:
        # Only X^T X matters.
        X = np.linalg.qr(X, mode="r")
    problems = [_Linearized(X, *step, n_orient) for step in zip(coefs, penalties, strict=True)]
    last = problems[-1]
    moved = last.coef if target_covariance is None else last.coef @ target_covariance
    rates = np.zeros((n_positions, np.count_nonzero(last.active)))
    for problem in problems:
        before = rates[problem.active]
        gram = _sum_blocks(problem.fit.T @ last.fit * (problem.coef @ moved.T), n_orient)
        response = problem.inverse @ (gram + 0.5 * problem.norms[:, None] ** 2 * before)
        rates[problem.active] = response / problem.curvature[:, None] - 0.5 * before
    return float(variance * last.hat_trace + np.trace(response))


class _Linearized:
    """One convex problem, linearized at its solution: how active positions change with the data."""

    def __init__(self, X, coef, penalties, n_orient):
        norms = np.sqrt((coef**2).reshape(len(penalties), -1).sum(axis=1))
        self.active = norms > 0.0
        rows = np.repeat(self.active, n_orient)
        self.coef, self.norms = coef[rows], norms[self.active]
        self.curvature = penalties[self.active] / self.norms
        roots = np.repeat(np.sqrt(self.curvature), n_orient)
        scaled = X[:, rows] / roots
        factor = np.linalg.cholesky(np.eye(len(X)) + scaled @ scaled.T)  # of S
        half = solve_triangular(factor, scaled, lower=True, check_finite=False)
        self.hat_trace = np.vdot(half, half)
        # X P^-1
        self.fit = solve_triangular(factor, half, trans=1, lower=True, check_finite=False) / roots
        fields = half.T @ half / roots / roots[:, None]
        gram = _sum_blocks(fields * (self.coef @ self.coef.T), n_orient)
        # Scaled: positions with weak and with strong fields count alike.
        scale = 1.0 / np.sqrt(gram.diagonal())
        gram *= scale * scale[:, None]
        self.inverse = pinvh(gram, atol=0.0, rtol=_DEPENDENT) * scale * scale[:, None]


def _sum_blocks(matrix, n_orient):
    """Sum up each ``n_orient`` by ``n_orient`` block."""
    n_rows, n_columns = (size // n_orient for size in matrix.shape)
    return matrix.reshape(n_rows, n_orient, n_columns, n_orient).sum(axis=(1, 3))
