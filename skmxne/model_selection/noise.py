"""How many targets have independent noise: few of the times of a low-passed recording."""

import numpy as np
from scipy.stats import chi2

# Probability of a warning although the noise level is right.
BY_CHANCE = 1e-3


def count_independent_targets(gram, n_rows, n_targets, noise_variance=None):
    """Estimate the number of independent targets from rows of noise with covariance ``C``.

    It is ``tr(C)^2 / tr(C^2)``: with this number, a sum of squares has the mean and the variance of
    a scaled chi-squared variable [1]_. If the rows are weaker than chance allows for noise of
    `noise_variance`, as the residual of data without noise is, they do not show ``C``: the missing
    power counts as white noise.

    References
    ----------
    .. [1] Satterthwaite (1946). An approximate distribution of estimates of variance components.
       Biometrics Bulletin 2(6), 110-114.
    """
    trace = np.trace(gram)
    if n_rows < 3 or trace <= 0.0:
        return float(n_targets)
    square = max(_estimate_square(gram / trace, n_rows), 1.0 / n_targets)
    if noise_variance is not None:
        least, _ = chi2_bounds(n_rows / square)
        share = min(trace / (least * noise_variance * n_rows * n_targets), 1.0)
        # `square` of share * C + (1 - share) * I, where C has the trace of I.
        square = share**2 * square + (1.0 - share**2) / n_targets
    return float(1.0 / square)


def estimate_covariance(rows, n_rows):
    """Estimate the covariance across targets, without bias in the number of independent targets.

    On average, the square of an estimate is larger than that of the covariance, as if fewer targets
    were independent. So the estimate is shrunk towards a multiple of the identity, until the trace
    of its square is unbiased.
    """
    gram = rows.T @ rows
    trace, n_targets = np.trace(gram), len(gram)
    share = 1.0
    if trace > 0.0:
        gram /= trace
        excess = np.vdot(gram, gram) - 1.0 / n_targets
        wanted = _estimate_square(gram, n_rows) - 1.0 / n_targets if n_rows > 2 else 0.0
        share = np.sqrt(np.clip(wanted / excess, 0.0, 1.0)) if excess > 0.0 else 1.0
    shrunk = share * gram + (1.0 - share) / n_targets * np.eye(n_targets)
    return trace / n_rows * shrunk


def summarize_covariance(covariance):
    """Return the trace of a covariance, and the number of independent targets."""
    trace = float(np.trace(covariance))
    shares = covariance / trace
    return trace, 1.0 / float(np.vdot(shares, shares))


def chi2_bounds(dof, n=1):
    """Return the 0.1 % and 99.9 % quantiles of the mean square of noise of variance 1.

    For the extremes of `n` mean squares, the probabilities are divided by `n`.
    """
    return chi2.ppf(BY_CHANCE / n, dof) / dof, chi2.isf(BY_CHANCE / n, dof) / dof


def _estimate_square(gram, n_rows):
    """Estimate ``tr(C^2) / tr(C)^2`` of normal noise from a `gram` of trace 1.

    The estimate of ``tr(C^2)`` is unbiased.
    """
    square = np.vdot(gram, gram) - 1.0 / n_rows
    return square * n_rows**2 / ((n_rows - 1) * (n_rows + 2))
