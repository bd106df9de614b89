"""Where the sources are: the default with and without its search, on eleven kinds of recordings.

``python benchmarks/study_search.py --output docs`` takes 10 to 20 minutes. It simulates whitened
data on the gain of a recorded subject (``SKMXNE_SAMPLE_DIR`` names the folder that has it: 305 MEG
sensors, 7783 positions), 0.1 s of 50 trials, and localizes them by ``MixedNormIC`` with and without
its search, and by alternating projections that are told the number of sources (Adler, Wax &
Pantazis 2024). It writes a table. ``--loose`` takes three orientations for all kinds, loose 0.2.

``--ablations`` compares variants of the search, on the draws that it was tuned on.

Found and true sources are matched one to one. F1 counts pairs nearer than 10 mm; OSPA is the mean
distance of pairs in mm, where one without a partner counts 50 mm.
"""

import argparse
import os
import time
import warnings
from functools import cache
from pathlib import Path

import mne
import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_limits

from skmxne import InverseProblem, MixedNormEstimator, MixedNormIC
from skmxne.model_selection.risk_inflation import RiskInflation, compute_largest_power
from skmxne.model_selection.support_search import SupportSearch, search_supports
from skmxne.solvers.design import BlockDesign

N_TRIALS = 50
SFREQ = 600.6
TIMES = np.arange(61) / SFREQ
FIRST_SEED = 1000  # those below are for tuning
LEVELS = dict(noise_variance=1.0, target_covariance=None, model_error=0.03)
KINDS = {
    "a": "1 to 4 sources, white noise",
    "b": "noise low-passed at 40 Hz",
    "c1": "sources halfway between two positions",
    "c2": "every third position, sources at others",
    "d": "all with the same time course",
    "e": "two sources 15 to 25 mm apart",
    "f": "patches of 1 cm",
    "g": "tilted by 20 degrees, loose 0.2",
    "h": "10 nAm instead of 30",
    "i": "200 weak brain sources in the noise",
    "j": "sphere model, head 3 mm and 2 degrees off",
    "0": "white noise alone",
    "0b": "low-passed noise alone",
}
METHODS = ("path", "search", "told")


def main():
    """Run the study, and write its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-draws", type=int, default=12, help="recordings of each kind (12)")
    parser.add_argument("--n-noise", type=int, default=50, help="of each kind of noise alone (50)")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--loose", action="store_true", help="three orientations for all kinds")
    parser.add_argument("--ablations", action="store_true", help="variants, on tuning draws")
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("bench-output"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    localize = find_by_variants if arguments.ablations else find_by_methods
    first = 0 if arguments.ablations else arguments.first_seed
    tasks = [
        (kind, seed, arguments.loose, localize)
        for kind in arguments.kinds
        for seed in range(first, first + count_draws(kind, arguments))
    ]
    rows = Parallel(n_jobs=arguments.n_jobs, backend="multiprocessing", batch_size=1)(
        delayed(run_draw)(*task) for task in tasks
    )
    draws = pd.DataFrame([row for some in rows for row in some])
    name = "study_search_ablations" if arguments.ablations else "study_search"
    make_table = compare_variants if arguments.ablations else compare_methods
    table = make_table(draws)
    table.to_csv(arguments.output / f"{name}{'_loose' * arguments.loose}.csv", index=False)
    print(table.to_string(index=False))


def count_draws(kind, arguments):
    """Return how many recordings of a kind to draw."""
    if kind.startswith("0"):
        return 0 if arguments.ablations else arguments.n_noise
    return arguments.n_draws


def run_draw(kind, seed, is_loose, localize):
    """Localize one recording by all methods, and return a row for each."""
    mne.set_log_level("ERROR")
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        recording = simulate(kind, seed, is_loose)
        found, seconds = localize(recording, kind)
        found["told"] = project_alternately(recording, len(recording.sources))
    rows = []
    for name, positions in found.items():
        f1, ospa = judge(recording.locations[positions], recording.sources)
        rows.append(
            dict(
                kind=kind,
                seed=seed,
                method=name,
                f1=f1,
                ospa=ospa,
                n_more=len(positions) - len(recording.sources),
                seconds=seconds.get(name, np.nan),
            )
        )
    return rows


def find_by_methods(recording, _):
    """Find sources by the default, with and without its search, and say how long each takes."""
    found, seconds = {}, {}
    for name in ("path", "search"):
        start = time.perf_counter()
        model = MixedNormIC(n_orient=recording.n_orient, refine=name == "search")
        model.fit(recording.X, recording.y)
        seconds[name] = time.perf_counter() - start
        found[name] = recording.find_active(model)
    return found, seconds


def find_by_variants(recording, kind):
    """Find sources by variants of the search, from the path that the default makes."""
    X, y, n_orient = recording.X, recording.y, recording.n_orient
    path = recording.find_active(MixedNormIC(n_orient=n_orient, refine=False).fit(X, y))
    design = BlockDesign(X, n_orient)
    # Weights of depth 1: all blocks have one norm.
    deeper = X / np.repeat(design.norms, n_orient)
    path_of_deeper = recording.find_active(
        MixedNormIC(n_orient=n_orient, refine=False).fit(deeper, y)
    )
    criterion = RiskInflation(design, y, **LEVELS)
    exact = RiskInflation(design, y, **(LEVELS | dict(model_error=0.0)))
    floor = LEVELS["model_error"] * compute_largest_power(design, y, np.arange(design.n_positions))
    one_floor = RiskInflation(design, y, **(LEVELS | dict(model_error=0.0)), floor=floor)
    covariance = compute_noise_covariance(kind)
    told_noise = RiskInflation(design, y, **(LEVELS | dict(target_covariance=covariance)))
    search = SupportSearch(criterion)
    return {
        "path": path,
        "search": search_supports(criterion, path),
        "exchange only": search.exchange(list(path)),
        "from the path only": search.run(path).positions,
        "from nothing only": search.run([]).positions,
        "from type-II reweighting": search_supports(criterion, reweight_by_evidence(recording)),
        "depth 1, path": path_of_deeper,
        "depth 1, search": search_supports(
            RiskInflation(BlockDesign(deeper, n_orient), y, **LEVELS), path_of_deeper
        ),
        "no allowance for errors": search_supports(exact, path),
        "one allowance for all": search_supports(one_floor, path),
        "covariance across times told": search_supports(told_noise, path),
        "prior on amplitude and orientation": search_supports(
            criterion, path, SearchWithPrior(criterion)
        ),
    }, {}


class SearchWithPrior(SupportSearch):
    """A search where large amplitudes, and those along less likely orientations, explain less.

    A ridge by the weights of the gain, for fields as strong as what the strongest explains.
    """

    def __init__(self, criterion):
        super().__init__(criterion)
        design, y = criterion.design, criterion.y
        largest = compute_largest_power(design, y, np.arange(design.n_positions))
        self.prior = y.shape[1] / largest * self.sizes

    def project(self, positions, few=slice(None)):
        """Add a ridge to Gram matrices."""
        products, grams = super().project(positions, few)
        ridge = self.prior[few]
        return products, grams + ridge[:, np.newaxis, np.newaxis] * np.eye(self.shape[1])


def reweight_by_evidence(recording, n_times=13):
    """Find the positions of weighted mixed norms that majorize the evidence (type II).

    ``min 1/2 ||y - X W||^2 + sum_g w_g ||W_g||`` with ``w_g^2 = K tr(X_g' S^-1 X_g)``,
    ``S = I + X G X'`` and the variances ``||W_g|| / w_g`` in ``G`` (Wipf & Nagarajan 2010).
    """
    X, y, n_orient = recording.X, recording.y, recording.n_orient
    n_targets = y.shape[1]
    inverse = np.eye(len(X))
    for _ in range(n_times):
        traces = np.sum(X * (inverse @ X), axis=0).reshape(-1, n_orient).sum(axis=1)
        weights = np.sqrt(n_targets * traces)
        columns = X / np.repeat(weights, n_orient)
        largest = np.linalg.norm((columns.T @ y).reshape(len(weights), -1), axis=1).max()
        if largest <= 1.0:
            return np.empty(0, dtype=int)
        model = MixedNormEstimator(100.0 / largest, n_orient=n_orient, debias=False)
        model.fit(columns, y)
        coef = model.coef_.T / np.repeat(weights, n_orient)[:, np.newaxis]
        norms = np.linalg.norm(coef.reshape(len(weights), -1), axis=1)
        active = np.flatnonzero(np.repeat(norms > 0.0, n_orient))
        variances = np.repeat(norms / weights, n_orient)[active]
        inverse = np.linalg.inv(np.eye(len(X)) + (X[:, active] * variances) @ X[:, active].T)
    return np.flatnonzero(norms)


def judge(found, sources, near=0.01, cut=0.05):
    """Compute F1 and OSPA, in mm."""
    if not len(found) and not len(sources):
        return 1.0, 0.0
    if not len(found) or not len(sources):
        return 0.0, 1e3 * cut
    distances = cdist(found, sources)
    pairs = linear_sum_assignment(np.where(distances < near, distances - 1.0, 0.0))
    n_right = np.count_nonzero(distances[pairs] < near)
    pairs = linear_sum_assignment(np.minimum(distances, cut))
    total = np.minimum(distances, cut)[pairs].sum() + cut * abs(len(found) - len(sources))
    return 2 * n_right / (len(found) + len(sources)), 1e3 * total / max(distances.shape)


class Recording:
    """Whitened data and gain, and the true locations of the sources."""

    def __init__(self, gain, n_orient, y, locations, sources):
        self.X = np.asfortranarray(gain * _weight(gain, n_orient))
        self.n_orient, self.y = n_orient, y
        self.locations, self.sources = locations, sources

    def find_active(self, model):
        """Return the active positions of a model."""
        return np.flatnonzero(model.active_set_.reshape(-1, self.n_orient).any(axis=1))


def _weight(gain, n_orient, depth=0.8, loose=0.2):
    """Return the weights of depth and, of three orientations, of a loose constraint."""
    powers = np.sum(gain**2, axis=0).reshape(-1, n_orient)
    weights = np.repeat(powers.sum(axis=1) ** (-depth / 2), n_orient)
    if n_orient == 3:
        weights *= np.tile(np.sqrt([loose, loose, 1.0]), len(powers))
    return weights


@cache
def load_problem(picks="meg"):
    """Return the problem of a recorded average, loose and without depth weights, and its info."""
    folder = Path(os.environ["SKMXNE_SAMPLE_DIR"])
    evoked = mne.read_evokeds(folder / "sample-auditory-ave.fif", condition=0, baseline=(None, 0))
    if picks == "eeg":
        evoked.set_eeg_reference(projection=True)
    forward = mne.read_forward_solution(folder / "sample-cortex-7783-fwd.fif")
    noise_cov = mne.read_cov(folder / "sample-cov.fif")
    evoked.pick(picks)
    problem = InverseProblem.from_evoked(evoked, forward, noise_cov, loose=0.2, depth=None)
    return problem, evoked.pick(problem.ch_names).info


@cache
def load_head(picks="meg"):
    """Return the whitened gain of three orientations, the positions, and their normals."""
    problem, _ = load_problem(picks)
    normals = problem.forward["source_nn"].reshape(-1, 3, 3)[:, 2]
    return problem.X / problem.source_scale, problem.locations, normals


SPHERE = dict(r0=(0.0, 0.0, 0.04), head_radius=None)


@cache
def load_sphere(*, is_moved=True):
    """Return the gain of a sphere model, the third orientation normal, not whitened.

    The head is 3 mm and 2 degrees off, unless it is not moved.
    """
    problem, info = load_problem()
    forward, info = problem.forward, info.copy()
    if is_moved:
        moved = mne.transforms.rotation(*np.deg2rad([2.0, 0.0, 0.0]))
        moved[:3, 3] = np.full(3, 0.003 / np.sqrt(3))
        info["dev_head_t"]["trans"] = moved @ info["dev_head_t"]["trans"]
    sphere = mne.make_forward_solution(
        info,
        trans=forward["mri_head_t"],
        src=forward["src"],
        bem=mne.make_sphere_model(**SPHERE),
        eeg=False,
        mindist=0.0,
    )
    sphere = mne.convert_forward_solution(sphere, surf_ori=True)
    sphere = mne.pick_channels_forward(sphere, problem.ch_names, ordered=True)
    return sphere["sol"]["data"]


def simulate(kind, seed, is_loose=False, amplitude=30e-9):
    """Simulate a recording of a kind; only kind g has loose orientations unless all are to."""
    rng = np.random.default_rng([*kind.encode(), seed])
    gain, locations, normals = load_head("eeg" if kind == "k" else "meg")
    along_normals = gain[:, 2::3]
    sources = draw_sources(rng, kind, locations, along_normals)
    fields, truth = along_normals[:, sources], locations[sources]
    if kind == "c1":
        mates = [_find_mate(rng, source, locations, normals) for source in sources]
        fields = (fields + along_normals[:, mates]) / 2
        truth = (truth + locations[mates]) / 2
    elif kind == "f":
        patches = [_find_patch(source, locations, normals) for source in sources]
        fields = np.transpose([along_normals[:, patch].mean(axis=1) for patch in patches])
    elif kind == "g":
        fields = np.transpose([gain[:, 3 * k : 3 * k + 3] @ _tilt(rng) for k in sources])
    elif kind == "j":
        columns = 3 * np.array(sources) + 2
        fields = load_problem()[0].whitener @ load_sphere()[:, columns]
    amplitude = {"f": 2 * amplitude, "h": amplitude / 3}.get(kind, amplitude)
    courses = draw_time_courses(rng, len(sources), is_same=kind == "d")
    signal = np.sqrt(N_TRIALS) * amplitude * fields @ courses
    noise = draw_noise(rng, len(gain), is_low_passed=kind in ("b", "0b"))
    is_loose |= kind == "g"
    used, n_orient = (gain, 3) if is_loose else (along_normals, 1)
    if kind == "c2":
        used = used.reshape(len(used), -1, n_orient)[:, ::3].reshape(len(used), -1)
        locations = locations[::3]
    elif kind == "i":
        brain, whiten = draw_brain_noise(rng, along_normals)
        noise = whiten @ (noise + brain @ rng.standard_normal((brain.shape[1], noise.shape[1])))
        signal, used = whiten @ signal, whiten @ used
    if kind.startswith("0"):
        signal, truth = 0.0, truth[:0]
    return Recording(used, n_orient, signal + noise, locations, truth)


def draw_sources(rng, kind, locations, gain):
    """Draw 1 to 4 positions at least 4 cm apart, but for a tenth whose field is weakest."""
    norms = np.linalg.norm(gain, axis=0)
    allowed = norms > np.quantile(norms, 0.1)
    if kind == "c2":
        allowed &= np.arange(len(locations)) % 3 > 0
    sources = [rng.choice(np.flatnonzero(allowed))]
    distances = np.linalg.norm(locations - locations[sources[0]], axis=1)
    if kind == "e":
        return [
            *sources,
            rng.choice(np.flatnonzero(allowed & (distances > 0.015) & (distances < 0.025))),
        ]
    for _ in range(rng.integers(0, 4)):
        allowed &= distances > 0.04
        sources.append(rng.choice(np.flatnonzero(allowed)))
        distances = np.linalg.norm(locations - locations[sources[-1]], axis=1)
    return sources


def _find_mate(rng, source, locations, normals):
    """Return a neighbour 4 to 9 mm away on the same wall of the cortex, or the nearest."""
    distances = np.linalg.norm(locations - locations[source], axis=1)
    is_alike = normals @ normals[source] > 0.8
    mates = np.flatnonzero((distances > 0.004) & (distances < 0.009) & is_alike)
    return rng.choice(mates) if len(mates) else np.argsort(distances)[1]


def _find_patch(source, locations, normals):
    """Return the positions within 1 cm on the same wall of the cortex."""
    distances = np.linalg.norm(locations - locations[source], axis=1)
    return np.flatnonzero((distances < 0.01) & (normals @ normals[source] > 0.0))


def _tilt(rng, angle=20.0):
    """Return an orientation at an angle to the normal, in degrees."""
    tilt, turn = np.deg2rad(angle), rng.uniform(0, 2 * np.pi)
    return np.array([np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn), np.cos(tilt)])


def draw_time_courses(rng, n_sources, is_same):
    """Draw waves of 5 to 12 Hz with a peak of 1, one after the other in the window."""
    latencies = TIMES[-1] * np.linspace(0.2, 0.8, max(n_sources, 2))
    delays = TIMES - rng.permutation(latencies)[:n_sources, np.newaxis]
    widths = TIMES[-1] * rng.uniform(0.15, 0.3, (n_sources, 1))
    waves = np.cos(2 * np.pi * rng.uniform(5, 12, (n_sources, 1)) * delays)
    waves *= np.exp(-((delays / widths) ** 2) / 2)
    waves /= np.abs(waves).max(axis=1, keepdims=True)
    return np.tile(waves[0], (n_sources, 1)) if is_same else waves


def draw_noise(rng, n_rows, *, is_low_passed=False, band=None):
    """Draw noise of variance 1."""
    margin = 200 if band is None else 1000
    noise = rng.standard_normal((n_rows, len(TIMES) + 2 * margin))
    if is_low_passed or band:
        noise = mne.filter.filter_data(noise, SFREQ, *(band or (None, 40.0)))
        noise /= noise[:, margin:-margin].std()
    return noise[:, margin:-margin]


def draw_drifts(rng, n_rows):
    """Draw random walks of mean square 1, as slow as the time that is simulated."""
    walks = np.cumsum(rng.standard_normal((n_rows, len(TIMES))), axis=1)
    return walks / np.sqrt(np.mean(walks**2))


@cache
def compute_noise_covariance(kind):
    """Compute the covariance of noise across times, as the trials of an average show it."""
    if kind != "b":
        return np.eye(len(TIMES))
    noise = draw_noise(np.random.default_rng(0), 10_000, is_low_passed=True)
    return noise.T @ noise / len(noise)


def draw_brain_noise(rng, gain, n_sources=200):
    """Return the fields of correlated sources, half as strong as sensor noise, and a whitener."""
    mixing = np.eye(n_sources) + 0.3 * rng.standard_normal((n_sources, n_sources))
    mixing /= np.linalg.norm(mixing, axis=1, keepdims=True)
    fields = gain[:, rng.choice(gain.shape[1], n_sources, replace=False)] @ mixing
    fields *= np.sqrt(0.5 * len(gain) / np.sum(fields**2))
    return fields, np.linalg.inv(np.linalg.cholesky(np.eye(len(gain)) + fields @ fields.T))


def project_alternately(recording, n_sources):
    """Find a known number of positions, each moved in turn to where it explains most."""
    X, y, n_orient = recording.X, recording.y, recording.n_orient
    blocks = X.T.reshape(-1, n_orient, len(X))
    grams, products = blocks @ blocks.swapaxes(1, 2), (X.T @ y).reshape(len(blocks), n_orient, -1)
    ridge = 1e-8 * np.trace(grams, axis1=1, axis2=2)[:, np.newaxis, np.newaxis] * np.eye(n_orient)

    def find_best(others):
        if not others:
            rest, left = products, grams
        else:
            basis = np.linalg.qr(np.hstack([blocks[k].T for k in others]))[0]
            coordinates = (X.T @ basis).reshape(len(blocks), n_orient, -1)
            rest = products - coordinates @ (basis.T @ y)
            left = grams - coordinates @ coordinates.swapaxes(1, 2)
        powers = np.trace(
            np.linalg.solve(left + ridge, rest @ rest.swapaxes(1, 2)), axis1=1, axis2=2
        )
        powers[others] = -np.inf
        return int(np.argmax(powers))

    found = []
    for _ in range(n_sources):
        found.append(find_best(found))
        for _ in range(20):
            before = list(found)
            for k in range(len(found)):
                found[k] = find_best(found[:k] + found[k + 1 :])
            if found == before:
                break
    return found


def compare_methods(draws):
    """Return means for every kind, and paired differences of the search."""
    lines = []
    has_sources = ~draws.kind.str.startswith("0")
    groups = [*draws[has_sources].groupby("kind", sort=False), ("all", draws[has_sources])]
    for kind, part in groups:
        line = {"kind": f"{kind}: {KINDS[kind]}" if kind in KINDS else kind}
        tables = pivot(part)
        for method in METHODS:
            line[f"F1 {method}"] = f"{tables['f1'][method].mean():.2f}"
        for method in METHODS:
            line[f"OSPA {method}"] = f"{tables['ospa'][method].mean():.1f}"
        for method in ("told", "path"):
            line[f"F1 search - {method}"] = subtract(tables["f1"], "search", method)
        line["too many"] = f"{tables['n_more']['search'].mean():+.1f}"
        line["time"] = f"{tables['seconds']['search'].sum() / tables['seconds']['path'].sum():.2f}"
        lines.append(line)
    for kind, part in draws[~has_sources].groupby("kind"):
        counts = part[part.method == "search"].n_more
        print(f"{KINDS[kind]}: a source in {(counts > 0).sum()} of {len(counts)}")
    return pd.DataFrame(lines)


def compare_variants(draws):
    """Return means over the kinds for every variant, and its paired difference to the search."""
    tables = pivot(draws)
    return pd.DataFrame(
        {
            "variant": method,
            "F1": f"{tables['f1'][method].mean():.3f}",
            "OSPA": f"{tables['ospa'][method].mean():.1f}",
            "too many": f"{tables['n_more'][method].mean():+.2f}",
            "F1 - search": subtract(tables["f1"], method, "search"),
        }
        for method in draws.method.unique()
    )


def pivot(draws):
    """Return a table for each number, a recording a row and a method a column."""
    return {
        name: draws.pivot(index=["kind", "seed"], columns="method", values=name)
        for name in ("f1", "ospa", "n_more", "seconds")
    }


def subtract(table, method, other):
    """Return the mean of a paired difference, and its standard error."""
    difference = table[method] - table[other]
    return f"{difference.mean():+.3f} ± {difference.std() / np.sqrt(len(difference)):.3f}"


if __name__ == "__main__":
    main()
