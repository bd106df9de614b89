"""Criteria that judge the solutions of a path by their residuals and their size."""

from typing import NamedTuple

import numpy as np

from ..solvers.block_problem import BlockProblem
from ..solvers.newton import solve_newton
from ..solvers.objective import compute_block_norms, compute_columns
from .degrees_of_freedom import compute_degrees_of_freedom
from .noise import count_independent_targets, summarize_covariance
from .risk_inflation import fit_columns

# Duality gap, relative to the power of the data, of the solutions that degrees of freedom are
# computed from. A block whose penalty is below this share of the power counts as zero.
_EXACT = 1e-12
_MAX_STEPS = 200
# Share of a residual that counts as rounding: a fit that sets the noise variance has no excess.
_ROUNDING = 1e-12


class Fits(NamedTuple):
    """The penalised fits of a path, as if all data were independent: what criteria judge.

    Targets with correlated noise count as fewer independent targets, each with more noise.
    """

    rss: np.ndarray  # residual sums of squares, (n_alphas,)
    dof: np.ndarray  # degrees of freedom, (n_alphas,)
    noise_variance: float  # of each of the independent data
    n: float  # number of independent data


def compute_sure(fits):
    """Compute Stein's unbiased estimate of the risk."""
    return fits.rss + fits.noise_variance * (2.0 * fits.dof - fits.n)


def compute_bic(fits):
    """Compute the Bayesian information criterion."""
    return fits.rss + np.log(fits.n) * fits.noise_variance * fits.dof


def compute_gcv(fits):
    """Compute generalized cross-validation: infinite if dof is not smaller than n."""
    n_left = np.where(fits.dof < fits.n, fits.n - fits.dof, np.nan)
    return np.nan_to_num((fits.n / n_left) * (fits.rss / n_left), nan=np.inf)


def compute_discrepancy(fits):
    """Compute the excess of the residual over the noise; the first fit at or below 0 is chosen."""
    excess = fits.rss - (fits.n - fits.dof) * fits.noise_variance
    return np.where(np.abs(excess) <= _ROUNDING * fits.rss, 0.0, excess)


# All but "discrepancy" are minimised. If y is scaled, all scale as the residual sums of squares.
CRITERIA = {
    "sure": compute_sure,
    "bic": compute_bic,
    "gcv": compute_gcv,
    "discrepancy": compute_discrepancy,
}
WITHOUT_NOISE_VARIANCE = {"gcv"}


class Judgement(NamedTuple):
    """How a criterion judges the solutions of a path."""

    best: int  # index of the solution chosen
    criterion: np.ndarray  # (n_alphas,)
    rss: np.ndarray  # (n_alphas,)
    dof: np.ndarray  # (n_alphas,)
    n_active: np.ndarray  # (n_alphas,) of int
    noise_variance: float
    noise_power: float  # of a sample, over all targets, in units of noise_variance
    n_targets: int
    n_independent: np.ndarray  # (n_alphas,) number of independent targets of each solution
    n_independent_of_residual: float  # the same for the residual of the solution chosen
    n_candidates: int = 0  # positions to choose from
    n_inexact: int = 0  # solutions whose degrees of freedom are not exact
    empty_is_better: bool = False  # whether it beats all solutions
    is_last: bool = False  # whether the solution chosen is that of the smallest alpha
    is_limited: bool = False  # whether a model too large to be judged is better
    alternative: int | None = None  # index of the choice if the residuals are all noise


def judge_positions(criterion, supports, best=None):
    """Judge sets of blocks by the risk inflation criterion; `best` is the choice, if known."""
    fits = [criterion.fit(positions) for positions in supports]
    values, by_own, unlimited = (
        np.array([getattr(fit, name) for fit in fits])
        for name in ("criterion", "by_own", "unlimited")
    )
    best = int(np.argmin(values)) if best is None else best
    n_samples, n_orient = criterion.n_samples, criterion.design.n_orient
    if not np.isfinite(values[best]):
        can_judge_one = 2 * n_orient <= n_samples
        remedy = "Add larger alphas or" if can_judge_one else f"Each block has {n_orient}:"
        raise ValueError(
            "The criterion 'ric' cannot tell signal from noise: all models of the grid have too "
            f"many active features for the number of samples ({n_samples}). {remedy} use another "
            "criterion."
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
                f"noise_variance=None cannot estimate the noise, as no residual is left: at alpha="
                f"{alphas[-1]:g} the model has {dof[-1]:.0f} degrees of freedom for {n:g} data "
                f"(n_samples={n_samples}). Set the variance, or raise the smallest alpha (eps)."
            )
        noise_variance = rss[-1] / (n - dof[-1])
    share = n_independent / power
    values = CRITERIA[criterion](Fits(rss, share * dof, noise_variance / share, share * n))
    if criterion == "discrepancy":
        reached = values <= 0.0
        best = np.argmax(reached) if reached.any() else len(rss) - 1
    elif np.isfinite(values).any():
        best = np.argmin(values)
    else:
        raise ValueError(
            f"The criterion {criterion!r} cannot judge any model: all models of the grid have too "
            "many degrees of freedom for the data. Raise the smallest alpha, or use another "
            "criterion."
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
    """Count the independent targets in the residual of the least-squares fit of some blocks."""
    residual, rank = fit_columns(design.columns(positions), y, np.finfo(design.X.dtype).eps)
    return count_independent_targets(residual.T @ residual, len(y) - rank, y.shape[1])


def compute_rss_and_dof(problem, alpha, solution, *, target_covariance=None):
    """Compute the residual sum of squares and the degrees of freedom of a solution.

    Degrees of freedom are derivatives, and need a more exact solution than that of `problem.solve`.
    So both are computed from a refined solution on the same active set.
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
        columns = columns.astype(problem.design.X.dtype)  # whose rounding decides the rank
    dof = compute_degrees_of_freedom(
        *(columns, coefs, penalties),
        n_orient=problem.design.n_orient,
        target_covariance=target_covariance,
    )
    return float(np.vdot(residual, residual)) + problem.power_left_out, dof, is_exact


def _retrace(problem, columns, chain, penalty):
    """Repeat a reweighting up to rounding, starting from its solutions.

    Returns the coefficients and the penalties of each convex problem, and whether all duality gaps
    are small enough.
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
