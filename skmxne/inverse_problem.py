"""MNE objects in and out: recordings as X and y, coefficients as sources."""

import logging

import mne
import numpy as np

from . import source_outputs
from .coefficients import read_coefficients
from .mne_inputs import prepare_evokeds
from .prepared_gain import PreparedGain, prepare_gain

logger = logging.getLogger(__name__)


class InverseProblem:
    """Source imaging as the regression of whitened data on a whitened gain.

    Make a problem with :meth:`from_evoked`, fit a linear model without intercept on its `X` and
    `y`, and hand the model to the other methods, which turn coefficients into objects of MNE::

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
        The number of features per position: 1 for fixed orientation, 3 for loose or free.
    ch_names : list of str
        The channels used.
    times : ndarray of shape (n_targets,)
        The times of the targets in s; for a list of data, those of each in turn.
    forward : instance of mne.Forward
        The forward solution of `ch_names` in the orientation used. Its source space is shared.
    whitener : ndarray of shape (rank, n_channels)
        The matrix that whitens the data of `ch_names`.
    source_scale : ndarray of shape (n_features,)
        The weights of the features: ``X = whitener @ forward["sol"]["data"] * source_scale``.
    target_scale : ndarray of shape (n_targets,)
        The square roots of the number of trials, so that amplitudes in A m are
        ``coef_.T * source_scale[:, np.newaxis] / target_scale``.

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

    def __init__(self, evoked, gain):
        if not isinstance(gain, PreparedGain):
            raise TypeError("Use InverseProblem.from_evoked(evoked, forward, noise_cov).")
        self._is_list = isinstance(evoked, list)
        self._evokeds = evoked if self._is_list else [evoked]
        self.X, self.source_scale, self.whitener, self.forward = gain
        self.n_orient = self.X.shape[1] // self.forward["nsource"]
        self.ch_names = self._evokeds[0].ch_names
        self.times = np.concatenate([one.times for one in self._evokeds])
        self.target_scale = np.concatenate(
            [np.full(len(one.times), np.sqrt(one.nave)) for one in self._evokeds]
        )
        self.y = self.whitener @ np.hstack([one.data for one in self._evokeds])
        self.y *= self.target_scale

    def __repr__(self):
        return (
            f"<InverseProblem: {len(self.ch_names)} channels, rank {len(self.X)}, "
            f"{self.forward['nsource']} positions x {self.n_orient} "
            f"orientation{'s' if self.n_orient > 1 else ''}, {len(self.times)} targets>"
        )

    @classmethod
    def from_evoked(cls, evoked, forward, noise_cov, *, loose="auto", depth=0.8, rank=None):
        """Make the inverse problem of averaged data.

        The channels used are the MEG and EEG channels that the three objects share, without those
        that `evoked` or `noise_cov` mark as bad. A warning names the good channels that one of the
        objects lacks, unless `evoked` lacks all of that type. Projectors, applied or not, are
        taken into account by the whitener. No object is modified.

        Parameters
        ----------
        evoked : instance of mne.Evoked, or list of such
            The data. Several make one joint model, in which a position is active in all or none;
            their times and numbers of trials may differ.
        forward : instance of mne.Forward
            The forward solution, of a surface source space.
        noise_cov : instance of mne.Covariance
            The noise covariance of single trials.
        loose : "auto", float in [0, 1] or dict, default="auto"
            The variance of orientations tangential to the surface relative to that of normal ones:
            0 for fixed orientation, 1 for free, "auto" for 0.2, a dict such as
            ``{"surface": 0.2}`` for every kind of source space its own.
        depth : None, float or dict, default=0.8
            The exponent of depth weighting; None or 0 for none. A dict holds options, by default
            those of MNE's sparse solvers: "exp" 0.8, "limit" None, "limit_depth_chs" "whiten",
            "combine_xyz" "fro" (see :func:`mne.forward.compute_depth_prior`) and
            "allow_fixed_depth" True, to weight fixed orientations by their own gain alone.
        rank : None, "info", "full" or dict, default=None
            The rank of the noise covariance, as for :func:`mne.compute_rank`; None estimates it.

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
            reference, or a parameter is out of its range.
        NotImplementedError
            If the source space is not one of surfaces.
        """
        with mne.use_log_level("WARNING"):
            evokeds = prepare_evokeds(evoked, forward, noise_cov)
            info = evokeds[0].info
            gain = prepare_gain(info, forward, noise_cov, loose=loose, depth=depth, rank=rank)
        problem = cls(evokeds[0] if isinstance(evoked, mne.Evoked) else evokeds, gain)
        logger.info("%r", problem)
        return problem

    def to_source_estimate(self, estimator, pick_ori=None):
        """Turn coefficients into a source estimate.

        Parameters
        ----------
        estimator : estimator or array-like of shape (n_targets, n_features)
            A model fitted on `X` and `y`: an estimator with `coef_`, a search with
            `best_estimator_`, a Pipeline of steps that scale features and one of these; or the
            coefficients themselves, dense or sparse.
        pick_ori : {None, "normal", "vector"}, default=None
            None gives the amplitudes, signed for fixed orientation, else the norms of vectors.
            "normal" gives the components along the normals of the surface, "vector" vectors in
            head coordinates: both for loose or free orientation only.

        Returns
        -------
        stc : instance of mne.SourceEstimate or mne.VectorSourceEstimate, or list of such
            The amplitudes of the active positions in A m. It has no other vertices.

        Raises
        ------
        ValueError
            If `pick_ori` does not suit the orientation, or the coefficients do not fit `X`.
        """
        if pick_ori not in (None, "normal", "vector"):
            raise ValueError(f"pick_ori must be None, 'normal' or 'vector', got {pick_ori!r}.")
        if pick_ori is not None and self.n_orient == 1:
            raise ValueError(
                f"pick_ori={pick_ori!r} needs loose or free orientation. Make the problem with "
                "loose > 0, or pass pick_ori=None for the signed amplitudes along the normals."
            )
        positions, sources = self._find_sources(estimator)
        return self._for_each_evoked(
            lambda evoked, targets: source_outputs.make_source_estimate(
                sources[..., targets], positions, self.forward, evoked, pick_ori
            )
        )

    def to_dipoles(self, estimator):
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
        """
        positions, sources = self._find_sources(estimator)
        gain = self.whitener @ self._pick_gain(positions)
        data = self.y / self.target_scale
        return self._for_each_evoked(
            lambda evoked, targets: source_outputs.make_dipoles(
                sources[..., targets], positions, self.forward, evoked.times, gain, data[:, targets]
            )
        )

    def to_residual(self, estimator):
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
        """
        field = self._predict_field(estimator)
        return self._for_each_evoked(
            lambda evoked, targets: source_outputs.make_residual(evoked, field[:, targets])
        )

    def explained_variance(self, estimator):
        """Compute how much of the whitened data the sources explain.

        Parameters
        ----------
        estimator : estimator or array-like of shape (n_targets, n_features)
            As for :meth:`to_source_estimate`.

        Returns
        -------
        percent : float, or list of float
            The percentage of power, 0 where the data are zero.
        """
        residual = self.y - self.whitener @ self._predict_field(estimator) * self.target_scale
        return self._for_each_evoked(
            lambda _, targets: source_outputs.compare_power(
                self.y[:, targets], residual[:, targets]
            )
        )

    def weights_from(self, stc):
        """Turn a source estimate into weights of the positions, for `weights` of an estimator.

        Parameters
        ----------
        stc : instance of mne.SourceEstimate or mne.VectorSourceEstimate
            A source estimate of the same source space, by another method or from other data.

        Returns
        -------
        weights : ndarray of shape (n_positions,)
            The largest magnitude over time at every position, 0 at vertices that `stc` lacks. A
            ValueError is raised if `stc` is of another source space or subject.
        """
        return source_outputs.make_weights(stc, self.forward["src"])

    def _find_sources(self, estimator):
        """Return the active positions, and (n_active, n_orient, n_targets) amplitudes in A m."""
        n_features = self.X.shape[1]
        positions, coef = read_coefficients(estimator, len(self.times), n_features, self.n_orient)
        scale = self.source_scale.reshape(-1, self.n_orient, 1)[positions]
        return positions, coef * scale / self.target_scale

    def _pick_gain(self, positions):
        """Return the columns of the gain, per A m, of some positions."""
        gain = self.forward["sol"]["data"]
        return gain.reshape(len(gain), -1, self.n_orient)[:, positions].reshape(len(gain), -1)

    def _predict_field(self, estimator):
        """Return the field of the sources at the channels."""
        positions, sources = self._find_sources(estimator)
        return self._pick_gain(positions) @ sources.reshape(-1, len(self.times))

    def _for_each_evoked(self, make_output):
        """Call a function with all data and their targets, and return a list if these were one."""
        stops = np.cumsum([len(one.times) for one in self._evokeds])
        targets = map(slice, [0, *stops[:-1]], stops)
        with mne.use_log_level("WARNING"):
            outputs = list(map(make_output, self._evokeds, targets))
        return outputs if self._is_list else outputs[0]
