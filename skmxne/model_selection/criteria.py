"""Criteria: what the solutions of a path are worth, by their residuals and their size."""

from typing import NamedTuple

import numpy as np

from ..solvers.block_problem import BlockProblem
from ..solvers.newton import solve_newton
from ..solvers.objective import compute_block_norms, compute_columns
from .degrees_of_freedom import compute_degrees_of_freedom
from .noise import count_independent_targets, summarize_covariance
from .risk_inflation import fit_columns

# Duality gap, relative to the power of the data, to which degrees of freedom need the solution; a
# block whose penalty is smaller cannot be told from zero.
_EXACT = 1e-12
_MAX_STEPS = 200


class Fits(NamedTuple):
    """What the criteria of the penalised fits of a path are made of."""

    rss: np.ndarray  # residual sums of squares, (n_alphas,)
    dof: np.ndarray  # degrees of freedom, (n_alphas,)
    noise_variance: float
    n: float  # how many data there are: samples times targets
    n_independent: float  # of them


def compute_sure(fits):
    """Compute Stein's unbiased estimate of the risk."""
    return fits.rss + fits.noise_variance * (2.0 * fits.dof - fits.n)


def compute_bic(fits):
    """Compute the Bayesian information criterion."""
    return fits.rss + np.log(fits.n_independent) * fits.noise_variance * fits.dof


def compute_gcv(fits):
    """Compute generalized cross-validation: infinite where no data are left to judge by."""
    n_left = np.where(fits.dof < fits.n, fits.n - fits.dof, np.nan)
    return np.nan_to_num((fits.n / n_left) * (fits.rss / n_left), nan=np.inf)


def compute_discrepancy(fits):
    """Compute by how much the residual exceeds the noise: the first fit not above 0 is chosen."""
    return fits.rss - (fits.n - fits.dof) * fits.noise_variance


# All but "discrepancy" are minimised.
CRITERIA = {
    "sure": compute_sure,
    "bic": compute_bic,
    "gcv": compute_gcv,
    "discrepancy": compute_discrepancy,
}


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
    is_last: bool = False  # whether the solution chosen is that of the smallest alpha
    is_limited: bool = False  # whether a model too large to be judged explains more
    alternative: int | None = None  # index of the choice by the noise that models leave


def judge_positions(criterion, supports, best=None):
    """Judge sets of blocks by the risk inflation criterion; the best may be known already."""
    fits = [criterion.fit(positions) for positions in supports]
    values, by_own, unlimited = (
        np.array([getattr(fit, name) for fit in fits])
        for name in ("criterion", "by_own", "unlimited")
    )
    best = int(np.argmin(values)) if best is None else best
    n_samples, n_orient = criterion.n_samples, criterion.design.n_orient
    if not np.isfinite(values[best]):
        can_judge_one = 2 * n_orient <= n_samples
        remedy = "Add larger alphas or" if can_judge_one else f"A block has {n_orient}:"
        raise ValueError(
            "The criterion 'ric' has nothing to tell the noise from: all models of the grid have "
            f"too many active features for the number of samples ({n_samples}). {remedy} take "
            "another criterion."
        )
    rss, rank = (np.array([getattr(fit, name) for fit in fits]) for name in ("rss", "rank"))
    n_active = np.array([len(fit.positions) for fit in fits])
    n_independent = np.array([fit.n_independent for fit in fits])
    noise_variance = criterion.noise_variance
    if noise_variance is None:
        noise_variance = rss[best] / (n_samples - rank[best]) / criterion.power
    return Judgement(
        best=best,
        criterion=values,
        rss=rss,
        dof=rank * criterion.power,
        n_active=n_active,
        noise_variance=float(noise_variance),
        noise_power=criterion.power,
        n_targets=criterion.n_targets,
        n_independent=n_independent,
        n_independent_of_residual=n_independent[best],
        n_candidates=criterion.n_candidates,
        empty_is_better=bool(n_active[best] and criterion.total < values[best]),
        is_last=best == len(fits) - 1,
        is_limited=bool(unlimited.min() < values.min()),
        alternative=int(np.argmin(by_own)) if np.isfinite(by_own).any() else None,
    )


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
    values = CRITERIA[criterion](Fits(rss, dof, noise_variance, n, n_samples * n_independent))
    if criterion == "discrepancy":
        reached = values <= 0.0
        best = np.argmax(reached) if reached.any() else len(rss) - 1
    elif np.isfinite(values).any():
        best = np.argmin(values)
    else:
        raise ValueError(
            f"The criterion {criterion!r} has nothing to judge by: all models of the grid have as "
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
        is_last=int(best) == len(rss) - 1,
    )


def _count_in_residual(design, y, positions):
    """Count the independent targets in what the least-squares fit of some blocks leaves."""
    residual, rank = fit_columns(design.columns(positions), y, np.finfo(design.X.dtype).eps)
    return count_independent_targets(residual.T @ residual, len(y) - rank, y.shape[1])


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
