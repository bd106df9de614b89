"""Criteria: what the solutions of a path are worth, by their residuals and their size."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import qr

from ..solvers.block_problem import BlockProblem
from ..solvers.newton import solve_newton
from ..solvers.objective import compute_block_norms, compute_columns
from .degrees_of_freedom import compute_criterion, compute_degrees_of_freedom
from .noise import count_independent_targets, summarize_covariance

# Duality gap, relative to the power of the data, to which degrees of freedom need the solution; a
# block whose penalty is smaller cannot be told from zero.
_EXACT = 1e-12
_MAX_STEPS = 200


class Judgement(NamedTuple):
    """What a criterion says of the solutions of a path."""

    best: int  # index of the solution chosen
    criterion: np.ndarray  # (n_alphas,)
    rss: np.ndarray  # (n_alphas,)
    dof: np.ndarray  # (n_alphas,)
    n_active: np.ndarray  # (n_alphas,) of int
    noise_variance: float
    noise_power: float  # of a sample over all targets, in units of the variance
    n_targets: int
    n_independent: np.ndarray  # (n_alphas,) of the targets, by the noise of each solution
    n_independent_of_residual: float  # of the targets, in the residual of the solution chosen
    n_candidates: int = 0  # positions to choose from
    n_inexact: int = 0  # solutions whose degrees of freedom are not exact
    empty_is_better: bool = False  # than all solutions
    is_limited: bool = False  # whether a model too large to be judged explains more
    alternative: int | None = None  # index of the choice by the noise that models leave


def judge_positions(problem, y, solutions, *, noise_variance, target_covariance, model_error):
    """Judge the positions of the solutions, by the risk inflation criterion."""
    design = problem.design
    supports = [solution.positions for solution in solutions]
    fits = _fit_supports(design, y, supports)
    rss, rank, _ = map(np.array, zip(*fits, strict=True))
    n_active = np.array([len(positions) for positions in supports])
    n_candidates = np.count_nonzero(design.norms) or 1
    power, n_independent, threshold = _find_thresholds(
        (n_candidates, design.n_orient), y.shape, fits, noise_variance, target_covariance
    )
    # The positions were chosen for what they explain: of noise, as much as the threshold.
    n_left = len(y) * power - n_active * threshold
    variances = np.divide(rss, n_left, out=np.full(len(rss), np.inf), where=n_left > 0.0)
    floor = model_error * compute_largest_power(design, y, np.unique(np.concatenate(supports)))
    by_own = _penalize(rss, n_active, variances * threshold + floor)
    alternative = int(np.argmin(by_own)) if np.isfinite(by_own).any() else None
    criterion, is_limited = by_own, False
    if noise_variance is not None:
        unlimited = _penalize(rss, n_active, noise_variance * threshold + floor)
        # A model of so many features tells next to nothing from noise, and leaves none to see it.
        criterion = np.where(2 * rank <= len(y), unlimited, np.inf)
        is_limited = bool(unlimited.min() < criterion.min())
    best = int(np.argmin(criterion))
    if not np.isfinite(criterion[best]):
        can_judge_one = 2 * design.n_orient <= len(y)
        remedy = "Add larger alphas or" if can_judge_one else f"A position has {design.n_orient}:"
        raise ValueError(
            "criterion='ric' has nothing to tell the noise from: all models of the grid have too "
            f"many active features for the number of samples (n_samples={len(y)}). {remedy} "
            "take another criterion."
        )
    if noise_variance is None:
        noise_variance = rss[best] / (len(y) - rank[best]) / power
    return Judgement(
        best=best,
        criterion=criterion,
        rss=rss,
        dof=rank * power,
        n_active=n_active,
        noise_variance=float(noise_variance),
        noise_power=power,
        n_targets=y.shape[1],
        n_independent=n_independent,
        n_independent_of_residual=n_independent[best],
        n_candidates=n_candidates,
        empty_is_better=bool(n_active[best] and np.vdot(y, y) < criterion[best]),
        is_limited=is_limited,
        alternative=alternative,
    )


def _find_thresholds(blocks, shape, fits, noise_variance, target_covariance):
    """Return the power of the noise, its independent targets, and what positions explain of it.

    The last two by the noise that each of the models leaves, or by the covariance.
    """
    n_samples, n_targets = shape
    if target_covariance is None:
        power = float(n_targets)
        counts = [
            count_independent_targets(fit.gram, n_samples - fit.rank, n_targets, noise_variance)
            for fit in fits
        ]
    else:
        power, given = summarize_covariance(target_covariance)
        counts = [given] * len(fits)
    thresholds = [compute_threshold(*blocks, power, n) for n in counts]
    return power, np.array(counts), np.array(thresholds)


def _penalize(rss, n_active, penalty):
    """Return the criterion, which is that of the data where nothing is active."""
    with np.errstate(invalid="ignore"):
        return np.where(n_active > 0, rss + n_active * penalty, rss)


def _fit_supports(design, y, supports):
    """Fit the data by the positions of every solution, by those that recur once."""
    fits, eps = {}, np.finfo(design.X.dtype).eps
    for positions in supports:
        if (key := positions.tobytes()) not in fits:
            fits[key] = fit_support(design.columns(positions), y, eps)
    return [fits[positions.tobytes()] for positions in supports]


def judge_fits(problem, y, solutions, alphas, *, criterion, noise_variance, target_covariance):
    """Judge the penalised fits, by their exact degrees of freedom."""
    sizes = [
        compute_rss_and_dof(problem, alpha, solution, target_covariance=target_covariance)
        for alpha, solution in zip(alphas, solutions, strict=True)
    ]
    rss, dof, is_exact = map(np.array, zip(*sizes, strict=True))
    n_samples = len(problem.y)
    power, n_independent = float(problem.n_targets), float(problem.n_targets)
    if target_covariance is not None:
        power, n_independent = summarize_covariance(target_covariance)
    n = n_samples * power
    if noise_variance is None:
        if dof[-1] >= n:
            raise ValueError(
                f"noise_variance=None has nothing to estimate the noise from: at alpha="
                f"{alphas[-1]:g} the model has {dof[-1]:.0f} degrees of freedom for {n:g} data "
                f"(n_samples={n_samples}). Give the variance, or raise the smallest alpha (eps)."
            )
        noise_variance = rss[-1] / (n - dof[-1])
    values = compute_criterion(criterion, rss, dof, noise_variance, n, n_samples * n_independent)
    if criterion == "discrepancy":
        reached = values <= 0.0
        best = np.argmax(reached) if reached.any() else len(rss) - 1
    elif np.isfinite(values).any():
        best = np.argmin(values)
    else:
        raise ValueError(
            f"criterion={criterion!r} has nothing to judge by: all models of the grid have as "
            "many degrees of freedom as there are data. Raise the smallest alpha."
        )
    return Judgement(
        best=int(best),
        criterion=values,
        rss=rss,
        dof=dof,
        n_active=np.array([len(solution.positions) for solution in solutions]),
        noise_variance=float(noise_variance),
        noise_power=power,
        n_targets=problem.n_targets,
        n_independent=np.full(len(rss), n_independent),
        n_independent_of_residual=(
            _count_in_residual(problem.design, y, solutions[best].positions)
            if target_covariance is None
            else n_independent
        ),
        n_inexact=np.count_nonzero(~is_exact),
    )


def _count_in_residual(design, y, positions):
    """Count the independent targets in what the least-squares fit of some positions leaves."""
    fit = fit_support(design.columns(positions), y, np.finfo(design.X.dtype).eps)
    return count_independent_targets(fit.gram, len(y) - fit.rank, y.shape[1])


class SupportFit(NamedTuple):
    """The least-squares fit of some positions, without any penalty."""

    rss: float  # residual sum of squares
    rank: int  # of the columns
    gram: np.ndarray  # of the residual: of its columns or its rows, whichever are fewer


def fit_support(X, y, eps):
    """Fit targets by all columns, by least squares."""
    basis, rank = np.empty((len(y), 0)), 0
    if X.shape[1]:
        basis, triangle, _ = qr(X, mode="economic", pivoting=True, check_finite=False)
        pivots = np.abs(triangle.diagonal())
        rank = np.count_nonzero(pivots > max(X.shape) * eps * pivots[0])
    residual = y - basis[:, :rank] @ (basis[:, :rank].T @ y)
    gram = residual.T @ residual if len(y) > y.shape[1] else residual @ residual.T
    return SupportFit(float(np.trace(gram)), rank, gram)


def compute_largest_power(design, y, positions):
    """Compute how much of the data the strongest position explains alone, by least squares."""
    n_orient = design.n_orient
    columns = design.columns(positions)
    blocks = columns.T.reshape(len(positions), n_orient, len(y))
    products = blocks @ y
    inverses = np.linalg.pinv(blocks @ blocks.swapaxes(1, 2), hermitian=True)
    return float(np.einsum("gij,git,gjt->g", inverses, products, products).max(initial=0.0))


def compute_threshold(n_positions, n_orient, noise_power, n_independent):
    """Compute what the best of many positions explains of noise, at most, most of the time.

    It is for independent targets of one variance. A strong common component, such as a drift,
    has a longer tail than its `n_independent` tells.
    """
    amplitude = np.sqrt(n_orient * n_independent) + np.sqrt(2.0 * np.log(n_positions))
    return float(noise_power / n_independent * amplitude**2)


def compute_rss_and_dof(problem, alpha, solution, *, target_covariance=None):
    """Compute the residual sum of squares and the degrees of freedom of a solution.

    Derivatives need more exact solutions than sources do: both are those of the model that
    `problem.solve` approximates to its tolerance, on the active set that it has found.
    """
    chain = [solution]
    while chain[0].previous is not None:
        chain.insert(0, chain[0].previous)
    first = chain[0]
    columns, penalty = problem.design.columns(first.positions), problem.compute_penalty(alpha)
    coefs, penalties = [first.coef], [np.full(len(first.positions), penalty)]
    is_exact = True
    if penalty > 0.0 and len(first.positions):
        coefs, penalties, is_exact = _retrace(problem, columns, chain, penalty)
    residual = problem.y - columns @ coefs[-1]
    if problem.power_left_out:
        if target_covariance is not None:
            target_covariance = problem.basis @ target_covariance @ problem.basis.T
    elif problem.basis is not None:
        coefs = [coef @ problem.basis for coef in coefs]
    if penalty == 0.0:
        columns = columns.astype(problem.design.X.dtype)  # whose rounding decides about the rank
    dof = compute_degrees_of_freedom(
        *(columns, coefs, penalties),
        n_orient=problem.design.n_orient,
        target_covariance=target_covariance,
    )
    return float(np.vdot(residual, residual)) + problem.power_left_out, dof, is_exact


def _retrace(problem, columns, chain, penalty):
    """Go through a reweighting again, from the solutions that there are, to rounding.

    Returns the coefficients and the penalties of each convex problem, and whether the gaps of
    all are small enough.
    """
    n_orient = problem.design.n_orient
    weights, coefs, penalties = np.ones(len(chain[0].positions)), [], []
    is_exact = True
    for solution in chain:
        with np.errstate(divide="ignore"):
            penalties.append(penalty / weights)
        coef = np.zeros_like(chain[0].coef)
        index = np.searchsorted(chain[0].positions, solution.positions)
        coef[compute_columns(index, n_orient)] = solution.coef
        positions = np.flatnonzero(weights)
        rows, scale = compute_columns(positions, n_orient), np.repeat(weights, n_orient)
        block_problem = BlockProblem(columns[:, rows] * scale[rows], problem.y, penalty, n_orient)
        start = coef[rows] / scale[rows, None]
        scaled, _ = solve_newton(block_problem, start, tol=_EXACT, maxit=_MAX_STEPS)
        is_exact &= bool(block_problem.dual_gap(scaled) <= 10 * _EXACT)
        sizes = penalty * block_problem.block_norms(scaled)
        negligible = sizes <= _EXACT * block_problem.power
        scaled[np.repeat(negligible, n_orient)] = 0.0
        coef = np.zeros_like(coef)
        coef[rows] = scaled * scale[rows, None]
        coefs.append(coef)
        if solution is not chain[-1]:
            norms = compute_block_norms(coef, n_orient)
            weights = 2.0 * np.sqrt(norms / problem.reweighting_scale)
    return coefs, penalties, is_exact
