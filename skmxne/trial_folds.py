"""Folds of trials: epochs as averages, of all and of the parts that a model may be judged by."""

import re
from contextlib import contextmanager
from numbers import Integral

import mne
import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from .independent_targets import estimate_covariance


def average_folds(epochs, n_folds):
    """Average all epochs, and those of each fold.

    Parameters
    ----------
    epochs : instance of mne.BaseEpochs
        The trials. They are not modified; if not in memory, they are read one at a time.
    n_folds : int
        The number of folds, in which all conditions have their share.

    Returns
    -------
    average : instance of mne.Evoked
        The average of all epochs, at all channels.
    folds : list of mne.Evoked
        The averages of the folds.

    Raises
    ------
    TypeError
        If an argument is of another class.
    ValueError
        If there are fewer epochs than folds, or fewer than two folds.
    """
    if not isinstance(epochs, mne.BaseEpochs):
        raise TypeError(
            f"epochs must be an instance of mne.Epochs, got {type(epochs).__name__}. Join several "
            "with mne.concatenate_epochs; averages go into InverseProblem.from_evoked."
        )
    if not isinstance(n_folds, Integral) or isinstance(n_folds, bool):
        raise TypeError(f"n_folds must be an integer, got {n_folds!r}.")
    if n_folds < 2:
        raise ValueError(f"n_folds must be at least 2, got {n_folds}.")
    if not epochs.preload:
        # Which are good shows when they are read. The copy shares the recording.
        epochs = epochs.copy()
        epochs.drop_bad()  # before MNE 1.13 it returns nothing if it was done already
    if len(epochs) < n_folds:
        raise ValueError(
            f"epochs has {len(epochs)} good trials, fewer than n_folds={n_folds}. Lower n_folds, "
            "or average all with epochs.average() for InverseProblem.from_evoked."
        )
    folds = _split_trials(epochs.events[:, 2], n_folds)
    # Infinite data of both signs make NaN, which is looked for where channels are chosen.
    with np.errstate(invalid="ignore"):
        average = epochs.average(picks="all")
        return average, [epochs[trials].average(picks="all") for trials in folds]


@contextmanager
def naming_epochs():
    """Make a context in which errors that tell of an average tell of its epochs."""
    try:
        yield
    except ValueError as error:
        raise ValueError(re.sub(r"\bevoked\b", "epochs", str(error))) from error


def _split_trials(conditions, n_folds):
    """Return the trials of each fold, balanced over conditions."""
    _, labels, counts = np.unique(conditions, return_inverse=True, return_counts=True)
    # A condition of fewer trials than folds cannot be in all: it is drawn with the most frequent.
    labels[counts[labels] < n_folds] = np.argmax(counts)
    splitter = StratifiedKFold(n_folds, shuffle=True, random_state=0)
    return [trials for _, trials in splitter.split(labels, labels)]


class TrialFolds:
    """What an inverse problem of epochs knows of its trials."""

    X: NDArray[np.float64]
    y: NDArray[np.float64]
    times: NDArray[np.float64]
    y_folds: NDArray[np.float64] | None
    fold_weights: NDArray[np.float64] | None

    @property
    def target_covariance(self) -> NDArray[np.float64] | None:
        """Covariance of the noise across targets, as the trials tell it, for `MixedNormIC`.

        It is that of the differences between the averages of the folds, over all rows, and has a
        mean variance of 1 where the noise covariance fits the trials. It is shrunk towards a
        multiple of the identity, by as much as makes the number of independent targets right.

        Returns
        -------
        covariance : ndarray of shape (n_targets, n_targets) or None
            The covariance; None without trials.
        """
        if self.y_folds is None:
            return None
        deviations = np.sqrt(self.fold_weights)[:, np.newaxis, np.newaxis] * (self.y_folds - self.y)
        rows = deviations.reshape(-1, len(self.times))
        return estimate_covariance(rows, len(rows) - len(self.y))

    def to_folds(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int_]]:
        """Stack the data of the folds, for searches that fit some trials and score the others.

        Each fold has the rows of `X` and of its average, scaled so that the noise of all rows has
        variance 1. Coefficients are those of `X` and `y`, and so is the model fitted to all rows,
        to its tolerance (which is relative to the power of the rows), unless `time_pca` limits
        the rank. The search goes into :meth:`to_source_estimate`.

        Returns
        -------
        X : ndarray of shape (n_folds * rank, n_features)
            ``sqrt(n_k / n) * problem.X`` for each fold of ``n_k`` of the ``n`` trials.
        y : ndarray of shape (n_folds * rank, n_targets)
            ``sqrt(n_k) * whitener @ average_k``.
        groups : ndarray of int, shape (n_folds * rank,)
            The fold of each row, for `GroupKFold` for example.

        Raises
        ------
        ValueError
            If the problem was made without epochs.
        """
        if self.y_folds is None:
            raise ValueError(
                "An average has no folds: make the problem with InverseProblem.from_epochs."
            )
        roots = np.sqrt(self.fold_weights)[:, np.newaxis, np.newaxis]
        X = (roots * self.X).reshape(-1, self.X.shape[1])
        y = (roots * self.y_folds).reshape(len(X), -1)
        return X, y, np.repeat(np.arange(len(roots)), len(self.X))
