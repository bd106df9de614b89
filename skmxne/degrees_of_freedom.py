"""How many parameters a fit has really used: exact degrees of freedom."""

import numpy as np
from scipy.linalg import cho_factor, cho_solve


def compute_degrees_of_freedom(
    X, coef, penalty, *, n_orient=1, n_targets=None, reweighting_scale=None
):
    """Compute the degrees of freedom of a mixed-norm fit from its solution.

    They are the divergence of the fit ``y -> X W(y)``: what Stein's unbiased risk estimate (SURE)
    and information criteria need. By the implicit function theorem ``W`` changes with ``y``
    through the Hessian of the objective on the active positions, whose Kronecker structure leaves
    systems in the features and in the positions of the active set alone. For the group lasso
    see [1]_.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_active * n_orient)
        Columns of the active positions.
    coef : ndarray of shape (n_active * n_orient, n_rank)
        Coefficients of the active positions before debiasing, none of them zero as a block. The
        targets may be reduced to their rank by a rotation.
    penalty : float
        Regularization strength, absolute.
    n_orient : int, default=1
        Columns of a block.
    n_targets : int, default=None
        The true number of targets, where they are reduced. None: ``n_rank``.
    reweighting_scale : float, default=None
        The amplitude ``u`` of the penalty ``penalty * sum_g sqrt(u ||W_g||_F)``, for a fixed point
        of the reweighting. None: the convex ``penalty * sum_g ||W_g||_F``.

    Returns
    -------
    dof : float
        Degrees of freedom.

    Notes
    -----
    With ``r_g = ||W_g||_F``, the penalty ``phi(r_g)`` has the Hessian
    ``c_g (I - k w_g w_g^T / r_g^2)``, where ``c_g = phi'(r_g) / r_g`` and ``k`` is 1 for the norm,
    3/2 for its square root. With ``Q = X^T X``, ``P = Q + diag(c_g)``, and ``s(Z)`` the sums over
    the blocks of ``Z * (W W^T)``, ::

        dof = n_targets tr(Q P^-1) + tr[(diag(r_g^2 / (k c_g)) - s(P^-1))^-1 s(P^-1 Q P^-1)]

    References
    ----------
    .. [1] Vaiter, Deledalle, Peyré, Fadili & Dossal (2012). The degrees of freedom of the group
       lasso. ICML Workshop on Sparsity, Dictionaries and Projections in Machine Learning.
    """
    n_active = len(coef) // n_orient
    if n_targets is None:
        n_targets = coef.shape[1]
    if n_active == 0:
        return 0.0
    if penalty == 0.0:
        return float(n_targets * np.linalg.matrix_rank(X))
    norms = np.sqrt((coef**2).reshape(n_active, -1).sum(axis=1))
    if reweighting_scale is None:
        curvature, excess = penalty / norms, 1.0
    else:
        curvature, excess = penalty * np.sqrt(reweighting_scale) / (2.0 * norms**1.5), 1.5

    def sum_blocks(matrix):
        weighted = (matrix * (coef @ coef.T)).reshape(n_active, n_orient, n_active, n_orient)
        return weighted.sum(axis=(1, 3))

    gram = X.T @ X
    factor = cho_factor(gram + np.diag(np.repeat(curvature, n_orient)), lower=True)
    inverse = cho_solve(factor, np.eye(len(gram)))
    hat = cho_solve(factor, gram)
    system = np.diag(norms**2 / (excess * curvature)) - sum_blocks(inverse)
    moved = np.linalg.solve(system, sum_blocks(hat @ inverse))
    return float(n_targets * np.trace(hat) + np.trace(moved))
