"""Newton's method on the variances of the sources."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, solve_triangular

from .block_problem import is_gram_small
from .bounded_quadratic import minimize_quadratic
from .cholesky import factorize, invert_factorized, solve_factorized
from .objective import compute_columns, compute_dual, compute_primal
from .threads import map_chunks

# At least so many positions may enter at a time.
_STARTED = 10
# Positions whose rows of the Hessian one thread computes at a time.
_CHUNK = 64
# A smaller variance, relative to penalty / ||X_g||^2, has no influence and is set to zero.
_NEGLIGIBLE = 1e-11
# Trials of a step, each shorter, before the next direction is tried.
_MAX_BACKTRACKS = 4
# Damping of the Newton system, relative to its diagonal: factor of the gap, and minimum.
_DAMPING = 0.1
_MIN_DAMPING = 1e-12
# Number of refinements of a solution of an ill-conditioned system.
_MAX_REFINEMENTS = 2
# Maximum number of steps that improve neither the objective nor the gap, due to rounding.
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

    A step minimises the quadratic model of ``F`` over ``v >= 0``. The first choice of its linear
    term is that of Newton's method on ``1 / ||C_g|| = 1``: for a single source this is linear in
    ``v_g``, so few steps are needed even from far away. If this does not decrease ``F`` enough, the
    linear term is the gradient. Many positions and few targets make the Hessian singular. It is
    damped in proportion to the gap, as by Levenberg and Marquardt, which keeps the convergence
    quadratic.

    The variances that change are the positive ones, and the worst of those that are zero but
    violate optimality, ``||C_g|| > 1``.

    Every step decreases ``F``, from any start. Normally it decreases ``F`` by a share of the slope.
    Otherwise, the step is halfway between two steps that both decrease ``F``, which is convex. The
    first is the update ``v_g <- v_g ||C_g||``: it minimises an upper bound of ``F`` that is tight
    at ``v``, and so decreases ``F`` unless all ``||C_g|| = 1``. The second increases each of the m
    entering variances by 1/m of a step that would decrease ``F`` alone. Near the minimum the steps
    are those of Newton's method, and the convergence is quadratic.
    """
    point = _evaluate(problem, problem.block_norms(coef), 0.01 * tol)
    best, best_gap, n_stalled = point, np.inf, 0
    for n_iter in range(maxit + 1):
        gap = _compute_gap(problem, point)
        if gap < best_gap:
            n_stalled = 0 if gap < 0.9 * best_gap else n_stalled
            best, best_gap = point, gap
        if best_gap <= tol or n_iter == maxit or n_stalled == _MAX_STALLED:
            break
        previous = point
        objective = 0.5 * problem.penalty * point.value
        damping = max(_DAMPING * gap * problem.power / objective, _MIN_DAMPING)
        point = _step(problem, point, damping)
        n_stalled = 0 if point.value < (1 - 1e-13) * previous.value else n_stalled + 1
    return best.coef(problem.n_orient), n_iter


@dataclass
class _Point:
    """``F``, its residual and its derivatives at some variances."""

    variances: np.ndarray  # (n_positions,)
    support: np.ndarray  # positions of positive variance
    columns: np.ndarray  # their columns of X
    factor: np.ndarray  # Cholesky factor of S, or of a I + D X^T X D with D = sqrt(variances)
    in_samples: bool  # whether it is that of S
    residual: np.ndarray  # y - X W = a S^-1 y
    correlation: np.ndarray  # C, (n_positions * n_orient, n_targets)
    norms: np.ndarray  # ||C_g||, (n_positions,)
    value: float  # F
    precision: float  # of the gap, relative to ||y||^2

    def coef(self, n_orient):
        return np.repeat(self.variances, n_orient)[:, None] * self.correlation


def _evaluate(problem, variances, precision):
    """Compute ``F`` and ``C``: by a system in the samples, or in the support if that is smaller.

    Variances so small that they have no influence are set to zero.
    """
    a, n_orient, y = problem.penalty, problem.n_orient, problem.y
    support = np.flatnonzero(variances * problem.squared_norms > _NEGLIGIBLE * a)
    kept = np.zeros_like(variances)
    kept[support] = variances[support]
    columns = compute_columns(support, n_orient)
    deviations = np.sqrt(np.repeat(kept[support], n_orient))[:, None]
    scaled = problem.X[:, columns] * deviations.T
    n_refinements = _count_refinements(problem, kept, precision)
    in_samples = len(columns) > len(y)
    # With z = D^-1 W, where D is the diagonal matrix of deviations.
    if in_samples:
        factor = _factorize(scaled @ scaled.T, a)
        whitened = solve_factorized(factor, y)
        correlation = problem.correlate(whitened)
        z = deviations * correlation[columns]
        for _ in range(n_refinements):
            missed = solve_factorized(factor, y - scaled @ z - a * whitened)
            whitened += missed
            correlation += problem.correlate(missed)
            z += scaled.T @ missed
        residual = a * whitened
    else:
        factor = _factorize(_take_gram(problem, columns) * deviations * deviations.T, a)
        target = deviations * problem.Xty[columns]
        z = solve_factorized(factor, target)
        residual = y - scaled @ z
        for _ in range(n_refinements):
            z += solve_factorized(factor, scaled.T @ residual - a * z)
            residual = y - scaled @ z
        if len(columns) < problem.X.shape[1]:
            correlation = problem.correlate(residual) / a
        else:
            correlation = np.empty((len(columns), y.shape[1]))
    # More exact than the correlation of the residual if the variance is small.
    correlation[columns] = z / deviations
    norms = problem.block_norms(correlation)
    value = np.vdot(y, residual) / a + kept.sum()
    return _Point(
        kept, support, columns, factor, in_samples, residual, correlation, norms, value, precision
    )


def _count_refinements(problem, variances, precision):
    """Return how many refinements of a solution make its gap accurate to `precision`.

    The error of a solved system is rounding times the size of ``S / a``. It changes the gap by
    ``||X_g|| ||y|| / a`` times this error.
    """
    system = 1.0 + variances @ problem.squared_norms / problem.penalty
    size = (
        np.sqrt(problem.squared_norms.max(initial=0.0) * np.vdot(problem.y, problem.y))
        / problem.penalty
    )
    return _MAX_REFINEMENTS if np.finfo(float).eps * system * size > precision else 0


def _compute_gap(problem, point):
    """Compute the duality gap of ``W_g = v_g C_g``, relative to the power of ``y``."""
    a = problem.penalty
    primal = compute_primal(point.residual, point.variances * point.norms, a)
    dual_norm = a * point.norms.max(initial=0.0)
    return (primal - compute_dual(problem.y, point.residual, dual_norm, a)) / problem.power


def _step(problem, point, damping):
    """Make one step that decreases ``F``."""
    entering = _find_entering(point)
    moving = np.append(point.support, entering)
    norms, variances = point.norms[moving], point.variances[moving]
    gradient = 1.0 - norms**2
    hessian = _compute_hessian(problem, point, moving)
    for rhs in (2.0 * norms**2 * (norms - 1.0), -gradient):
        try:
            direction = minimize_quadratic(hessian, rhs, -variances, damping=damping)
        except LinAlgError:
            break
        if not gradient @ direction < 0.0:
            continue
        accepted = _search(problem, point, moving, direction, gradient @ direction)
        if accepted is not None:
            return accepted
    variances = point.variances * point.norms
    if len(entering):
        variances = 0.5 * (variances + point.variances)
        # ||C_g|| falls no faster than 1 / (1 + v_g ||X_g||^2 / a).
        alone = (point.norms[entering] - 1.0) * problem.penalty / problem.squared_norms[entering]
        variances[entering] = 0.5 * alone / len(entering)
    return _evaluate(problem, variances, point.precision)


def _find_entering(point):
    """Return the worst of the positions that are zero but violate optimality."""
    entering = np.flatnonzero((point.variances == 0.0) & (point.norms > 1.0))
    n_most = max(_STARTED, len(point.support))
    return entering[np.argsort(-point.norms[entering], kind="stable")[:n_most]]


def _compute_hessian(problem, point, moving):
    """Compute the second derivatives of ``F`` over some positions, the support first."""
    n_orient = problem.n_orient
    columns = compute_columns(moving, n_orient)
    correlation = point.correlation[columns]
    if not point.in_samples:
        inner = _compute_inner(problem, point, columns[len(point.columns) :])
        inner *= correlation @ correlation.T
        return 2.0 * _sum_blocks(inner, n_orient)
    half = solve_triangular(point.factor, problem.X[:, columns], lower=True, check_finite=False)
    hessian = np.empty((len(moving), len(moving)))

    def fill(chunk):
        rows = slice(chunk.start * n_orient, chunk.stop * n_orient)
        inner = half[:, rows].T @ half[:, rows.start :]
        inner *= correlation[rows] @ correlation[rows.start :].T
        hessian[chunk, chunk.start :] = 2.0 * _sum_blocks(inner, n_orient)
        hessian[chunk.stop :, chunk] = hessian[chunk, chunk.stop :].T

    map_chunks(fill, len(moving), _CHUNK)
    return hessian


def _compute_inner(problem, point, entering):
    """Compute ``X^T S^-1 X`` over the support and the entering columns, by the support's system."""
    a = problem.penalty
    deviations = np.sqrt(np.repeat(point.variances[point.support], problem.n_orient))
    n_old = len(deviations)
    inverse = invert_factorized(point.factor)
    inner = np.empty((n_old + len(entering),) * 2)
    # Over the support, D^-1 (I - a (a I + D X^T X D)^-1) D^-1.
    inner[:n_old, :n_old] = (np.eye(n_old) - a * inverse) / deviations / deviations[:, None]
    if len(entering):
        scaled = _take_gram(problem, entering, point.columns) * deviations
        solved = scaled @ inverse
        inner[n_old:, :n_old] = solved / deviations
        inner[:n_old, n_old:] = inner[n_old:, :n_old].T
        inner[n_old:, n_old:] = (_take_gram(problem, entering) - solved @ scaled.T) / a
    return inner


def _sum_blocks(matrix, n_orient):
    """Sum blocks of ``n_orient`` rows and columns."""
    if n_orient == 1:
        return matrix
    rows = sum(matrix[i::n_orient] for i in range(n_orient))
    return sum(rows[:, i::n_orient] for i in range(n_orient))


def _search(problem, point, moving, direction, slope):
    """Shorten a step until ``F`` decreases by a share of its slope; None if it never does."""
    step = 1.0
    rounding = 1e-14 * abs(point.value)
    for _ in range(_MAX_BACKTRACKS):
        variances = point.variances.copy()
        variances[moving] = np.maximum(point.variances[moving] + step * direction, 0.0)
        candidate = _evaluate(problem, variances, point.precision)
        change = candidate.value - point.value
        if change <= 1e-4 * step * slope + rounding:
            return candidate
        # Minimum of the parabola through both values and the slope: at most about step / 2.
        parabola = -slope * step**2 / (2.0 * (change - slope * step))
        step = max(parabola, 0.1 * step)
    return None


def _factorize(matrix, shift):
    """Return the lower Cholesky factor of ``matrix + shift * I``; the matrix is overwritten."""
    diagonal = matrix.reshape(-1)[:: len(matrix) + 1] if len(matrix) else matrix.ravel()
    # Compensate the rounding of the matrix: a factor then exists even for a tiny shift.
    diagonal += max(shift, 1e-15 * diagonal.sum())
    return factorize(matrix.T, overwrite=True)


def _take_gram(problem, rows, columns=None):
    """Return a part of ``X^T X``, from that of all columns if that is small enough."""
    if not is_gram_small(problem.X):
        X = problem.X[:, rows]
        return X.T @ (X if columns is None else problem.X[:, columns])
    if columns is None and len(rows) == len(problem.gram):
        return problem.gram
    return problem.gram[np.ix_(rows, rows if columns is None else columns)]
