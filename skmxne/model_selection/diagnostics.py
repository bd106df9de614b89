"""What speaks against a choice of alpha by a criterion."""

import numpy as np
from scipy.special import betaln
from scipy.stats import beta
from sklearn.exceptions import ConvergenceWarning

from .noise import BY_CHANCE, chi2_bounds

_OF_OTHER_NOISE = (
    "With an InverseProblem, noise_cov or nave (the number of trials) may be those of other data, "
    "or there is activity that few sources do not explain; else pass the variance of the noise of "
    "y, or None to estimate it."
)


_WITHOUT_NOISE = (
    "There is next to no noise, as in simulations: pass its variance, or None to estimate it."
)
# Times the noise level, below which data have none.
_NO_NOISE = 1e-3


def diagnose(judgement, criterion, noise_variance, n_samples):
    """Find what speaks against a choice."""
    doubts, best = [], judgement.best
    if judgement.empty_is_better:
        doubts.append(
            "No model of the grid explains more than noise, and without any position is better "
            "than all: see it as no source, or add larger alphas, or reweight (n_mxne_iter=10)."
        )
    if criterion == "discrepancy" and judgement.criterion[best] > 0.0:
        doubts.append(
            "criterion='discrepancy' is never reached: the model of the smallest alpha, which is "
            "taken, leaves more than noise. Lower eps or add smaller alphas, or check "
            "noise_variance."
        )
    elif criterion != "gcv":
        noise = _Noise(judgement, n_samples)
        if noise_variance is None:
            doubt = noise.doubt_estimate(criterion)
        else:
            doubt = noise.doubt_level(noise_variance)
        doubts += [doubt] if doubt else []
    doubts = [(message, UserWarning) for message in doubts]
    if judgement.n_inexact:
        message = (
            f"Degrees of freedom are not exact at {judgement.n_inexact} of {len(judgement.rss)} "
            "alphas, whose solutions rounding does not allow to be so. Leave out the smallest "
            "alphas, and positions that occur twice."
        )
        doubts.append((message, ConvergenceWarning))
    return doubts


class _Noise:
    """The noise that the models of a path leave."""

    def __init__(self, judgement, n_samples):
        self.judgement, self.n_samples = judgement, n_samples
        self.n = n_samples * judgement.noise_power

    def doubt_estimate(self, criterion):
        """Doubt a level that was estimated, None where there is no reason to."""
        dof = self.judgement.dof[-1]
        if criterion == "ric" or dof <= 0.5 * self.n:
            return None
        return (
            f"noise_variance=None estimates the noise by the model of the smallest alpha, whose "
            f"{dof:.0f} degrees of freedom for {self.n:.0f} data take noise for signal: the "
            "estimate is too small. Raise the smallest alpha (eps), or take criterion='ric'."
        )

    def doubt_level(self, level):
        """Doubt a level that was told, None where there is no reason to."""
        judgement, best, other = self.judgement, self.judgement.best, self.judgement.alternative
        told = f"noise_variance={level:g} tells"
        n_left = self.n - judgement.dof[best]
        if judgement.is_limited:
            return (
                f"Models of more than half as many features as samples (n_samples="
                f"{self.n_samples}) are not judged, but explain more, signal or more noise than "
                f"{told}. {_OF_OTHER_NOISE}"
            )
        if n_left < 0.1 * self.n:
            return (
                f"The model has {judgement.dof[best]:.0f} degrees of freedom for {self.n:.0f} "
                f"data: it fits more noise than {told}. {_OF_OTHER_NOISE}"
            )
        ratio, least, most = self.compare(best, level)
        if not min(0.5, least) <= ratio <= max(2.0, most):
            too_early = best == len(judgement.rss) - 1
            return (
                f"The model leaves {ratio:.2g} times the noise that {told}. "
                f"{_WITHOUT_NOISE if ratio < _NO_NOISE else _OF_OTHER_NOISE}"
                f"{' Or the grid ends too early: add smaller alphas.' if too_early else ''}"
            )
        if other is not None and judgement.n_active[other] < judgement.n_active[best]:
            ratio, _, most = self.compare(other, level)
            if ratio > most and not self.is_beyond_noise(best, other):
                return (
                    f"{judgement.n_active[best]} positions explain more than the noise that {told}"
                    f", but {judgement.n_active[other]} if noise is all that these leave, "
                    f"{ratio:.2g} times as much. {_OF_OTHER_NOISE}"
                )
        return None

    def is_beyond_noise(self, index, other):
        """Tell whether a model explains more of what another leaves than noise of any level lets.

        The share that given positions explain of noise has a beta distribution. Those that a model
        has more were chosen among all.
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

    def compare(self, index, level):
        """Return what a model leaves relative to a level, and the limits of chance."""
        judgement = self.judgement
        n_left = self.n - judgement.dof[index]
        dof = n_left * judgement.n_independent[index] / judgement.noise_power
        return judgement.rss[index] / n_left / level, *chi2_bounds(dof)
