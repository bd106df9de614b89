"""The columns of ``X`` by blocks, and the bounds of their correlations with a residual."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .objective import compute_block_norms, compute_columns
from .threads import map_chunks

# Minimum number of positions in a chunk of a product.
_CHUNK = 512
# Number of products with X after which a copy in single precision saves more time than it takes.
_COPY_AFTER = 2.0
# Maximum number of samples for which products in single precision are accurate enough.
_MAX_SAMPLES_SINGLE = 5000
# Share of the threshold that the targets left out of a product may reach, ...
_TAIL = 0.3
# ... and share of the residual that they may have if the maximum is searched for.
_TAIL_OF_MAXIMUM = 0.02


class BlockDesign:
    """Blocks of ``n_orient`` columns of ``X``, each scaled by the weight of its position.

    ``X`` is not changed. In single precision, it is never converted as a whole. In double
    precision, products with all of ``X``, except for the first, use a copy in single precision.

    Attributes
    ----------
    n_positions : int
        Number of blocks.
    n_products : float
        Number of products so far of the whole of ``X`` with a matrix like ``y``. A product with a
        part of the targets or positions counts as that fraction.
    """

    def __init__(self, X, n_orient=1, scale=None):
        self.X = X
        self.n_orient = n_orient
        self.n_positions = X.shape[1] // n_orient
        self.scale = scale
        self.n_products = 0.0

    @cached_property
    def norms(self):
        """The Frobenius norm of each scaled block, shape (n_positions,)."""
        norms = self._unscaled_norms
        return norms if self.scale is None else norms * self.scale

    @cached_property
    def _unscaled_norms(self):
        norms = np.empty(self.n_positions)

        def fill(chunk):
            with np.errstate(over="ignore", invalid="ignore"):
                columns = self.X[:, self._columns_of(chunk)].astype(np.float64, copy=False)
                norms[chunk] = compute_block_norms(columns.T, self.n_orient)

        self._map_chunks(fill, self.n_positions)
        if not np.isfinite(norms).all():
            raise_not_finite(self.X)
        return norms

    @cached_property
    def largest_norm(self):
        """The largest spectral norm of a scaled block."""
        largest = 0.0
        # The Frobenius norm bounds the spectral norm: only a few of the largest are needed.
        for position in np.argsort(-self.norms, kind="stable"):
            if self.norms[position] <= largest:
                break
            largest = max(largest, np.linalg.norm(self.columns(np.array([position])), ord=2))
        return float(largest)

    @cached_property
    def grams(self):
        """``X_g^T X_g`` of each block, not scaled, shape (n_positions, n_orient, n_orient)."""
        grams = np.empty((self.n_positions, self.n_orient, self.n_orient))

        def fill(chunk):
            columns = self.X[:, self._columns_of(chunk)].astype(np.float64, copy=False)
            blocks = columns.T.reshape(-1, self.n_orient, len(columns))
            grams[chunk] = blocks @ blocks.swapaxes(1, 2)

        self._map_chunks(fill, self.n_positions, self.n_orient)
        return grams

    def multiply(self, rows):
        """Compute ``X^T rows``, not scaled, shape (n_positions * n_orient, n_columns)."""
        products = np.empty((self.X.shape[1], rows.shape[1]))
        left = np.ascontiguousarray(rows.T)

        def fill(chunk):
            columns = self._columns_of(chunk)
            products[columns] = (left @ self.X[:, columns].astype(np.float64, copy=False)).T

        self._map_chunks(fill, self.n_positions, rows.shape[1])
        return products

    def columns(self, positions):
        """Return the scaled columns of some positions, float64 and Fortran ordered."""
        columns = self._pick(positions)
        if self.scale is not None:
            columns *= np.repeat(self.scale[positions], self.n_orient)
        return columns

    def correlate(self, residual, threshold=None, known=None, positions=None):
        """Bound ``||X_g^T residual||_F`` from above.

        Low-passed recordings have few independent time points. With the targets in descending order
        of energy, the last ones are so weak that ``||X_g|| ||tail||`` bounds their contribution.
        Only the others are multiplied; in single precision, a bound of the rounding is added [1]_.
        Bounds are replaced by exact values if they do not decide what the maximum is, or whether
        the threshold is exceeded.

        References
        ----------
        .. [1] Higham (2002). Accuracy and stability of numerical algorithms, section 3.1. SIAM.
        """
        n_head, tail = self._split_targets(residual, threshold)
        head = residual[:, :n_head]
        norms = self.norms if positions is None else self.norms[positions]
        if positions is None:
            products, rounding = self._multiply_all(head)
        else:
            products, rounding = self._multiply(head, positions), 0.0
        lower, upper = products - rounding, products + rounding
        bounds = np.hypot(upper, norms * tail)
        if known is not None:
            lower[known[0]] = bounds[known[0]] = known[1]
        decisive = max(threshold or 0.0, lower.max(initial=0.0))
        open_ = np.flatnonzero((bounds > lower) & (bounds > decisive))
        bounds[open_] = self._multiply(residual, open_ if positions is None else positions[open_])
        n_made = n_head / residual.shape[1] * len(bounds) + len(open_)
        self.n_products += n_made / self.n_positions
        return bounds

    def _split_targets(self, residual, threshold):
        """Return how many targets to multiply, and the norm of the others."""
        energy = np.einsum("ij,ij->j", residual, residual)
        tails = np.sqrt(np.append(np.cumsum(energy[::-1])[::-1], 0.0))
        if len(energy) == 1:
            return 1, 0.0
        if threshold is None:
            allowed = _TAIL_OF_MAXIMUM * tails[0]
        else:
            allowed = _TAIL * threshold / self.norms.max()
        n_head = int(np.argmax(tails <= allowed))
        return n_head, tails[n_head]

    def _multiply(self, residual, positions):
        """Compute ``||X_g^T residual||_F`` of some positions."""
        norms = np.empty(len(positions))
        # In this order, BLAS is twice as fast as with X transposed.
        rows = np.ascontiguousarray(residual.T)

        def fill(chunk):
            norms[chunk] = compute_block_norms(
                (rows @ self._pick(positions[chunk])).T, self.n_orient
            )

        self._map_chunks(fill, len(norms), residual.shape[1])
        return norms if self.scale is None else norms * self.scale[positions]

    def _multiply_all(self, residual):
        """Compute ``||X_g^T residual||_F`` of all positions, and bounds of the rounding errors."""
        norms, size = np.zeros(self.n_positions), np.linalg.norm(residual)
        if size == 0.0:
            return norms, norms
        is_short = len(residual) <= _MAX_SAMPLES_SINGLE
        X, unit = self.X, 2.0 ** np.clip(self._exponent, -100, 100)
        if is_short and X.dtype != np.float32 and self.n_products >= _COPY_AFTER:
            X, unit = self._single
        dtype = np.float32 if is_short and X.dtype == np.float32 else np.float64
        # Products of the order of one at most: nothing overflows.
        rows = residual.T / size * (1.0 if X.dtype != self.X.dtype else 1.0 / unit)
        with np.errstate(under="ignore"):
            rows = np.ascontiguousarray(rows, dtype=dtype)

        def fill(chunk):
            columns = X[:, self._columns_of(chunk)].astype(dtype, copy=False)
            with np.errstate(under="ignore"):
                products = rows @ columns
            norms[chunk] = compute_block_norms(
                products.astype(np.float64, copy=False).T, self.n_orient
            )

        self._map_chunks(fill, self.n_positions, residual.shape[1])
        # The error of a sum of n products is at most n roundings of ||x|| ||r|| [1]_, plus what is
        # lost by underflow. The bound includes a safety factor of four.
        n_samples, n_targets = residual.shape
        n_terms = n_samples + n_targets * self.n_orient + 10
        lost = np.sqrt(n_targets * self.n_orient) * unit * np.finfo(dtype).tiny
        rounding = 2.0 * n_terms * (np.finfo(dtype).eps * self._unscaled_norms + 2.0 * lost)
        if self.scale is not None:
            norms, rounding = norms * self.scale, rounding * self.scale
        return norms * (unit * size), rounding * size

    @cached_property
    def _exponent(self):
        """Exponent of the power of two nearest to the largest norm: scaling by it is exact."""
        return np.round(np.log2(self._unscaled_norms.max() or 1.0))

    @cached_property
    def _single(self):
        """A copy of ``X`` in single precision, and the unit of its products."""
        unit = 2.0**self._exponent
        single = np.empty(self.X.shape, dtype=np.float32, order="F")

        def fill(chunk):
            columns = self._columns_of(chunk)
            with np.errstate(under="ignore"):
                np.divide(self.X[:, columns], unit, out=single[:, columns], casting="same_kind")

        self._map_chunks(fill, self.n_positions)
        return single, unit

    def _pick(self, positions):
        """Return the unscaled columns of some positions in double precision."""
        index = compute_columns(positions, self.n_orient)
        return np.asarray(self.X.T[index].T, dtype=np.float64)

    def _map_chunks(self, function, n_positions, n_columns=1):
        """Call a function for chunks of positions, each enough work for a thread."""
        map_chunks(function, n_positions, _CHUNK, len(self.X) * self.n_orient * n_columns)

    def _columns_of(self, positions):
        """Return the slice of the columns of a slice of positions."""
        return slice(positions.start * self.n_orient, positions.stop * self.n_orient)


def raise_not_finite(X, name="X"):
    """Raise an error that says why norms of ``X`` are not finite."""
    if np.isnan(X).any():
        raise ValueError(f"Input {name} contains NaN: leave out or impute missing values.")
    if np.isinf(X).any():
        raise ValueError(f"Input {name} contains infinity: leave out these samples or features.")
    raise ValueError(
        f"Input {name} contains values whose squares are too large: divide {name} by a constant."
    )


# Share of the positions up to which multiplying them alone is cheaper than a whole product.
_FEW = 0.2


@dataclass(frozen=True)
class Correlation:
    """Upper bounds of ``||X_g^T residual||_F`` for all positions.

    A residual that moves by ``d`` changes the norm of position ``g`` by at most ``||X_g|| ||d||``.
    Near the solution the residual hardly moves. This bound then shows that most positions are below
    the penalty, and only the others need to be multiplied.

    Attributes
    ----------
    residual : ndarray of shape (n_samples, n_targets)
        The residual.
    norms : ndarray of shape (n_positions,)
        The bound of each position for the residual that it was last multiplied with.
    drift : ndarray of shape (n_positions,)
        Upper bound on how far the residual has moved since.
    """

    residual: np.ndarray
    norms: np.ndarray
    drift: np.ndarray

    @classmethod
    def measure(cls, design, residual, threshold=None, known=None):
        """Multiply all positions with a residual."""
        norms = design.correlate(residual, threshold, known)
        return cls(residual, norms, np.zeros(len(norms)))

    def bounds(self, design):
        """Compute upper bounds of the norms for the residual, shape (n_positions,)."""
        return self.norms + design.norms * self.drift

    def follow(self, design, residual, threshold, known, candidates):
        """Return the correlation with a residual that has moved."""
        positions, known_norms = known
        drift = self.drift + np.linalg.norm(residual - self.residual)
        is_open = candidates & (self.norms + design.norms * drift > threshold)
        is_open[positions] = False
        open_ = np.flatnonzero(is_open)
        if len(open_) > _FEW * design.n_positions:
            return self.measure(design, residual, threshold, known)
        norms = self.norms.copy()
        norms[positions] = known_norms
        threshold = max(threshold, known_norms.max(initial=0.0))
        norms[open_] = design.correlate(residual, threshold, positions=open_)
        drift[positions] = drift[open_] = 0.0
        return Correlation(residual, norms, drift)
