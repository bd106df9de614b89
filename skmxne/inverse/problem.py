"""Inverse problems: from coefficients of a regression to sources, and how sure these are."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

import mne
import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from .._logging import quiet_mne, warn
from ..inspection.coefficients import list_steps, read_coefficients
from ..inspection.confidence import (
    Candidates,
    Confidence,
    check_n_draws,
    judge_sources,
)
from ..linear_model.validation import check_real
from ..solvers.objective import compute_explained
from ..solvers.threads import single_threaded_blas
from . import outputs, tables
from .detectability import compute_least_amplitudes
from .gain import compute_field_powers, whiten_gain
from .recording import WhitenedRecording
from .trial_folds import draw_signs
from .weighting import SourceWeighting

if TYPE_CHECKING:
    import pandas as pd

# Fewest groups of trials to draw noise by random signs.
_FEWEST_GROUPS = 10


class InverseProblem(WhitenedRecording):
    """Source imaging as the regression of whitened data on a whitened gain.

    Make a problem with :meth:`from_evoked` or :meth:`from_epochs`, fit a linear model without
    intercept on its `X` and `y`, and pass the model to the other methods, which turn coefficients
    into objects of MNE::

        y = X @ coef_.T + noise

    For a model of blocks set ``n_orient=problem.n_orient``. Rows are virtual sensors, features are
    the orientations of every position, and targets are times. The noise is uncorrelated between
    rows and has variance 1. `X` is the gain, whitened by the noise covariance of single trials and
    weighted as in :func:`mne.inverse_sparse.mixed_norm` [1]_. `y` is the whitened average times
    the square root of the number of trials, a factor that MNE omits.

    Attributes
    ----------
    X : ndarray of shape (rank, n_features)
        The whitened, weighted gain. The features of a position follow one another.
    y : ndarray of shape (rank, n_targets)
        The whitened data.
    n_orient : int
        The number of features per position: 1 for fixed orientation, 3 for loose or free. On a
        surface, the third of three is the normal. If all is free and depth weighting has
        ``combine_xyz=False``, the three are those of the forward solution.
    ch_names : list of str
        The channels used.
    times : ndarray of shape (n_targets,)
        The times of the targets in s; for a list of data, those of the first, then of the next.
    locations : ndarray of shape (n_positions, 3)
        The positions in m, in head coordinates.
    forward : instance of mne.Forward
        The forward solution of `ch_names` in the orientation used, made at the first access. It
        shares the source space of the original.
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
    y_groups : ndarray of shape (n_groups, rank, n_targets) or None
        With :meth:`from_epochs`, the same for up to 40 groups of trials, in single precision,
        from which :meth:`compute_confidence` draws noise.
    group_weights : ndarray of shape (n_groups,) or None
        The shares of the groups in all trials.

    See Also
    --------
    skmxne.SourceWeighting : Weight `X` in a Pipeline, to search `depth` and `loose`.

    Notes
    -----
    MNE whitens MEG and EEG separately. In a joint problem, noise that both record (mostly brain
    activity) stays correlated between the rows of MEG and those of EEG.

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

    def to_source_estimate(self, estimator: Any, pick_ori: str | None = None) -> Any:
        """Turn coefficients into a source estimate.

        Parameters
        ----------
        estimator : estimator or array-like of shape (n_targets, n_features)
            A model fitted on `X` and `y`: an estimator with `coef_`, a search with
            `best_estimator_`, or a Pipeline that scales features and ends with one of these; or
            the coefficients themselves, dense or sparse.
        pick_ori : {None, "normal", "vector"}, default=None
            None gives amplitudes: signed for fixed orientation, else the norms of vectors.
            "normal" gives the components along the normals of surfaces, "vector" gives vectors in
            head coordinates. Both need loose or free orientation.

        Returns
        -------
        stc : instance of mne.SourceEstimate, VolSourceEstimate or MixedSourceEstimate
            The amplitudes in A m, at the vertices of the active positions only. The class is that
            of the source space; with "vector", it is the one for vectors. A list of data gives a
            list.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the model is not fitted.
        TypeError
            If the model has no coefficients.
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
            One dipole per active position, in head coordinates and A m, in ascending order of
            positions (unlike :meth:`to_data_frame`). The goodness of fit, in percent of the power
            of the whitened data, is divided where fields overlap: the sum is that of the model.

        Raises
        ------
        sklearn.exceptions.NotFittedError, TypeError, ValueError
            As :meth:`to_source_estimate`.
        """
        positions, sources, scale = self._find_sources(estimator)
        data = self.y / self.target_scale
        fields = self.whitener @ self._gain.columns(positions)
        axes = outputs.find_axes(self._gain, positions, scale)
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
        residual : instance of mne.Evoked, or list of mne.Evoked
            The residual, in the units of the data. Projectors that have been applied to the data
            are applied to the field, too.

        Raises
        ------
        sklearn.exceptions.NotFittedError, TypeError, ValueError
            As :meth:`to_source_estimate`.
        """
        field = self._predict_field(estimator)
        return self._for_each_evoked(
            lambda evoked, targets: outputs.make_residual(evoked, field[:, targets])
        )

    def to_fields(self, estimator: Any) -> list[Any]:
        """Compute the field of each source at the sensors.

        Parameters
        ----------
        estimator : estimator or array-like of shape (n_targets, n_features)
            As for :meth:`to_source_estimate`.

        Returns
        -------
        fields : list of mne.Evoked, or list of such lists
            One for each source, in the order of :meth:`to_dipoles`, in the units of the data. The
            sum of all fields and the residual is the data.

        Raises
        ------
        sklearn.exceptions.NotFittedError, TypeError, ValueError
            As :meth:`to_source_estimate`.
        """
        positions, sources, _ = self._find_sources(estimator)
        fields = [
            self._gain.columns([p]) @ source for p, source in zip(positions, sources, strict=True)
        ]
        return self._for_each_evoked(
            lambda evoked, targets: [outputs.make_field(evoked, f[:, targets]) for f in fields]
        )

    def find_locations(self, model: Any) -> NDArray[np.float64]:
        """Find where the sources of a model, or the vertices of a source estimate, are.

        Parameters
        ----------
        model : estimator, array-like of shape (n_targets, n_features) or source estimate
            As for :meth:`to_source_estimate`; or a source estimate of the same source space, such
            as the true one of a simulation.

        Returns
        -------
        locations : ndarray of shape (n_sources, 3)
            In m, in head coordinates, in the order of :meth:`to_dipoles`, which is that of the
            vertices of :meth:`to_source_estimate`.

        Raises
        ------
        sklearn.exceptions.NotFittedError, TypeError, ValueError
            As :meth:`to_source_estimate`, or if `model` is of another source space.
        """
        if isinstance(model, outputs.SOURCE_ESTIMATES):
            return self.locations[outputs.find_positions(model, self._gain.src, "model")]
        return self.locations[self._find_sources(model)[0]]

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
            The largest magnitude over time at every position, 0 at vertices that are not in
            `stc`. A ValueError is raised if `stc` is of another source space or subject.
        """
        return outputs.make_weights(stc, self._gain.src)

    def compute_confidence(
        self,
        model: Any,
        *,
        level: float = 0.95,
        n_draws: int = 200,
        random_state: int | np.random.RandomState | None = 0,
        model_error: float = 0.06,
    ) -> Confidence:
        """Compute the region where each source of a model could be, and its p-value.

        As :func:`skmxne.compute_confidence`, but a source may have any orientation that the
        forward solution has, also if the model restricts it. With :meth:`from_epochs`, noise is
        drawn from the trials: random signs, half plus and half minus, cancel the response in their
        average.

        Parameters
        ----------
        model : estimator or array-like of shape (n_targets, n_features)
            As for :meth:`to_source_estimate`.
        level, n_draws, random_state, model_error : object
            As for :func:`skmxne.compute_confidence`.

        Returns
        -------
        confidence : skmxne.inspection.Confidence
            `positions`, `p_values`, `regions`, `level` and `powers`, the sum of squares of the
            whitened data that each source explains.

        Raises
        ------
        sklearn.exceptions.NotFittedError, TypeError, ValueError
            As :meth:`to_source_estimate`; if a parameter is out of its range; or if there are so
            many sources that they fit any data.

        See Also
        --------
        to_regions : The regions as source estimates.
        to_data_frame : A table with p-values and the radius of regions.

        Notes
        -----
        Without trials, the noise is assumed to have the same covariance over time in all whitened
        channels. This is wrong for brain rhythms that only some channels record: if these are
        strong, make the problem with :meth:`from_epochs`.

        The first call whitens the forward solution in all orientations and keeps the result.
        """
        positions, _, _ = self._find_sources(model)
        options = dict(level=level, random_state=random_state, model_error=model_error)
        if self.y_folds is not None:
            n_rows = (len(self.y_folds) - 1) * len(self.y)
            options |= dict(covariance=self.target_covariance, n_rows=n_rows)
            if check_n_draws(n_draws) and len(self.y_groups) >= _FEWEST_GROUPS:
                factors = draw_signs(self.group_weights, n_draws, random_state).astype(np.float32)
                options |= dict(draw=lambda k: np.tensordot(factors[k], self.y_groups, axes=1))
        with single_threaded_blas():
            return judge_sources(self._candidates, self.y, positions, n_draws=n_draws, **options)

    def to_regions(self, model: Any) -> list[Any]:
        """Turn the regions where sources could be into source estimates.

        Parameters
        ----------
        model : Confidence, estimator or array-like of shape (n_targets, n_features)
            The result of :meth:`compute_confidence`, or a model, for which regions of level 0.95
            are computed.

        Returns
        -------
        regions : list of mne.SourceEstimate, or another source estimate
            One for each source, in ascending order of positions (unlike :meth:`to_data_frame`).
            Each has one time and only the vertices of the region, with the value 1.

        Raises
        ------
        sklearn.exceptions.NotFittedError, TypeError, ValueError
            As :meth:`compute_confidence`, or if the regions are of another problem.
        """
        confidence = model
        if not isinstance(model, Confidence):
            confidence = self.compute_confidence(model, n_draws=0)
        tables.check_confidence(confidence, self._gain.n_positions)
        regions = [np.flatnonzero(region) for region in confidence.regions]
        return [outputs.make_map(np.ones(len(r)), r, self._gain) for r in regions]

    def to_detectability(self, model: Any = None, power: float = 0.8) -> Any:
        """Compute the smallest amplitude of a source that would be found, at each position.

        This is for a single source. It is found if it explains more than the best of all positions
        explains in noise: the threshold of ``MixedNormIC(criterion="ric")``.

        Parameters
        ----------
        model : estimator or array-like of shape (n_targets, n_features), default=None
            The source has the time course of the strongest source of the model, and noise is
            estimated from the residual. With None, or a model without sources, the source has the
            strongest time course of the data, and noise is as `noise_cov` predicts, white in time.
            After :meth:`from_epochs`, noise is always estimated from the trials.
        power : float, default=0.8
            The probability that the source is found, between 0 and 1.

        Returns
        -------
        stc : instance of mne.SourceEstimate, or another source estimate
            The smallest peak amplitude in A m at every vertex, with one time. Sources point along
            the normals of surfaces, else along the orientation with the strongest field. Infinite
            where a source has no field at the channels.

        Raises
        ------
        sklearn.exceptions.NotFittedError, TypeError, ValueError
            As :meth:`to_source_estimate`; or if `power` is out of its range, or the data are zero
            and there is no time course.
        """
        power = check_real("power", power, 0, 1, interval="()")
        positions, sources = np.empty(0, dtype=int), None
        if model is not None:
            positions, sources, _ = self._find_sources(model)
        with single_threaded_blas():
            field_powers = compute_field_powers(self._gain, self._candidates.design.grams)
            amplitudes = compute_least_amplitudes(self, field_powers, positions, sources, power)
        return outputs.make_map(amplitudes, np.arange(len(amplitudes)), self._gain)

    def compute_stability(self, model: Any, radius: float = 0.01) -> NDArray[np.float64]:
        """Compute how often each source is found again when some trials are left out.

        A clone of the model is fitted to all folds but one, for each fold in turn; `MixedNormIC`
        and `MixedNormCV` choose alpha again. With many sources, some are always near by chance.

        Parameters
        ----------
        model : estimator
            A fitted model that can be cloned and fitted to `X` and `y`; of a search, the
            `best_estimator_` is used.
        radius : float, default=0.01
            The largest distance, in m, at which a source counts as found again.

        Returns
        -------
        stability : ndarray of shape (n_sources,)
            The share of the fits that find a source within `radius`, in the order of `positions`
            of a confidence (ascending).

        Raises
        ------
        sklearn.exceptions.NotFittedError, TypeError, ValueError
            As :meth:`to_source_estimate`; if the problem was made without epochs; or if the model
            cannot be fitted again.
        """
        if self.y_folds is None:
            raise ValueError(
                "An average has no trials to leave out: make the problem with "
                "InverseProblem.from_epochs."
            )
        radius = check_real("radius", radius, 0, np.inf, interval="()")
        positions, _, _ = self._find_sources(model)
        estimator = getattr(model, "best_estimator_", model)
        if not hasattr(estimator, "fit"):
            raise TypeError(
                f"model must be an estimator that can be fitted, got {type(model).__name__}."
            )
        found = np.zeros((len(self.y_folds), len(positions)))
        for k in range(len(found)):
            X, y = self._leave_out(k, is_stacked=estimator is not model)
            others, _, _ = self._find_sources(clone(estimator).fit(X, y))
            gaps = self.locations[positions][:, np.newaxis] - self.locations[others]
            found[k] = np.linalg.norm(gaps, axis=2).min(axis=1, initial=np.inf) <= radius
        return found.mean(axis=0)

    def to_data_frame(
        self,
        model: Any,
        *,
        confidence: Confidence | None = None,
        subjects_dir: str | None = None,
        parc: str = "aparc",
    ) -> "pd.DataFrame | list[pd.DataFrame]":
        """Turn coefficients into a table of sources.

        Parameters
        ----------
        model : estimator or array-like of shape (n_targets, n_features)
            As for :meth:`to_source_estimate`.
        confidence : Confidence, default=None
            The result of :meth:`compute_confidence` for this model.
        subjects_dir : path-like, default=None
            FreeSurfer's folder of subjects, to add the label of each source and its MNI
            coordinates.
        parc : str, default="aparc"
            The parcellation of the labels.

        Returns
        -------
        table : pandas.DataFrame, or list of pandas.DataFrame
            A row for each source, the one with the largest peak (in any of several data) first.
            The index is the position. Columns: "hemisphere" ("lh" or "rh"; empty in volumes),
            "vertex", "x_mm", "y_mm" and "z_mm" (head coordinates), "amplitude_nAm" (at the peak, as
            in the source estimate), "latency_ms" of the peak, and at the peak "gof_percent" and the
            orientation "ori_x", "ori_y" and "ori_z"; with `confidence` "p_value" and "radius_mm",
            the distance from the source to the farthest position of its region; with `subjects_dir`
            "label" and, if the subject has a transform, "mni_x_mm", "mni_y_mm" and "mni_z_mm".

        Raises
        ------
        sklearn.exceptions.NotFittedError, TypeError, ValueError
            As :meth:`to_source_estimate`, or if `confidence` is of another model.
        ImportError
            If pandas is not installed.
        """
        rows = self.list_sources(model, confidence, subjects_dir=subjects_dir, parc=parc)
        columns = tables.list_columns(confidence is not None, subjects_dir is not None)
        frames = [tables.make_frame(some, columns) for some in (rows if self._is_list else [rows])]
        return frames if self._is_list else frames[0]

    def list_sources(
        self,
        model: Any,
        confidence: Confidence | None = None,
        *,
        subjects_dir: str | None = None,
        parc: str = "aparc",
    ) -> list[Any]:
        """List sources as :meth:`to_data_frame` does, without pandas.

        Parameters
        ----------
        model, confidence, subjects_dir, parc : object
            As for :meth:`to_data_frame`.

        Returns
        -------
        rows : list of dict, or list of such lists
            One for each source, the strongest first, with the position and the columns as keys.

        Raises
        ------
        sklearn.exceptions.NotFittedError, TypeError, ValueError
            As :meth:`to_data_frame`.
        """
        positions, _, _ = self._find_sources(model)
        if confidence is not None:
            tables.check_confidence(confidence, self._gain.n_positions, positions)
        dipoles = self.to_dipoles(model) if self._is_list else [self.to_dipoles(model)]
        lists = tables.sort_sources(
            [tables.list_sources(positions, some, self._gain, confidence) for some in dipoles]
        )
        if subjects_dir is not None:
            for rows in lists:
                tables.add_anatomy(rows, self._gain, self._gain.mri_head_t, subjects_dir, parc)
        return lists if self._is_list else lists[0]

    @cached_property
    def _candidates(self):
        """All positions, with the orientations that the forward solution has."""
        free = self._gain.free()
        return Candidates(whiten_gain(free, self.whitener), free.n_orient)

    def _find_sources(self, estimator):
        """Find the sources of a model.

        Returns active positions, (n_active, n_orient, n_targets) amplitudes in A m, and the
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
                f"The problem is already weighted by {'depth' if by_depth else 'orientation'}, and "
                "the SourceWeighting of the Pipeline does it once more. Make the problem with "
                "depth=None, loose=1.",
            )
        sources = coef * scale[positions, :, np.newaxis] / self.target_scale
        return positions, sources, scale * model_scale.reshape(scale.shape)

    def _predict_field(self, estimator):
        """Return the field of the sources at the channels."""
        positions, sources, _ = self._find_sources(estimator)
        return self._gain.columns(positions) @ sources.reshape(-1, len(self.times))

    def _for_each_evoked(self, make_output):
        """Call a function with each average and its targets; return a list if a list was given."""
        stops = np.cumsum([len(evoked.times) for evoked in self._evokeds])
        targets = map(slice, [0, *stops[:-1]], stops)
        with quiet_mne():
            outputs = list(map(make_output, self._evokeds, targets))
        return outputs if self._is_list else outputs[0]


def _are_equal(values):
    """Return whether values are equal along the first axis."""
    return np.allclose(values, values[:1], rtol=1e-6, atol=0.0)
