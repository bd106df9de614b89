"""Inverse problems: recordings as X and y, coefficients as sources."""

import logging
from functools import cached_property
from typing import Any, Self

import mne
import numpy as np
from numpy.typing import NDArray

from .._html import make_table
from .._logging import quiet_mne, warn
from ..model_selection.noise import estimate_covariance
from ..solvers.objective import compute_explained
from ..solvers.threads import single_threaded_blas
from . import outputs
from .diagnostics import warn_if_flat, warn_if_noise_differs
from .gain import PreparedGain, prepare_gain
from .inputs import crop_evokeds, describe_evokeds, prepare_evokeds
from .outputs import list_steps, read_coefficients
from .trial_folds import average_folds, prefix_epochs
from .weighting import SourceWeighting

logger = logging.getLogger(__name__)


class InverseProblem:
    """Source imaging as the regression of whitened data on a whitened gain.

    Make a problem with :meth:`from_evoked` or :meth:`from_epochs`, fit a linear model without
    intercept on its `X` and `y`, and hand the model to the other methods, which turn coefficients
    into objects of MNE::

        y = X @ coef_.T + noise

    A model of blocks takes ``n_orient=problem.n_orient``. Rows are virtual sensors whose noise has
    variance 1 and is uncorrelated, features the orientations of every position, targets the times.
    `X` is the gain of a single trial, whitened and weighted as
    :func:`mne.inverse_sparse.mixed_norm` does [1]_. `y` is the whitened average times the square
    root of the number of trials, which MNE leaves out: averaging makes noise that much weaker.

    Parameters
    ----------
    evoked : instance of mne.Evoked, or list of such
        The data at the channels to use.
    gain : PreparedGain
        The gain at these channels.

    Attributes
    ----------
    X : ndarray of shape (rank, n_features)
        The whitened, weighted gain. The features of a position follow one another.
    y : ndarray of shape (rank, n_targets)
        The whitened data.
    n_orient : int
        The number of features per position: 1 for fixed orientation, 3 for loose or free. Of
        three on a surface, the third is normal to it, unless depth weighting has
        ``combine_xyz=False`` and all is free: then they are those of the forward solution.
    ch_names : list of str
        The channels used.
    times : ndarray of shape (n_targets,)
        The times of the targets in s; for a list of data, those of each in turn.
    locations : ndarray of shape (n_positions, 3)
        The positions in m, in head coordinates.
    forward : instance of mne.Forward
        The forward solution of `ch_names` in the orientation used, made when first asked for. Its
        source space is shared.
    whitener : ndarray of shape (rank, n_channels)
        The matrix that whitens the data of `ch_names`.
    source_scale : ndarray of shape (n_features,)
        The weights of the features: ``X = whitener @ forward["sol"]["data"] * source_scale``.
    target_scale : ndarray of shape (n_targets,)
        The square roots of the number of trials, so that amplitudes in A m are
        ``coef_.T * source_scale[:, np.newaxis] / target_scale``.
    y_folds : ndarray of shape (n_folds, rank, n_targets) or None
        With :meth:`from_epochs`, the whitened averages of the folds on the scale of `y`, for
        `MixedNormCV`.
    fold_weights : ndarray of shape (n_folds,) or None
        The shares of the folds in all trials: `y` is the mean of `y_folds` with these weights.

    See Also
    --------
    skmxne.SourceWeighting : Weight `X` in a Pipeline, to search `depth` and `loose`.

    Notes
    -----
    MNE whitens MEG and EEG apart. In a joint problem, noise that both record (activity of the
    brain, mostly) stays correlated between the rows of one and those of the other.

    References
    ----------
    .. [1] A. Gramfort, M. Kowalski and M. Hämäläinen, "Mixed-norm estimates for the M/EEG inverse
       problem using accelerated gradient methods", Physics in Medicine and Biology 57(7), 2012.

    Examples
    --------
    >>> from skmxne import InverseProblem, MixedNormEstimator
    >>> from skmxne.datasets import make_recording
    >>> recording = make_recording(n_sources=2)
    >>> problem = InverseProblem.from_evoked(
    ...     recording.evoked, recording.forward, recording.noise_cov, loose=0
    ... )
    >>> problem
    <InverseProblem: 64 channels, rank 63, ... positions x 1 orientation, 151 targets>
    >>> model = MixedNormEstimator(alpha=60).fit(problem.X, problem.y)
    >>> stc = problem.to_source_estimate(model)
    >>> stc.subject, len(stc.data) == model.n_active_
    ('simulated', True)
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

        The times before 0 tell whether `noise_cov` and the number of trials are right, and which
        channels are bad. So leave them in `evoked`, and choose the times to explain by `tmin` and
        `tmax`.

        Parameters
        ----------
        evoked : instance of mne.Evoked, or list of such
            The data. Several make one joint model, in which a position is active in all or none;
            their times and numbers of trials may differ.
        forward : instance of mne.Forward
            The forward solution, of any kind of source space.
        noise_cov : instance of mne.Covariance
            The noise covariance of single trials.
        loose : "auto", float in [0, 1] or dict, default="auto"
            The variance of orientations tangential to the surface relative to that of normal ones:
            0 for fixed orientation, 1 for free, as it has to be in volumes. "auto" is 0.2 if all
            is surface, else 1. A dict such as ``{"surface": 0.2, "volume": 1}`` has a value for
            every kind of source space ("surface", "volume", "discrete").
        depth : None, float or dict, default=0.8
            The exponent of depth weighting; None or 0 for none. A dict holds options, by default
            those of MNE's sparse solvers: "exp" 0.8, "limit" None, "limit_depth_chs" "whiten",
            "combine_xyz" "fro" (see :func:`mne.forward.compute_depth_prior`), and
            "allow_fixed_depth" True, to weight fixed orientations by their own gain alone.
        rank : None, "info", "full" or dict, default=None
            The rank of the noise covariance, as for :func:`mne.compute_rank`; None estimates it. A
            dict has the types of channels as keys: "eeg", and "mag" or "grad", or "meg" where both
            are used, which MNE whitens together. Types that are not used do not matter.
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
            reference, or a parameter is out of its range or without effect.

        Warns
        -----
        RuntimeWarning
            If channels are left out or flat; if sensors are more than 5 mm from where `forward`
            has them; if `noise_cov` has a higher rank than Maxwell-filtered data; if `loose` leaves
            a kind of source space less gain; or if the whitened data before time 0 do not look
            like noise: less than half or more than twice its power, in all or, by more than
            chance, in few channels or components.
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
        the folds, a model can be fitted to some trials and judged by the others: see
        :meth:`to_folds`, and `y_folds` of :meth:`MixedNormCV.fit <skmxne.MixedNormCV.fit>`, which
        needs less memory and time.

        Parameters
        ----------
        epochs : instance of mne.Epochs, or another class of epochs
            The trials. They need not be in memory, and are not modified.
        forward : instance of mne.Forward
            The forward solution, of any kind of source space.
        noise_cov : instance of mne.Covariance
            The noise covariance of single trials.
        n_folds : int, default=5
            The number of folds. Trials are drawn so that folds have the same share of every
            condition (event type), but for one trial; conditions of fewer than `n_folds` trials
            are taken together with the most frequent one.
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
            If there are fewer epochs than folds, or :meth:`from_evoked` does not take the average.

        Warns
        -----
        RuntimeWarning
            As :meth:`from_evoked`.
        """
        with quiet_mne(), prefix_epochs(), single_threaded_blas():
            average, folds = average_folds(epochs, n_folds)
            options = dict(loose=loose, depth=depth, rank=rank, tmin=tmin, tmax=tmax)
            problem = cls.from_evoked(average, forward, noise_cov, **options)
            folds = crop_evokeds([fold.pick(problem.ch_names) for fold in folds], tmin, tmax)
            scales = problem.whitener, problem.target_scale
            problem.y_folds = np.stack([_whiten([fold], *scales) for fold in folds])
            problem.fold_weights = np.array([fold.nave for fold in folds]) / average.nave
        return problem

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

    def to_source_estimate(self, estimator: Any, pick_ori: str | None = None) -> Any:
        """Turn coefficients into a source estimate.

        Parameters
        ----------
        estimator : estimator or array-like of shape (n_targets, n_features)
            A model fitted on `X` and `y`: an estimator with `coef_`, a search with
            `best_estimator_`, a Pipeline of steps that scale features and one of these; or the
            coefficients themselves, dense or sparse.
        pick_ori : {None, "normal", "vector"}, default=None
            None gives the amplitudes, signed for fixed orientation, else the norms of vectors.
            "normal" gives the components along the normals of surfaces, "vector" vectors in head
            coordinates: both for loose or free orientation only.

        Returns
        -------
        stc : instance of mne.SourceEstimate, VolSourceEstimate or MixedSourceEstimate
            The amplitudes of the active positions in A m. It has no other vertices. The class is
            that of the source space, with "vector" its counterpart for vectors; a list of data
            gives a list.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the model is not fitted.
        TypeError
            If it has no coefficients.
        ValueError
            If `pick_ori` does not suit the orientation or the source space, or the coefficients
            do not fit `X`.
        """
        outputs.check_pick_ori(pick_ori, self.n_orient, self._gain.src.kind)
        positions, sources, _ = self._find_sources(estimator)
        return self._for_each_evoked(
            lambda evoked, targets: outputs.make_source_estimate(
                sources[..., targets], positions, self._gain, evoked, pick_ori
            )
        )

    def to_dipoles(self, estimator: Any) -> list[Any]:
        """Turn coefficients into dipoles.

        Parameters
        ----------
        estimator : estimator or array-like of shape (n_targets, n_features)
            As for :meth:`to_source_estimate`.

        Returns
        -------
        dipoles : list of mne.Dipole, or list of such lists
            One dipole per active position, in head coordinates and A m. The goodness of fit, in
            percent of the power of the whitened data, is shared out where fields overlap: over
            all dipoles it adds up to that of the model.

        Raises
        ------
        sklearn.exceptions.NotFittedError, TypeError, ValueError
            As :meth:`to_source_estimate`.
        """
        positions, sources, scale = self._find_sources(estimator)
        data = self.y / self.target_scale
        fields = self.whitener @ self._gain.columns(positions)
        axes = self._find_axes(positions, scale)
        return self._for_each_evoked(
            lambda evoked, targets: outputs.make_dipoles(
                *(sources[..., targets], positions, self._gain),
                *(evoked.times, fields, axes, data[:, targets]),
            )
        )

    def to_residual(self, estimator: Any) -> mne.Evoked | list[mne.Evoked]:
        """Subtract the field of the sources from the data.

        Parameters
        ----------
        estimator : estimator or array-like of shape (n_targets, n_features)
            As for :meth:`to_source_estimate`.

        Returns
        -------
        residual : instance of mne.Evoked, or list of such
            What is left of the data, in their units. Projectors that have been applied to the
            data are applied to the field, too.

        Raises
        ------
        sklearn.exceptions.NotFittedError, TypeError, ValueError
            As :meth:`to_source_estimate`.
        """
        field = self._predict_field(estimator)
        return self._for_each_evoked(
            lambda evoked, targets: outputs.make_residual(evoked, field[:, targets])
        )

    def explained_variance(self, estimator: Any) -> float | list[float]:
        """Compute how much of the whitened data the sources explain.

        Parameters
        ----------
        estimator : estimator or array-like of shape (n_targets, n_features)
            As for :meth:`to_source_estimate`.

        Returns
        -------
        percent : float, or list of float
            The percentage of power, 0 where the data are zero.

        Raises
        ------
        sklearn.exceptions.NotFittedError, TypeError, ValueError
            As :meth:`to_source_estimate`.
        """
        residual = self.y - self.whitener @ self._predict_field(estimator) * self.target_scale
        return self._for_each_evoked(
            lambda _, targets: compute_explained(
                np.sum(self.y[:, targets] ** 2), np.sum(residual[:, targets] ** 2)
            )
        )

    def weights_from(self, stc: mne.SourceEstimate) -> NDArray[np.float64]:
        """Turn a source estimate into weights of the positions, for `weights` of an estimator.

        Parameters
        ----------
        stc : instance of mne.SourceEstimate, or another source estimate
            A source estimate of the same source space, by another method or from other data.

        Returns
        -------
        weights : ndarray of shape (n_positions,)
            The largest magnitude over time at every position, 0 at vertices that `stc` lacks. A
            ValueError is raised if `stc` is of another source space or subject.
        """
        return outputs.make_weights(stc, self._gain.src)

    def _find_sources(self, estimator):
        """Find the sources of a model.

        Active positions, (n_active, n_orient, n_targets) amplitudes in A m, and the
        (n_positions, n_orient) weights that the columns of the gain had in the model.
        """
        sizes = len(self.times), self.X.shape[1], self.n_orient
        positions, coef, model_scale = read_coefficients(estimator, *sizes)
        scale = self.source_scale.reshape(-1, self.n_orient)
        weightings = [step for step in list_steps(estimator) if isinstance(step, SourceWeighting)]
        by_depth = any(step.depth for step in weightings) and not _are_equal(scale.max(axis=1))
        by_orientation = any(step.loose != 1 for step in weightings) and not _are_equal(scale.T)
        if by_depth or by_orientation:
            warn(
                f"The problem is weighted by {'depth' if by_depth else 'orientation'}, and the "
                "SourceWeighting of the Pipeline does so once more. Make the problem with "
                "depth=None, loose=1.",
            )
        sources = coef * scale[positions, :, np.newaxis] / self.target_scale
        return positions, sources, scale * model_scale.reshape(scale.shape)

    def _find_axes(self, positions, scale):
        """Find the axes, made of orientations, among which goodness of fit is shared out."""
        # They are a convention, that of MNE: free orientations are those of the original forward
        # solution, others tangents and normals, without those that can have no amplitude.
        is_free = (scale == scale[:, :1]).all()
        axes = self._gain.given_axes(positions) if is_free else np.eye(self.n_orient)
        return axes * (scale[positions, :, np.newaxis] > 0)

    def _predict_field(self, estimator):
        """Return the field of the sources at the channels."""
        positions, sources, _ = self._find_sources(estimator)
        return self._gain.columns(positions) @ sources.reshape(-1, len(self.times))

    def _for_each_evoked(self, make_output):
        """Call a function with all data and their targets, and return a list if these were one."""
        stops = np.cumsum([len(evoked.times) for evoked in self._evokeds])
        targets = map(slice, [0, *stops[:-1]], stops)
        with quiet_mne():
            outputs = list(map(make_output, self._evokeds, targets))
        return outputs if self._is_list else outputs[0]


def _whiten(evokeds, whitener, target_scale):
    """Whiten data of all channels and targets, with the noise of the averages of all trials."""
    return whitener @ np.hstack([evoked.data for evoked in evokeds]) * target_scale


def _are_equal(values):
    """Tell whether values do not differ along the first axis."""
    return np.allclose(values, values[:1], rtol=1e-6, atol=0.0)
