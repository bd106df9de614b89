"""Judging the solutions of a path by what they leave of the data, and by their size."""

from typing import NamedTuple

import numpy as np

from ..degrees_of_freedom import compute_criterion
from ..independent_targets import count_independent_targets, summarize_covariance
from ..risk_inflation import compute_largest_power, compute_threshold, fit_support


class Judgement(NamedTuple):
    """What a criterion says of the solutions of a path."""

    best: int  # index of the solution chosen
    criterion: np.ndarray  # (n_alphas,)
    rss: np.ndarray  # (n_alphas,)
    dof: np.ndarray  # (n_alphas,)
    n_active: np.ndarray  # (n_alphas,) of int
    noise_variance: float
    noise_power: float  # of a sample over all targets, in units of the variance
    n_independent: np.ndarray  # (n_alphas,) of the targets, by the noise of each solution
    n_candidates: int = 0  # positions to choose from
    n_inexact: int = 0  # solutions whose degrees of freedom are not exact
    empty_is_better: bool = False  # than all solutions
    is_limited: bool = False  # whether a model too large to be judged explains more
    alternative: int | None = None  # index of the choice by the noise that models leave


def judge_positions(problem, y, solutions, *, noise_variance, target_covariance, model_error):
    """Judge the positions of the solutions, by the risk inflation criterion.

    Parameters
    ----------
    problem : MixedNormProblem
        What was solved.
    y : ndarray of shape (n_samples, n_targets)
        The data, with all of their rank: a part of it that was chosen has other noise.
    solutions : list of Solution
        From the most regularized to the least.
    noise_variance : float or None
        Variance of the noise; None takes it for unknown.
    target_covariance : ndarray of shape (n_targets, n_targets) or None
        Covariance of the noise across targets, in units of the variance. None takes that of what
        each model leaves, scaled to the trace `n_targets`.
    model_error : float
        Share of the largest power of a position that errors of ``X`` may leave.

    Returns
    -------
    judgement : Judgement
        Of solutions with the same positions, the first is the best.

    Raises
    ------
    ValueError
        If every solution is too large to tell the noise from.
    """
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
    left = np.divide(rss, n_left, out=np.full(len(rss), np.inf), where=n_left > 0.0)
    floor = model_error * compute_largest_power(design, y, np.unique(np.concatenate(supports)))
    by_own = _penalize(rss, n_active, left * threshold + floor)
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
        n_independent=n_independent,
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


def judge_fits(problem, solutions, alphas, *, criterion, noise_variance, target_covariance):
    """Judge the penalised fits, by their exact degrees of freedom.

    Parameters
    ----------
    problem : MixedNormProblem
        What was solved.
    solutions : list of Solution
        From the most regularized to the least.
    alphas : ndarray of shape (n_alphas,)
        Their penalties in percent.
    criterion : {"sure", "bic", "gcv", "discrepancy"}
        As for `MixedNormIC`.
    noise_variance : float or None
        Variance of the noise; None estimates it from the last solution.
    target_covariance : ndarray of shape (n_targets, n_targets) or None
        Its covariance across targets, in units of the variance; None: the identity.

    Returns
    -------
    judgement : Judgement
        Where no solution satisfies the discrepancy, the last is the best.

    Raises
    ------
    ValueError
        If the solutions leave nothing to judge by.
    """
    sizes = [
        problem.compute_rss_and_dof(alpha, solution, target_covariance=target_covariance)
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
        n_independent=np.full(len(rss), n_independent),
        n_inexact=np.count_nonzero(~is_exact),
    )
