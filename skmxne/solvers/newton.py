"""Newton's method on the variances of the sources."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, solve_triangular
from scipy.linalg.lapack import dpotri

from ..objective import compute_columns, compute_dual, compute_primal

# Positions started at a time, at least.
_STARTED = 10
# A variance so small, relative to penalty / ||X_g||^2, has no influence left and is set to zero.
_NEGLIGIBLE = 1e-11
# Halvings of a step before the next direction is tried.
_MAX_BACKTRACKS = 4
# Damping of the Newton system, relative to its diagonal: in units of the relative gap, and least.
_DAMPING = 0.1
_MIN_DAMPING = 1e-12
# Exchanges in a row that do not help, before one position at a time is exchanged; and most of all.
_PATIENCE = 3
_MAX_PIVOTS = 30
# Steps in which neither the objective nor the gap gets better, before rounding is blamed.
_MAX_STALLED = 5


def solve_newton(problem, coef, *, tol, maxit, dgap_freq=None):
    """Solve a block problem by a second-order method with one variable per position.

    With ``a`` the penalty, ``||W_g|| = min over v_g >= 0 of 1/2 (||W_g||^2 / v_g + v_g)``.
    Minimising over ``W`` first leaves ::

        F(v) = tr(y^T S^-1 y) + sum_g v_g,      S = a I + sum_g v_g X_g X_g^T,

    which is convex and smooth in the variances ``v >= 0``, whatever the number of orientations
    and targets; the objective is ``a / 2 * F`` at its minimum. With ``C = X^T S^-1 y``, ::

        W_g = v_g C_g      y - X W = a S^-1 y      dF/dv_g = 1 - ||C_g||^2
        d2F / dv_g dv_h = 2 < X_g^T S^-1 X_h, C_g C_h^T >

    A step minimises the quadratic model of ``F`` over ``v >= 0``. The model's linear term is first
    that of Newton's method on ``1 / ||C_g|| = 1``, which is linear in ``v_g`` for a source alone
    and so needs few steps from afar, and the gradient where this does not decrease ``F`` enough.
    Many positions and few targets make the Hessian singular: it is damped in proportion to the
    gap, as Levenberg and Marquardt do, which leaves the convergence quadratic.

    It makes progress from any start. Each step decreases ``F`` by a share of what its slope
    promises, or else is the update ``v_g <- v_g ||C_g||``, which minimises an upper bound of ``F``
    that is tight at ``v`` and so decreases it unless all ``||C_g|| = 1``. A position at zero that
    should not be there, ``||C_g|| > 1``, is started at a fraction 1/m of a step that would decrease
    ``F`` alone, m the number started together, which decreases the convex ``F`` too. Near the
    minimum the steps are Newton's, and the convergence quadratic.

    Parameters
    ----------
    problem : BlockProblem
        What to solve.
    coef : ndarray of shape (n_positions * n_orient, n_targets)
        Where to start; zeros will do.
    tol : float
        Duality gap to stop at.
    maxit : int
        Most steps.
    dgap_freq : object, default=None
        Ignored: the gap is known after every step.

    Returns
    -------
    coef : ndarray of shape (n_positions * n_orient, n_targets)
        The solution.
    n_iter : int
        Steps made.

    References
    ----------
    .. [1] Júdice & Pires (1994). A block principal pivoting algorithm for large-scale strictly
       monotone linear complementarity problems. Computers & Operations Research 21(5), 587-596.
    """
    correlation = problem.X.T @ (problem.y - problem.predict(coef)) / problem.penalty
    variances = _adjust_support(problem, problem.block_norms(coef), correlation)
    point = _evaluate(problem, variances)
    best, best_gap, n_stalled = point, np.inf, 0
    for n_iter in range(maxit + 1):
        gap = _compute_gap(problem, point)
        if gap < best_gap:
            n_stalled = 0 if gap < 0.9 * best_gap else n_stalled
            best, best_gap = point, gap
        if best_gap <= tol or n_iter == maxit or n_stalled == _MAX_STALLED:
            break
        previous = point
        variances = _adjust_support(problem, point.variances, point.correlation)
        if variances is not point.variances:
            point = _evaluate(problem, variances)
        damping = max(_DAMPING * gap / (0.5 * problem.penalty * point.value), _MIN_DAMPING)
        point = _step(problem, point, damping)
        n_stalled = 0 if point.value < (1 - 1e-13) * previous.value else n_stalled + 1
    return best.coef(problem.n_orient), n_iter


@dataclass
class _Point:
    """``F`` and what is known around it, at some variances."""

    variances: np.ndarray  # (n_positions,)
    support: np.ndarray  # positions of positive variance
    columns: np.ndarray  # their columns of X
    factor: np.ndarray  # Cholesky factor of S, or of a I + D X^T X D with D = sqrt(variances)
    in_samples: bool  # which of the two
    correlation: np.ndarray  # C, (n_positions * n_orient, n_targets)
    norms: np.ndarray  # ||C_g||, (n_positions,)
    value: float  # F

    def coef(self, n_orient):
        return np.repeat(self.variances, n_orient)[:, None] * self.correlation


def _evaluate(problem, variances):
    """Compute ``F`` and ``C``: by a system in the samples, or in the support if that is smaller."""
    a, n_orient, y = problem.penalty, problem.n_orient, problem.y
    support = np.flatnonzero(variances)
    columns = compute_columns(support, n_orient)
    deviations = np.sqrt(np.repeat(variances[support], n_orient))
    in_samples = len(columns) > len(y)
    if in_samples:
        scaled = problem.X[:, columns] * deviations
        factor = _factorize(scaled @ scaled.T, a)
        whitened = cho_solve((factor, True), y, check_finite=False)
        correlation = problem.X.T @ whitened
        fit = np.vdot(y, whitened)
    else:
        Xty = problem.Xty[columns]
        gram = _take_gram(problem, columns)
        factor = _factorize(gram * deviations * deviations[:, None], a)
        solved = cho_solve((factor, True), deviations[:, None] * Xty, check_finite=False)
        coef = deviations[:, None] * solved
        residual = y - problem.X[:, columns] @ coef
        if len(columns) < problem.X.shape[1]:
            correlation = problem.X.T @ residual
            correlation /= a
        else:
            correlation = np.empty_like(coef)
        # More exact than the correlation of the residual where the variance is small.
        correlation[columns] = solved / deviations[:, None]
        fit = np.vdot(y, residual) / a
    norms = problem.block_norms(correlation)
    value = fit + variances.sum()
    return _Point(variances, support, columns, factor, in_samples, correlation, norms, value)


def _compute_gap(problem, point):
    """Compute the duality gap of ``W_g = v_g C_g`` over the positions of the problem."""
    a = problem.penalty
    coef = point.coef(problem.n_orient)[point.columns]
    residual = problem.y - problem.X[:, point.columns] @ coef
    primal = compute_primal(residual, point.variances * point.norms, a)
    return primal - compute_dual(problem.y, residual, a * point.norms.max(initial=0.0), a)


def _adjust_support(problem, variances, correlation):
    """Start the worst of the positions that should not be zero, and drop those without influence.

    Returns the same array if there is nothing to change.
    """
    a = problem.penalty
    negligible = (variances > 0.0) & (variances * problem.lipschitz < _NEGLIGIBLE * a)
    norms = problem.block_norms(correlation)
    new = np.flatnonzero((variances == 0.0) & (norms > 1.0))
    if len(new) == 0 and not negligible.any():
        return variances
    variances = np.where(negligible, 0.0, variances)
    n_new = max(_STARTED, np.count_nonzero(variances))
    new = new[np.argsort(-norms[new], kind="stable")[:n_new]]
    # The curvature of 1 / ||C_g|| along v_g is at most ||X_g||^2 / a.
    alone = (norms[new] - 1.0) * a / problem.lipschitz[new]
    variances[new] = alone / len(new)
    return variances


def _step(problem, point, damping):
    """Make one step that decreases ``F``."""
    support = point.support
    squares = point.norms[support] ** 2
    gradient = 1.0 - squares
    hessian = _compute_hessian(problem, point)
    for rhs in (2.0 * squares * (point.norms[support] - 1.0), -gradient):
        try:
            direction = _solve_bounded(hessian, rhs, -point.variances[support], damping)
        except LinAlgError:
            break
        if not gradient @ direction < 0.0:
            continue
        accepted = _search(problem, point, direction, gradient @ direction)
        if accepted is not None:
            return accepted
    return _evaluate(problem, point.variances * point.norms)


def _compute_hessian(problem, point):
    """Compute the second derivatives of ``F`` over the support, shape (n_support, n_support)."""
    n_orient = problem.n_orient
    correlation = point.correlation[point.columns]
    if point.in_samples:
        half = solve_triangular(
            point.factor, problem.X[:, point.columns], lower=True, check_finite=False
        )
        inner = half.T @ half
    else:
        # X^T S^-1 X = D^-1 (I - a (a I + D X^T X D)^-1) D^-1
        inverse, _ = dpotri(point.factor, lower=1)
        inner = np.tril(inverse, -1)
        inner += inner.T
        inner += np.diag(inverse.diagonal())
        inner *= -problem.penalty
        inner.flat[:: len(inner) + 1] += 1.0
        deviations = np.sqrt(np.repeat(point.variances[point.support], n_orient))
        inner /= deviations
        inner /= deviations[:, None]
    inner *= correlation @ correlation.T
    blocks = range(n_orient)
    return 2.0 * sum(inner[i::n_orient, j::n_orient] for i in blocks for j in blocks)


def _solve_bounded(hessian, rhs, lower, damping):
    """Minimise ``1/2 d^T hessian d - rhs^T d`` over ``d >= lower``, by block principal pivoting.

    Every position is free or held at its bound. All that violate their side of optimality change
    sides at once, as long as they become fewer; only the last of them where they do not for a
    while, which ends in any case [1]_.
    """
    scale = 1.0 / np.sqrt(np.maximum(hessian.diagonal(), np.finfo(float).tiny))
    hessian = hessian * scale * scale[:, None]
    hessian.flat[:: len(hessian) + 1] += damping
    lower = lower / scale
    target = rhs * scale - hessian @ lower
    free = np.ones(len(rhs), dtype=bool)
    fewest, patience = len(rhs) + 1, _PATIENCE
    for _ in range(_MAX_PIVOTS):
        index = np.flatnonzero(free)
        factor = cho_factor(_take(hessian, index), lower=True, check_finite=False)
        solution = np.zeros(len(rhs))
        solution[index] = cho_solve(factor, target[index], check_finite=False)
        multipliers = hessian @ solution - target
        wrong = np.flatnonzero(np.where(free, solution < 0.0, multipliers < -1e-12))
        if len(wrong) == 0:
            break
        if len(wrong) < fewest:
            fewest, patience = len(wrong), _PATIENCE
        elif patience:
            patience -= 1
        else:
            wrong = wrong[-1:]
        free[wrong] = ~free[wrong]
    return (np.maximum(solution, 0.0) + lower) * scale


def _search(problem, point, direction, slope):
    """Shorten a step until ``F`` decreases by a share of its slope; None if it does not."""
    step = 1.0
    rounding = 1e-14 * abs(point.value)
    for _ in range(_MAX_BACKTRACKS):
        variances = point.variances.copy()
        moved = point.variances[point.support] + step * direction
        variances[point.support] = np.maximum(moved, 0.0)
        candidate = _evaluate(problem, variances)
        change = candidate.value - point.value
        if change <= 1e-4 * step * slope + rounding:
            return candidate
        # Minimum of the parabola through both values and the slope.
        parabola = -slope * step**2 / (2.0 * (change - slope * step))
        step = min(max(parabola, 0.1 * step), 0.5 * step)
    return None


def _factorize(matrix, shift):
    """Return the lower Cholesky factor of ``matrix + shift * I``; the matrix is overwritten."""
    diagonal = matrix.reshape(-1)[:: len(matrix) + 1] if len(matrix) else matrix.ravel()
    # Rounding of the matrix is made up for: a factor exists however small the shift.
    diagonal += max(shift, 1e-15 * diagonal.sum())
    return cho_factor(matrix.T, lower=True, overwrite_a=True, check_finite=False)[0]


def _take_gram(problem, columns):
    """Return ``X^T X`` of some columns, from that of all if this is not much larger."""
    if problem.X.shape[1] > 4 * len(problem.X):
        X = problem.X[:, columns]
        return X.T @ X
    return _take(problem.gram, columns)


def _take(matrix, index):
    """Return the square part of a symmetric matrix, without a copy where it is the whole."""
    return matrix if len(index) == len(matrix) else matrix[np.ix_(index, index)]
