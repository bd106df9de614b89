"""Recordings as regressions: whitened data on a whitened gain."""

import logging
from functools import cached_property
from typing import Any, Self

import mne
import numpy as np
from numpy.typing import NDArray

from .._html import make_table
from .._logging import quiet_mne
from ..model_selection.noise import estimate_covariance
from ..solvers.threads import single_threaded_blas
from .diagnostics import warn_if_flat, warn_if_noise_differs
from .gain import PreparedGain, Surface, prepare_gain
from .inputs import crop_evokeds, describe_evokeds, prepare_evokeds
from .trial_folds import average_folds, average_groups, prefix_epochs, take_good_trials

logger = logging.getLogger(__name__)


class WhitenedRecording:
    """The data of an `InverseProblem`, where the attributes are documented.

    Parameters
    ----------
    evoked : instance of mne.Evoked, or list of mne.Evoked
        The data at the channels to use.
    gain : PreparedGain
        The gain at these channels.
    """

    X: NDArray[np.float64]
    y: NDArray[np.float64]
    n_orient: int
    ch_names: list[str]
    times: NDArray[np.float64]
    locations: NDArray[np.float64]
    whitener: NDArray[np.float64]
    source_scale: NDArray[np.float64]
    target_scale: NDArray[np.float64]
    y_folds: NDArray[np.float64] | None
    fold_weights: NDArray[np.float64] | None
    y_groups: NDArray[np.float32] | None
    group_weights: NDArray[np.float64] | None

    def __init__(
        self,
        evoked: mne.Evoked | list[mne.Evoked],
        gain: PreparedGain,
    ) -> None:
        if not isinstance(gain, PreparedGain):
            raise TypeError(
                "Use InverseProblem.from_evoked(evoked, forward, noise_cov), or from_epochs."
            )
        self._is_list = isinstance(evoked, list)
        self._evokeds = evoked if self._is_list else [evoked]
        self.X, self.source_scale, self.whitener, self._gain = gain
        self.n_orient = self._gain.n_orient
        self.ch_names = self._evokeds[0].ch_names
        self.times = np.concatenate([evoked.times for evoked in self._evokeds])
        self.locations = self._gain.locations
        self.target_scale = np.concatenate(
            [np.full(len(evoked.times), np.sqrt(evoked.nave)) for evoked in self._evokeds]
        )
        self.y = _whiten(self._evokeds, self.whitener, self.target_scale)
        with np.errstate(over="ignore"):
            if not np.isfinite(np.linalg.norm(self.y)):
                raise ValueError(
                    "evoked has values that are too large for noise_cov. Check the units of both."
                )
        self.y_folds = self.fold_weights = None
        self.y_groups = self.group_weights = None

    def __repr__(self):
        return (
            f"<InverseProblem: {len(self.ch_names)} channels, rank {len(self.X)}, "
            f"{self._gain.n_positions} positions x {self.n_orient} "
            f"orientation{'s' if self.n_orient > 1 else ''}, {len(self.times)} targets>"
        )

    def _repr_html_(self):
        rows = describe_evokeds(self._evokeds) | {
            "Rank": str(len(self.X)),
            "Positions": f"{self._gain.n_positions} ({self._gain.src.kind} source space)",
            "Orientations": "1, fixed" if self.n_orient == 1 else f"{self.n_orient} per position",
        }
        if self.y_folds is not None:
            rows["Folds of trials"] = str(len(self.y_folds))
        return make_table("InverseProblem", rows)

    @cached_property
    def forward(self) -> mne.Forward:
        """Forward solution of `ch_names` in the orientation used."""
        with quiet_mne():
            return self._gain.to_forward()

    @property
    def surfaces(self) -> list[Surface]:
        """Cortical surfaces of the source space.

        Returns
        -------
        surfaces : list of named tuples
            For each `hemisphere` ("lh" or "rh"), `rr`, the vertices in m, in head coordinates, and
            `tris`, the triangles. Empty if a part of the source space is not a cortical surface
            with triangles.
        """
        return self._gain.surfaces()

    @classmethod
    def from_evoked(
        cls,
        evoked: mne.Evoked | list[mne.Evoked],
        forward: mne.Forward,
        noise_cov: mne.Covariance,
        *,
        loose: str | float | dict[str, float] = "auto",
        depth: float | dict[str, Any] | None = 0.8,
        rank: str | dict[str, int] | None = None,
        tmin: float | None = None,
        tmax: float | None = None,
    ) -> Self:
        """Make the inverse problem of averaged data.

        The channels used are the MEG and EEG channels that the three objects share, without those
        that `evoked` or `noise_cov` mark as bad. A warning names the good channels that one of the
        objects lacks, unless `evoked` lacks all of that type. Projectors, applied or not, are
        taken into account by the whitener. No object is modified.

        The times before 0 show whether `noise_cov` and the number of trials are right, and which
        channels are bad. So keep them in `evoked`, and set the times to explain with `tmin` and
        `tmax`.

        Parameters
        ----------
        evoked : instance of mne.Evoked, or list of mne.Evoked
            The data. A list makes one joint model, in which a position is active in all data or
            in none; their times and numbers of trials may differ.
        forward : instance of mne.Forward
            The forward solution, of any kind of source space.
        noise_cov : instance of mne.Covariance
            The noise covariance of single trials.
        loose : "auto", float in [0, 1] or dict, default="auto"
            The variance of orientations tangential to the surface relative to that of normal ones:
            0 for fixed orientation, 1 for free. In volumes it must be 1. "auto" is 0.2 if all
            source spaces are surfaces, else 1. A dict such as ``{"surface": 0.2, "volume": 1}`` has
            a value for every kind of source space ("surface", "volume", "discrete").
        depth : None, float or dict, default=0.8
            The exponent of depth weighting; None or 0 for none. A dict holds options, by default
            those of MNE's sparse solvers: "exp" 0.8, "limit" None, "limit_depth_chs" "whiten",
            "combine_xyz" "fro" (see :func:`mne.forward.compute_depth_prior`), and
            "allow_fixed_depth" True, which weights fixed orientations by their own gain only.
        rank : None, "info", "full" or dict, default=None
            The rank of the noise covariance, as for :func:`mne.compute_rank`; None estimates it. A
            dict has types of channels as keys: "eeg", and "mag" or "grad". If both "mag" and
            "grad" are used, MNE whitens them together: the key is "meg". Types that are not used
            are ignored.
        tmin, tmax : float or None, default=None
            The first and the last time to explain, in s; None for those of `evoked`.

        Returns
        -------
        problem : InverseProblem
            The inverse problem.

        Raises
        ------
        TypeError
            If an object is not an instance of its class.
        ValueError
            If the objects do not fit one another, data are not finite, EEG has no average
            reference, or a parameter is out of its range or has no effect.

        Warns
        -----
        RuntimeWarning
            If channels are left out or flat; if sensors are more than 5 mm from their positions in
            `forward`; if `rank` is too high for `noise_cov`, or `noise_cov` has a higher rank than
            Maxwell-filtered data; if `loose` gives one kind of source space less gain than another;
            or if the whitened data before time 0 do not look like noise: less than half or more
            than twice the power of noise, or single channels or components with more than twice the
            power that noise can have by chance.
        """
        with quiet_mne(), single_threaded_blas():
            evokeds = prepare_evokeds(evoked, forward, noise_cov)
            warn_if_flat(evokeds, noise_cov)
            info = evokeds[0].info
            window = crop_evokeds(evokeds, tmin, tmax)
            gain = prepare_gain(info, forward, noise_cov, loose=loose, depth=depth, rank=rank)
        problem = cls(window[0] if isinstance(evoked, mne.Evoked) else window, gain)
        warn_if_noise_differs(evokeds, problem.whitener)
        logger.info("%r", problem)
        return problem

    @classmethod
    def from_epochs(
        cls,
        epochs: mne.BaseEpochs,
        forward: mne.Forward,
        noise_cov: mne.Covariance,
        *,
        n_folds: int = 5,
        loose: str | float | dict[str, float] = "auto",
        depth: float | dict[str, Any] | None = 0.8,
        rank: str | dict[str, int] | None = None,
        tmin: float | None = None,
        tmax: float | None = None,
    ) -> Self:
        """Make the inverse problem of the average of epochs, with folds of trials.

        `X` and `y` are those of :meth:`from_evoked` for ``epochs.average()``. With the averages of
        the folds, a model can be fitted to some trials and tested on the others: with `y_folds` of
        :meth:`MixedNormCV.fit <skmxne.MixedNormCV.fit>`, or with :meth:`to_folds`, which needs more
        memory and time.

        Parameters
        ----------
        epochs : instance of mne.Epochs, or another class of epochs
            The trials. They need not be in memory, and are not modified.
        forward : instance of mne.Forward
            The forward solution, of any kind of source space.
        noise_cov : instance of mne.Covariance
            The noise covariance of single trials.
        n_folds : int, default=5
            The number of folds. Trials are drawn so that the number of trials of a condition (event
            type) differs by at most one between folds. Conditions with fewer than `n_folds` trials
            are merged with the most frequent one.
        loose, depth, rank, tmin, tmax : object
            As for :meth:`from_evoked`.

        Returns
        -------
        problem : InverseProblem
            The inverse problem.

        Raises
        ------
        TypeError
            If an object is not an instance of its class.
        ValueError
            If there are fewer epochs than folds, or :meth:`from_evoked` rejects the average.

        Warns
        -----
        RuntimeWarning
            As :meth:`from_evoked`.
        """
        with quiet_mne(), prefix_epochs(), single_threaded_blas():
            epochs = take_good_trials(epochs, n_folds)
            average, folds = average_folds(epochs, n_folds)
            options = dict(loose=loose, depth=depth, rank=rank, tmin=tmin, tmax=tmax)
            problem = cls.from_evoked(average, forward, noise_cov, **options)
            problem.y_folds, problem.fold_weights = _whiten_parts(problem, folds, tmin, tmax)
            groups = average_groups(epochs)
            problem.y_groups, problem.group_weights = _whiten_parts(problem, groups, tmin, tmax)
            problem.y_groups = problem.y_groups.astype(np.float32)
        return problem

    @property
    def target_covariance(self) -> NDArray[np.float64] | None:
        """Covariance of the noise across targets, estimated from trials, for `MixedNormIC`.

        It is computed from the differences between the averages of the folds, over all rows. Its
        mean variance is 1 if the noise covariance fits the trials. It is shrunk towards a multiple
        of the identity, just enough that the number of independent targets is right.

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
        variance 1. Coefficients have the same meaning as for `X` and `y`. The model fitted to all
        rows is the same, too, to its tolerance (which is relative to the power of the rows), unless
        `time_pca` limits the rank. Pass the fitted search to :meth:`to_source_estimate`.

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

    def _leave_out(self, fold, *, is_stacked):
        """Return the data without a fold: their average, or the other folds stacked."""
        if is_stacked:
            X, y, groups = self.to_folds()
            return X[groups != fold], y[groups != fold]
        weight = self.fold_weights[fold]
        # Scaled so that noise has variance 1 again.
        return self.X, (self.y - weight * self.y_folds[fold]) / np.sqrt(1.0 - weight)


def _whiten(evokeds, whitener, target_scale):
    """Whiten averages and scale them by the roots of the numbers of all trials."""
    return whitener @ np.hstack([evoked.data for evoked in evokeds]) * target_scale


def _whiten_parts(problem, averages, tmin, tmax):
    """Whiten averages of parts of the trials, and return them with their shares of all."""
    averages = crop_evokeds([part.pick(problem.ch_names) for part in averages], tmin, tmax)
    scales = problem.whitener, problem.target_scale
    n_trials = np.array([part.nave for part in averages])
    return np.stack([_whiten([part], *scales) for part in averages]), n_trials / n_trials.sum()
