"""A search over sets of blocks that lowers the risk inflation criterion."""

import numpy as np

from .risk_inflation import Fields

# A move has to lower the criterion or the residual by more than rounding.
_ROUNDING = 1e-9
# Columns with so little power left, given others, count as dependent on them.
_DEPENDENT = 1e-8
# Positions whose errors are computed at a time.
_FEW = 200
# Maximum number of moves of one kind: a search ends long before, unless it starts from many.
_MAX_MOVES = 1000


def search_supports(criterion, start, search=None):
    """Search for blocks with a low criterion, from those of `start` and from none.

    Each block in turn moves to where it explains most, given the others, as in alternating
    projections [1]_; then one is added or dropped, as long as that lowers the criterion. A block
    that explains no more than noise is not moved or added: otherwise the search would find where
    the noise is strongest. The level of this noise is the one specified, or that of the residual if
    that is higher. `search` replaces the default `SupportSearch`.

    References
    ----------
    .. [1] Adler, Wax & Pantazis (2024). Brain source localization by alternating projection.
       Imaging Neuroscience 2, 1-24.
    """
    search = search or SupportSearch(criterion)
    fits = [search.run(start), search.run([])]

    def judge(fit):
        return fit.criterion + criterion.find_errors(fit.positions).sum()

    if len(fits[0].positions) == len(fits[1].positions):
        return min(fits, key=lambda fit: fit.rss).positions
    return min(fits, key=judge).positions


class SupportSearch:
    """A search over sets of blocks, by the power that each block explains given the others."""

    def __init__(self, criterion):
        self.criterion, self.design, self.y = criterion, criterion.design, criterion.y
        self.products = self.design.multiply(self.y)
        n_positions, n_orient = self.design.n_positions, self.design.n_orient
        self.grams = self.design.grams
        self.sizes = np.trace(self.grams, axis1=1, axis2=2)
        self.weights = criterion.weights()
        self.is_candidate = (self.sizes > 0.0) & (self.design.norms > 0.0)
        self.shape = n_positions, n_orient, self.y.shape[1]
        self._powers, self._correlations = {}, {}

    def run(self, positions):
        """Search from some blocks: each has to lower the criterion by more than errors can."""
        fit, seen = self.criterion.fit(self.exchange(list(positions))), set()
        for _ in range(_MAX_MOVES):
            if (key := fit.positions.tobytes()) in seen:
                break
            seen.add(key)
            other = self.drop(fit) or self.add(fit)
            if other is None:
                break
            fit = other
        return fit

    def drop(self, fit):
        """Drop the block that lowers the criterion least, if this is too little."""
        positions, best = list(fit.positions), None
        least = 0.0
        for k, error in enumerate(self.criterion.find_errors(fit.positions)):
            rest = positions[:k] + positions[k + 1 :]
            margin = self.criterion.fit(rest).criterion - fit.criterion - error
            if margin < least:
                least, best = margin, rest
        return None if best is None else self.criterion.fit(self.exchange(best))

    def add(self, fit):
        """Add the block that explains most beyond errors, if this is enough."""
        positions = list(fit.positions)
        if 2 * (len(positions) + 1) * self.design.n_orient > len(self.y):
            return None
        added = self.find_addition(positions)
        if added is None:
            return None
        error = self.find_errors(positions, np.array([added]))[0]
        other = self.criterion.fit([*positions, added])
        is_worse = fit.criterion - other.criterion <= error + _ROUNDING * abs(fit.criterion)
        cost = other.safe_cost / self.weights[added] ** 2
        if is_worse or fit.rss - other.rss - error < cost:
            return None
        return self.criterion.fit(self.exchange([*positions, added]))

    def find_addition(self, positions):
        """Find the block that explains most beyond errors in the columns of the others."""
        powers = self.measure(positions)
        order, best, most = np.argsort(-powers, kind="stable"), None, -np.inf
        # Errors only lower the power explained, so most blocks cannot be the best.
        for few in np.split(order, range(_FEW, len(order), _FEW)):
            if powers[few[0]] <= most:
                break
            gains = powers[few] - self.find_errors(positions, few)
            if gains.max() > most:
                best, most = int(few[np.argmax(gains)]), gains.max()
        return best

    def exchange(self, positions):
        """Move each block stronger than noise to where it explains most, given the others."""
        for _ in range(_MAX_MOVES):
            has_moved = False
            for k, position in enumerate(positions):
                others, fit = positions[:k] + positions[k + 1 :], self.criterion.fit(positions)
                cost = fit.safe_cost / self.weights[position] ** 2
                if self.criterion.fit(others).rss - fit.rss < cost:
                    continue
                powers = self.measure(others)
                best = int(np.argmax(powers))
                if powers[best] > powers[position] * (1.0 + _ROUNDING):
                    positions[k], has_moved = best, True
            if not has_moved:
                break
        return positions

    def measure(self, positions):
        """Compute the power that each block explains given others, minus the cost of its weight."""
        key = tuple(sorted(positions))
        if key not in self._powers:
            self._powers[key] = self._measure(key)
        return self._powers[key]

    def _measure(self, positions):
        products, grams = self.project(positions)
        if self.shape[1] == 1:
            powers = np.sum(products[:, 0] ** 2, axis=-1) / grams[:, 0, 0]
        else:
            solved = np.linalg.solve(grams, products @ products.swapaxes(1, 2))
            powers = np.trace(solved, axis1=1, axis2=2)
        if self.design.scale is not None:
            cost = self.criterion.fit(positions).cost
            powers[self.is_candidate] -= cost * (1 / self.weights[self.is_candidate] ** 2 - 1)
        powers[~self.is_candidate] = -np.inf
        powers[list(positions)] = -np.inf
        return powers

    def project(self, positions, few=slice(None)):
        """Return products with the data and Gram matrices of blocks, with others projected out."""
        products, grams = self.products.reshape(self.shape)[few], self.grams[few]
        if len(positions):
            columns = self.design.columns(np.array(positions))
            basis, mixing = _find_basis(columns)
            coordinates = np.hstack([self.correlate(k, few) for k in positions]) @ mixing
            products = products - (coordinates @ (basis.T @ self.y)).reshape(products.shape)
            coordinates = coordinates.reshape(*products.shape[:2], -1)
            grams = grams - coordinates @ coordinates.swapaxes(1, 2)
        ridge = np.where(self.sizes > 0.0, _DEPENDENT * self.sizes, 1.0)[few]
        return products, grams + ridge[:, np.newaxis, np.newaxis] * np.eye(self.shape[1])

    def correlate(self, position, few=slice(None)):
        """Compute the products of all columns, or those of few blocks, with those of one block."""
        if position not in self._correlations:
            columns = self.design.columns(np.array([position]))
            self._correlations[position] = self.design.multiply(columns)
        products = self._correlations[position]
        return products.reshape(*self.shape[:2], -1)[few].reshape(-1, products.shape[1])

    def find_errors(self, positions, few):
        """Compute the power that few blocks may explain of errors in the columns of others."""
        if not positions or self.criterion.largest_error == 0.0:
            return np.zeros(len(few))
        products, grams = self.project(positions, few)
        explained = np.linalg.solve(np.linalg.cholesky(grams), products)
        fields = Fields(self.design.columns(np.array(positions)), self.y, self.shape[1])
        courses = fields.find_courses(self.criterion.largest_error)
        cosines = [self.find_cosines(positions[k], few) for k in courses.owners]
        return courses.explain(explained, np.transpose(cosines))

    def find_cosines(self, position, few):
        """Compute the cosines of few blocks with the span of one block."""
        _, mixing = _find_basis(self.design.columns(np.array([position])))
        coordinates = self.correlate(position, few) @ mixing
        shares = np.sum(coordinates**2, axis=1).reshape(len(few), -1).sum(axis=1)
        sizes = self.sizes[few]
        return np.sqrt(shares / np.where(sizes > 0.0, sizes, 1.0))


def _find_basis(columns):
    """Return an orthonormal basis of columns, and the matrix that maps the columns to it."""
    basis, sizes, right = np.linalg.svd(columns, full_matrices=False)
    kept = sizes > _DEPENDENT * sizes[0]
    return basis[:, kept], right[kept].T / sizes[kept]
