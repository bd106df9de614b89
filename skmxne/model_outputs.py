"""What a model fitted on an inverse problem says of sources, as objects of MNE."""

import warnings
from typing import Any

import mne
import numpy as np
from numpy.typing import NDArray

from . import source_outputs
from .coefficients import list_steps, read_coefficients
from .mne_inputs import hush_mne
from .source_weighting import SourceWeighting


class ModelOutputs:
    """The methods of an inverse problem that take a fitted model."""

    # A model is anything with coefficients, and results are of the class that suits the data.

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
        source_outputs.check_pick_ori(pick_ori, self.n_orient, self._gain.src.kind)
        positions, sources, _ = self._find_sources(estimator)
        return self._for_each_evoked(
            lambda evoked, targets: source_outputs.make_source_estimate(
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
            lambda evoked, targets: source_outputs.make_dipoles(
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
            lambda evoked, targets: source_outputs.make_residual(evoked, field[:, targets])
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
            lambda _, targets: source_outputs.compare_power(
                self.y[:, targets], residual[:, targets]
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
        return source_outputs.make_weights(stc, self._gain.src)

    def _find_sources(self, estimator, stacklevel=3):
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
            warnings.warn(
                f"The problem is weighted by {'depth' if by_depth else 'orientation'}, and the "
                "SourceWeighting of the Pipeline does so once more. Make the problem with "
                "depth=None, loose=1.",
                UserWarning,
                stacklevel=stacklevel,
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
        positions, sources, _ = self._find_sources(estimator, stacklevel=4)
        return self._gain.columns(positions) @ sources.reshape(-1, len(self.times))

    def _for_each_evoked(self, make_output):
        """Call a function with all data and their targets, and return a list if these were one."""
        stops = np.cumsum([len(one.times) for one in self._evokeds])
        targets = map(slice, [0, *stops[:-1]], stops)
        with hush_mne():
            outputs = list(map(make_output, self._evokeds, targets))
        return outputs if self._is_list else outputs[0]


def _are_equal(values):
    """Tell whether values do not differ along the first axis."""
    return np.allclose(values, values[:1], rtol=1e-6, atol=0.0)
