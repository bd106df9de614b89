"""Depth and orientation weighting of a gain, for inverse problems and as a transformer."""

import math
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .._html import RepresentationMixin
from .._progress import ProgressMixin
from ..linear_model.options import check_n_orient
from ..linear_model.validation import check_features, check_real


class SourceWeighting(
    RepresentationMixin, ProgressMixin, OneToOneFeatureMixin, TransformerMixin, BaseEstimator
):
    """Scale the features of a gain, to favour deep positions and normal orientations.

    Sensors are less sensitive to deep positions than to shallow ones, so that a penalty on
    amplitudes moves sources too near to the sensors. Depth weighting compensates for this [1]_.
    Currents of the cortex are nearly normal to its surface: a loose orientation constraint
    penalizes tangential ones more [2]_. Column ``o`` of block ``g`` is multiplied by::

        scale_[g, o] = c * sqrt(loose_o) * ||X_g||_F ** -depth

    where ``loose_o`` is ``loose`` for the first two of three orientations, else 1, and ``c`` makes
    ``||X * scale_||_F^2`` equal to the number of samples. Norms are those of the samples given to
    `fit`: in cross-validation each fold has its own.

    Parameters
    ----------
    depth : float, default=0.8
        Exponent of depth weighting: 1 gives all blocks the same norm, 0 or None changes nothing.
    loose : float in [0, 1], default=1.0
        Variance of the first two of three orientations, which are tangential to the surface,
        relative to that of the third, the normal. 1 is free orientation. 0 is fixed orientation:
        tangential columns become zero, and depth weights depend on normal columns only. It must be
        1 if ``n_orient`` is not 3, and should be 1 in volumes, which have no normals.
    n_orient : int, default=1
        Features per position, in order: 1 for fixed, 3 for loose or free orientation, as for the
        model that follows.

    Attributes
    ----------
    scale_ : ndarray of shape (n_features,)
        The factors of the columns. For depth, blocks of zeros count as the weakest of the others.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen in `fit`, where they are all strings.

    See Also
    --------
    skmxne.InverseProblem : Weights its ``X`` in the same way when it is made. To use this
        transformer instead, make it with ``depth=None, loose=1``. Its methods accept a Pipeline of
        this transformer and a model, or a search over such a Pipeline.

    References
    ----------
    .. [1] Lin, Witzel, Ahlfors, Stufflebeam, Belliveau & Hämäläinen (2006). Assessing and
       improving the spatial accuracy in MEG source localization by depth-weighted minimum-norm
       estimates. NeuroImage 31(1), 160-171. https://doi.org/10.1016/j.neuroimage.2005.11.054
    .. [2] Lin, Belliveau, Dale & Hämäläinen (2006). Distributed current estimates using cortical
       orientation constraints. Human Brain Mapping 27(1), 1-13.
       https://doi.org/10.1002/hbm.20155

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from skmxne import MixedNormEstimator, SourceWeighting
    >>> from skmxne.datasets import make_block_sparse_regression
    >>> X, y = make_block_sparse_regression(n_orient=3, n_active=2, random_state=0)
    >>> weighting = SourceWeighting(depth=0.8, loose=0.2, n_orient=3)
    >>> model = make_pipeline(weighting, MixedNormEstimator(alpha=40, n_orient=3)).fit(X, y)
    >>> model[-1].n_active_
    2
    """

    scale_: NDArray[np.float64]

    def __init__(self, depth: float | None = 0.8, loose: float = 1.0, n_orient: int = 1) -> None:
        self.depth = depth
        self.loose = loose
        self.n_orient = n_orient

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Learn the scale of the features.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_positions * n_orient)
            Samples: the features of a position lie side by side. Single precision stays single.
        y : object, default=None
            Ignored.

        Returns
        -------
        self : SourceWeighting
            The fitted transformer.

        Raises
        ------
        TypeError, ValueError
            If a hyperparameter or the data are not valid, or weights are infinite.
        """
        X = check_features(X, partial(validate_data, self), ensure_all_finite=True)
        n_orient = check_n_orient(self.n_orient, X.shape[1])
        depth = check_real("depth", self.depth, 0, math.inf, optional=True)
        loose = check_real("loose", self.loose, 0, 1, interval="[]")
        if n_orient != 3 and loose != 1:
            raise ValueError(
                f"loose={loose:g} needs n_orient=3, two tangential orientations and the normal, "
                f"got n_orient={n_orient}: set loose=1, or n_orient=3 if X has three orientations."
            )
        with self._report(X, y):
            self.scale_ = self._compute_scale(X, depth, loose, n_orient)
        return self

    @staticmethod
    def _compute_scale(X, depth, loose, n_orient):
        """Compute the factors of the columns."""
        used = slice(None)
        if loose == 0:
            used, n_orient = slice(2, None, 3), 1
        gain = X[:, used].astype(np.float64, copy=False)
        with np.errstate(over="ignore"):
            norm = np.linalg.norm(gain)
        if not 0 < norm < np.inf:
            raise ValueError(
                f"X{', in the columns of normals,' * (loose == 0)} has the norm {norm:g}, so that "
                "no weights can be computed. Check the gain, and its unit."
            )
        loose = np.full(gain.shape[1] // n_orient, loose)
        orient_prior = compute_orient_prior(loose, n_orient)
        depth_prior = compute_depth_prior(gain, n_orient, exp=depth) if depth else 1.0
        scale = np.zeros(X.shape[1])
        scale[used] = compute_source_scale(gain, orient_prior, depth_prior)
        return scale

    def transform(self, X: ArrayLike) -> NDArray[Any]:
        """Multiply the features by their scale.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        X_weighted : ndarray of shape (n_samples, n_features)
            The weighted samples, a new array.
        """
        check_is_fitted(self)
        validate = partial(validate_data, self, reset=False)
        X = check_features(X, validate, ensure_all_finite=True)
        return (X * self.scale_).astype(X.dtype, copy=False)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def compute_depth_prior(gain, n_orient, *, exp, combine_xyz="fro", limit=None, exact_limit=False):
    """Compute the prior variances that compensate for the depth of positions."""
    power = _compute_power(gain, n_orient, combine_xyz)
    # A position may have no field at all, such as the centre of a sphere.
    power[power == 0.0] = power[power > 0.0].min(initial=np.inf)
    with _silent_overflow():
        variance = 1.0 / power
        if limit is not None:
            highest = limit**2 * variance.min()
            if not exact_limit:
                highest = variance[variance > highest].min(initial=variance.max())
            variance = np.minimum(variance, highest)
        return np.repeat(variance**exp, gain.shape[1] // len(power))


def compute_orient_prior(loose, n_orient):
    """Compute the prior variances of orientations: less for those tangential to the surface."""
    prior = np.ones((len(loose), n_orient))
    if n_orient == 3:
        prior[:, :2] = loose[:, np.newaxis]
    return prior.ravel()


def compute_source_scale(gain, orient_prior, depth_prior=1.0):
    """Compute the factors of the columns of a gain that give sources their prior variances.

    As in MNE, the source covariance R is scaled so that trace(G R G^T), the sum of squares of the
    weighted gain, is the number of rows.
    """
    with _silent_overflow():
        prior = orient_prior * depth_prior
        power = _compute_power(gain, 1, False) @ prior
        scale = np.sqrt(prior) * np.sqrt(len(gain) / power)
    if not np.isfinite(scale).all() or not scale.any():
        raise ValueError("depth gives weights that are infinite, NaN or zero. Lower the exponent.")
    return scale


def _silent_overflow():
    """Make a context without warnings of infinite numbers: the scale is checked for these."""
    return np.errstate(divide="ignore", over="ignore", invalid="ignore")


def _compute_power(gain, n_orient, combine_xyz):
    """Compute the squared norm of the block of every position, or of every column."""
    if combine_xyz == "spectral" and n_orient > 1:
        blocks = gain.reshape(len(gain), -1, n_orient)
        gram = np.einsum("cpi,cpj->pij", blocks, blocks)
        return np.linalg.eigvalsh(gram)[:, -1]
    power = np.einsum("cf,cf->f", gain, gain)
    return power if combine_xyz is False else power.reshape(-1, n_orient).sum(axis=1)
