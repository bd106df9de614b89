"""Judging the solutions of a path by what they leave of the data, and by their size."""

from typing import NamedTuple

import numpy as np

from ..degrees_of_freedom import compute_criterion
from ..risk_inflation import (
    compute_largest_power,
    compute_threshold,
    count_independent_targets,
    fit_support,
)


class Judgement(NamedTuple):
    """What a criterion says of the solutions of a path."""

    best: int  # index of the solution chosen
    criterion: np.ndarray  # (n_alphas,)
    rss: np.ndarray  # (n_alphas,)
    dof: np.ndarray  # (n_alphas,)
    noise_variance: float
    noise_power: float  # of a sample over all targets, in units of the variance
    n_independent: float  # of the targets, by their noise
    n_inexact: int = 0  # solutions whose degrees of freedom are not exact


def judge_positions(problem, solutions, *, noise_variance, target_covariance, model_error):
    """Judge the positions of the solutions, by the risk inflation criterion.

    Parameters
    ----------
    problem : MixedNormProblem
        What was solved.
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
    design, y = problem.design, problem.y
    supports = [solution.positions for solution in solutions]
    fits = _fit_supports(design, y, supports)
    rss, rank, _ = map(np.array, zip(*fits, strict=True))
    n_active = np.array([len(positions) for positions in supports])
    n_targets = y.shape[1] if problem.power_left_out else problem.n_targets
    if target_covariance is None:
        power = float(n_targets)
        n_independent = [count_independent_targets(fit, len(y), n_targets) for fit in fits]
    else:
        power, given = _summarize(target_covariance)
        n_independent = [given] * len(fits)
    n_candidates = np.count_nonzero(design.norms) or 1
    threshold = np.array(
        [compute_threshold(n_candidates, design.n_orient, power, each) for each in n_independent]
    )
    variance = noise_variance
    if variance is None:
        # The positions were chosen for what they explain: of noise, as much as the threshold.
        n_left = len(y) * power - n_active * threshold
        variance = np.divide(rss, n_left, out=np.full(len(rss), np.inf), where=n_left > 0.0)
    floor = model_error * compute_largest_power(design, y, np.unique(np.concatenate(supports)))
    criterion = rss + n_active * (variance * threshold + floor)
    best = int(np.argmin(criterion))
    if not np.isfinite(criterion[best]):
        raise ValueError(
            "noise_variance=None has nothing to estimate the noise from: all models of the grid "
            f"have too many active positions for the number of samples (n_samples={len(y)}). Give "
            "the variance, or add larger alphas."
        )
    if noise_variance is None:
        noise_variance = rss[best] / (len(y) - rank[best]) / power
    return Judgement(
        best=best,
        criterion=criterion,
        rss=rss + problem.power_left_out,
        dof=rank * power,
        noise_variance=float(noise_variance),
        noise_power=power,
        n_independent=n_independent[best],
    )


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
        power, n_independent = _summarize(target_covariance)
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
    n_inexact = np.count_nonzero(~is_exact)
    return Judgement(
        *(int(best), values, rss, dof, float(noise_variance)),
        *(power, n_independent, n_inexact),
    )


def _summarize(covariance):
    """Return the trace, and the number of targets that are independent."""
    trace = float(np.trace(covariance))
    return trace, trace**2 / float(np.vdot(covariance, covariance))
