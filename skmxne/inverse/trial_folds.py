"""Folds of trials: averages of all epochs, and of parts of them to test a model on."""

import re
from contextlib import contextmanager
from numbers import Integral

import mne
import numpy as np
from sklearn.model_selection import StratifiedKFold
from sklearn.utils import check_random_state

# Largest number of groups of trials.
_MOST_GROUPS = 40


def average_folds(epochs, n_folds):
    """Average all epochs, and those of each fold."""
    epochs = take_good_trials(epochs, n_folds)
    folds = _split_trials(epochs.events[:, 2], n_folds)
    # Infinite data of both signs make NaN, which is reported later for the channels used.
    with np.errstate(invalid="ignore"):
        average = epochs.average(picks="all")
        return average, [epochs[trials].average(picks="all") for trials in folds]


def take_good_trials(epochs, n_folds):
    """Return the good epochs, at least one for each fold; which are good is known after reading."""
    if not isinstance(epochs, mne.BaseEpochs):
        raise TypeError(
            f"epochs must be an instance of mne.Epochs, got {type(epochs).__name__}. Join several "
            "with mne.concatenate_epochs; for averages use InverseProblem.from_evoked."
        )
    if not isinstance(n_folds, Integral) or isinstance(n_folds, bool):
        raise TypeError(f"n_folds must be an integer, got {n_folds!r}.")
    if n_folds < 2:
        raise ValueError(f"n_folds must be at least 2, got {n_folds}.")
    if not epochs.preload:
        epochs = epochs.copy()  # which shares the recording
        epochs.drop_bad()  # before MNE 1.13, a second call returns None
    if len(epochs) < n_folds:
        raise ValueError(
            f"epochs has {len(epochs)} good trials, fewer than n_folds={n_folds}. Lower n_folds, "
            "or average all with epochs.average() for InverseProblem.from_evoked."
        )
    return epochs


def average_groups(epochs):
    """Average random groups of trials: one group per trial, but at most 40 groups.

    The differences between groups are noise.
    """
    order = np.random.default_rng(0).permutation(len(epochs))
    groups = np.array_split(order, min(len(order), _MOST_GROUPS))
    with np.errstate(invalid="ignore"):
        return [epochs[np.sort(trials)].average(picks="all") for trials in groups]


def draw_signs(weights, n_draws, random_state):
    """Draw factors by which averages of groups add up to noise: what they have in common cancels.

    Half of the groups have a plus and half a minus [1]_. `weights` are the shares of the groups in
    all trials. The noise is as strong as in the average of all trials.

    References
    ----------
    .. [1] Schimmel (1967). The (±) reference: accuracy of estimated mean components in average
       response studies. Science 157(3784), 92-94.
    """
    rng = check_random_state(random_state)
    signs = np.resize([1.0, -1.0], len(weights))
    signs = np.array([rng.permutation(signs) for _ in range(n_draws)])
    factors = weights * (signs - (signs @ weights)[:, np.newaxis])
    return factors / np.sqrt(np.sum(factors**2 / weights, axis=1, keepdims=True))


@contextmanager
def prefix_epochs():
    """Make a context in which errors say "epochs" instead of "evoked"."""
    try:
        yield
    except ValueError as error:
        raise ValueError(re.sub(r"\bevoked\b", "epochs", str(error))) from error


def _split_trials(conditions, n_folds):
    """Return the trials of each fold, balanced over conditions."""
    _, labels, counts = np.unique(conditions, return_inverse=True, return_counts=True)
    # A condition with fewer trials than folds cannot be in all folds: it joins the most frequent.
    labels[counts[labels] < n_folds] = np.argmax(counts)
    splitter = StratifiedKFold(n_folds, shuffle=True, random_state=0)
    return [trials for _, trials in splitter.split(labels, labels)]
