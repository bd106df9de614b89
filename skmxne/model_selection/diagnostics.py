"""Check a choice of alpha against the noise level: warnings that ask for action, and remarks."""

from typing import NamedTuple

import numpy as np
from scipy.special import betaln
from scipy.stats import beta

from .criteria import WITHOUT_NOISE_VARIANCE
from .noise import BY_CHANCE, chi2_bounds

CHECK_NOISE = (
    "check the noise level: the variance of the noise in y, or for M/EEG data the noise covariance "
    "and the number of trials."
)
_CHECK_NOISE = CHECK_NOISE[0].upper() + CHECK_NOISE[1:]
# If the residual is below this share of the noise level, the data have no noise.
_NO_NOISE = 1e-3
# Outside of these ratios of the residual to the noise level, the level is wrong.
_RATIOS = 0.5, 2.0
# Noise that is correlated across targets drifts, as recordings do in time: even in good data, it is
# two to three times as strong outside the baseline as in it.
_LARGEST_RATIO_OF_DRIFTS = 4.0


class Diagnosis(NamedTuple):
    """What to report about a choice."""

    warnings: list[str]
    remarks: list[str]


def diagnose(judgement, criterion, noise_variance, n_samples):
    """Find what speaks against a choice, and what else to report about it."""
    warnings, remarks = [], []
    if judgement.empty_is_better:
        warnings.append(
            "The empty model beats every model on the grid: no model explains more than it would "
            "in pure noise. Try larger alphas, or reweighting."
        )
    if criterion == "discrepancy" and judgement.criterion[judgement.best] > 0.0:
        warnings.append(
            "The discrepancy is not reached: even at the smallest alpha, which is chosen, the "
            "residual is stronger than the noise level predicts. Try smaller alphas, or "
            f"{CHECK_NOISE}"
        )
    elif noise_variance is None:
        warnings += _doubt_estimate(judgement, criterion, n_samples)
    elif criterion not in WITHOUT_NOISE_VARIANCE:
        residual = _Residual(judgement, n_samples, noise_variance)
        contradiction = residual.contradict_level()
        findings = [] if contradiction else residual.find_excess()
        if contradiction:
            warnings.append(contradiction)
        elif residual.drifts:
            remarks = findings
        elif findings:
            warnings.append(f"{' '.join(findings)} {_CHECK_NOISE}")
    return Diagnosis(warnings, remarks)


def _doubt_estimate(judgement, criterion, n_samples):
    """Warn if the noise level estimated at the smallest alpha is too low."""
    n, dof = n_samples * judgement.noise_power, judgement.dof[-1]
    if criterion in {"ric", *WITHOUT_NOISE_VARIANCE} or dof <= 0.5 * n:
        return []
    return [
        f"noise_variance=None estimates the noise from the model of the smallest alpha. With "
        f"{dof:.0f} degrees of freedom for {n:.0f} data it fits noise, so the estimate is too "
        "small. Raise the smallest alpha (eps), or use criterion='ric'."
    ]


class _Residual:
    """The residuals of the models of a path, compared with the noise level.

    Attributes
    ----------
    drifts : bool
        Whether the residual of the chosen model is correlated across targets.
    """

    def __init__(self, judgement, n_samples, level):
        self.judgement, self.n_samples, self.level = judgement, n_samples, level
        self.n = n_samples * judgement.noise_power
        self.drifts = 2 * judgement.n_independent_of_residual < judgement.n_targets

    def contradict_level(self):
        """Return a message if the noise level must be wrong, else None."""
        judgement, best = self.judgement, self.judgement.best
        if self.n - judgement.dof[best] < 0.1 * self.n:
            return (
                f"The model has {judgement.dof[best]:.0f} degrees of freedom for {self.n:.0f} "
                f"data: it fits noise, so the noise level is probably too low. {_CHECK_NOISE}"
            )
        ratio, low, high = self.compare(best)
        largest = _LARGEST_RATIO_OF_DRIFTS if self.drifts else _RATIOS[1]
        if min(_RATIOS[0], low) <= ratio <= max(largest, high):
            return None
        found = [f"The residual has {ratio:.2g} times the power that the noise level predicts."]
        if ratio < _NO_NOISE:
            found.append("There is almost no noise, as in simulations.")
        found += [*self.find_limit(), _CHECK_NOISE]
        if ratio > 1 and judgement.is_last:
            found.append("Or the grid ends too early: try smaller alphas.")
        return " ".join(found)

    def find_excess(self):
        """Report how much stronger the residual is than the noise level, and the consequences."""
        judgement, best, other = self.judgement, self.judgement.best, self.judgement.alternative
        n_active, sentences = judgement.n_active[best], []
        ratio, _, high = self.compare(best)
        if self.drifts and ratio > high:
            sentences.append(
                f"The residual has {ratio:.2g} times the power that the noise level predicts. "
                "Possible causes are drifts, activity that a sparse model does not explain, or a "
                "noise level that is too low."
            )
        if self.has_fewer_by_own_level():
            ratio, _, _ = self.compare(other)
            n_kept = judgement.n_active[other]
            sentences.append(
                f"If noise has {ratio:.2g} times the power that the noise level predicts, the "
                f"criterion finds {f'only {n_kept}' if n_kept else 'none'} instead of {n_active}."
            )
        return sentences + self.find_limit()

    def has_fewer_by_own_level(self):
        """Return whether the criterion would choose fewer blocks if residuals were all noise."""
        judgement, best, other = self.judgement, self.judgement.best, self.judgement.alternative
        if other is None or judgement.n_active[other] >= judgement.n_active[best]:
            return False
        ratio, _, high = self.compare(other)
        return ratio > high and not self.is_beyond_noise(best, other)

    def find_limit(self):
        """Return a list with a message if larger models were left out."""
        if not self.judgement.is_limited:
            return []
        return [
            f"Models with more features than half the number of samples ({self.n_samples}) explain "
            "more, but cannot be judged."
        ]

    def is_beyond_noise(self, index, other):
        """Return whether a model explains too much of another's residual for noise of any level.

        The share of noise that given blocks explain has a beta distribution. Its tail is multiplied
        by the number of ways to choose the additional blocks among all.
        """
        judgement = self.judgement
        rank, other_rank = judgement.dof[[index, other]] / judgement.noise_power
        n_more = judgement.n_active[index] - judgement.n_active[other]
        share = 1.0 - judgement.rss[index] / judgement.rss[other]
        m = 0.5 * judgement.n_independent[index]
        log_chance = beta.logsf(share, m * (rank - other_rank), m * (self.n_samples - rank))
        n_others = judgement.n_candidates - judgement.n_active[other]
        log_choices = -betaln(n_others - n_more + 1, n_more + 1) - np.log(n_others + 1)
        return log_chance + log_choices < np.log(BY_CHANCE)

    def compare(self, index):
        """Return the ratio of a residual to the noise level, and the range to expect by chance."""
        judgement = self.judgement
        n_independent = judgement.n_independent[index]
        if index == judgement.best:
            n_independent = judgement.n_independent_of_residual
        n_left = self.n - judgement.dof[index]
        bounds = chi2_bounds(n_left * n_independent / judgement.noise_power)
        return judgement.rss[index] / n_left / self.level, *bounds
