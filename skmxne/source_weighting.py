"""Depth and orientation weighting as a transformer, to be searched with other hyperparameters."""

from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .arrays import check_features
from .depth_weighting import compute_depth_prior, compute_orient_prior, compute_source_scale
from .parameters import check_parameters
from .progress import ProgressMixin
from .representation import RepresentationMixin


class SourceWeighting(
    RepresentationMixin, ProgressMixin, OneToOneFeatureMixin, TransformerMixin, BaseEstimator
):
    """Scale the features of a gain, to favour deep positions and normal orientations.

    Sensors see deep positions less than shallow ones, so that a penalty on amplitudes puts sources
    too near to the sensors: depth weighting makes up for that [1]_. Currents of the cortex are
    nearly normal to its surface: a loose orientation constraint makes others more costly [2]_.
    Column ``o`` of block ``g`` is multiplied by::

        scale_[g, o] = c * sqrt(loose_o) * ||X_g||_F ** -depth

    where ``loose_o`` is ``loose`` for the first two of three orientations, else 1, and ``c`` makes
    ``||X * scale_||_F^2`` the number of samples. Norms are those of the samples that `fit` sees,
    so that in cross-validation each fold has its own.

    Parameters
    ----------
    depth : float, default=0.8
        Exponent of depth weighting: 1 gives all blocks the same norm, 0 or None leaves them.
    loose : float in [0, 1], default=1.0
        Variance of the first two of three orientations, which are tangential to the surface,
        relative to that of the third, which is normal to it. 1 is free orientation. 0 is fixed
        orientation: tangential columns become zero, and only normal ones count for depth. Where
        ``n_orient`` is not 3, or positions are in volumes, which have no normals, leave it at 1.
    n_orient : int, default=1
        Features per position, in order: 1 for fixed, 3 for loose or free orientation, as for the
        model that follows.

    Attributes
    ----------
    scale_ : ndarray of shape (n_features,)
        What columns are multiplied by. Blocks of zeros get what the weakest of the others gets.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen in `fit`, where they are all strings.

    See Also
    --------
    skmxne.InverseProblem : Weights its ``X`` in the same way, once and for all. Made with
        ``depth=None, loose=1`` it leaves that to this transformer, and takes a Pipeline of it and
        a model, or a search over such, for a model.

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
            If a hyperparameter or the data are not valid, or weights infinite.
        """
        X = check_features(X, partial(validate_data, self), ensure_all_finite=True)
        params = check_parameters(self.get_params(), X.shape[1])
        with self._report(X, y):
            self.scale_ = self._compute_scale(X, **params)
        return self

    @staticmethod
    def _compute_scale(X, depth, loose, n_orient):
        """Compute what columns are multiplied by."""
        used = slice(None)
        if loose == 0:
            used, n_orient = slice(2, None, 3), 1
        gain = X[:, used].astype(np.float64, copy=False)
        with np.errstate(over="ignore"):
            norm = np.linalg.norm(gain)
        if not 0 < norm < np.inf:
            raise ValueError(
                f"X{', in the columns of normals,' * (loose == 0)} has the norm {norm:g}: no "
                "weight can be learned from that. Check the gain, and its unit."
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
