"""Compare how well this package and its peers find sources.

``python benchmarks/study_selection.py --output docs`` simulates 50 recordings of each kind of
`simulated_recordings.py`, localizes each by all methods, and writes tables. Some methods are given
the number of sources. Then it localizes recorded auditory responses. On two cores it takes hours.
``SKMXNE_SAMPLE_DIR`` names the folder with the data of a recorded subject; without it the built-in
head is used, in all kinds for which that is possible.

Every localization is a row of ``--draws-file``. The study continues from that file if it was
interrupted, or if there are more draws; delete it when a package is new. A test run of minutes is
``--n-draws 1 --slow-draws 0 --no-recorded``. ``--invert NAME ...`` adds solvers of invertmeeg
(``pip install --no-deps invertmeeg``).

Found and true sources are matched one to one. For F1, pairs within 10 or 20 mm are right. OSPA (of
order 1) is the mean distance of pairs in mm; pairs farther than 50 mm apart, and sources without a
partner, count as 50 mm. Distance and amplitude error are means over a recording's pairs within
20 mm. Means over kinds have the standard error of the means of kinds.
"""

import argparse
import multiprocessing
import os
import time
import warnings
from itertools import product
from pathlib import Path

import mne
import numpy as np
import pandas as pd
from measuring import TooSlowError, time_limit
from mne.beamformer import rap_music, trap_music
from mne.inverse_sparse import gamma_map
from mne.inverse_sparse import mixed_norm as mne_mixed_norm
from mne.minimum_norm import apply_inverse, make_inverse_operator
from recorded import read_response
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from simulated_recordings import HEADS, KINDS, simulate
from threadpoolctl import threadpool_limits

from skmxne import InverseProblem, MixedNormCV, MixedNormIC

FIRST_SEED = 5000  # all tuning and earlier studies used smaller ones
DEPTH = 0.8
LIMIT = 300  # seconds, for one localization
CUT = 0.05  # m, of OSPA
CONDITIONS = ("Left Auditory", "Right Auditory")
MODEL_ERRORS = ("c1", "c2", "f", "j", "l", "m", "n")  # the truth is not among the candidates
NEW_KINDS = ("n", "k", "l", "m", "o", "p")  # not used to develop the default
SCORES = {  # titles and decimals
    "f1": ("F1", 2),
    "f1_20": ("F1, 20 mm", 2),
    "ospa": ("OSPA (mm)", 1),
    "ospa_right": ("OSPA, number right", 1),
    "distance": ("distance (mm)", 1),
    "amplitude": ("amplitude error", 2),
    "too_many": ("too many (%)", 0),
    "too_few": ("too few (%)", 0),
}
COLUMNS = ["kind", "seed", "method", "f1", "f1_20", "ospa", "distance", "amplitude", "n_more"]
COLUMNS += ["seconds", "error"]
APART = 0.01  # m, around a maximum of a distributed estimate
SHARE = 0.2  # of the largest amplitude, below which a method's sources are dropped


def fit(model):
    """Return a method that fits a model to an inverse problem and returns dipoles."""

    def localize(evoked, forward, noise_cov, loose, _):
        problem = InverseProblem.from_evoked(evoked, forward, noise_cov, loose=loose, depth=DEPTH)
        model.set_params(n_orient=problem.n_orient).fit(problem.X, problem.y)
        return read_dipoles(problem.to_dipoles(model))

    return localize


def project_alternately(evoked, forward, noise_cov, loose, n_sources):
    """Alternating projections: find sources one after the other, then move each in turn.

    As Adler, Wax & Pantazis (2024), who move each to where it explains most.
    """
    problem = InverseProblem.from_evoked(evoked, forward, noise_cov, loose=loose, depth=DEPTH)
    candidates, sources = Candidates(problem), []
    data = problem.y, candidates.blocks @ problem.y
    for _ in range(n_sources):
        sources.append(candidates.find_best(*data, sources))
    for _ in range(20):
        before = [position for position, _ in sources]
        for k in range(n_sources):
            sources[k] = candidates.find_best(*data, sources[:k] + sources[k + 1 :])
        if [position for position, _ in sources] == before:
            break
    return candidates.fit_amplitudes(sources)


def scan_truncated(evoked, forward, noise_cov, loose, n_sources):
    """TRAP-MUSIC as in the paper of Mäkelä, Stenroos, Sarvas & Ilmoniemi (2018).

    A found topography is projected out of the signal subspace, which then loses its direction of
    smallest singular value.
    """
    problem = InverseProblem.from_evoked(evoked, forward, noise_cov, loose=loose, depth=DEPTH)
    candidates, sources = Candidates(problem), []
    signal = np.linalg.svd(problem.y, full_matrices=False)[0][:, :n_sources]
    for k in range(n_sources):
        basis = candidates.find_basis(sources)
        rest = np.linalg.svd(signal - basis @ (basis.T @ signal), full_matrices=False)[0]
        rest = rest[:, : n_sources - k]
        sources.append(candidates.find_best(rest, candidates.blocks @ rest, sources))
    return candidates.fit_amplitudes(sources)


class Candidates:
    """All positions. A source is one of them and an orientation."""

    def __init__(self, problem):
        self.problem = problem
        self.blocks = problem.X.T.reshape(-1, problem.n_orient, len(problem.X))
        self.grams = self.blocks @ self.blocks.swapaxes(1, 2)
        powers = np.trace(self.grams, axis1=1, axis2=2)[:, np.newaxis, np.newaxis]
        self.grams += 1e-8 * powers * np.eye(problem.n_orient)

    def find_best(self, y, products, sources):
        """Return the source that explains most of ``y`` beside others. Products are of blocks."""
        basis = self.find_basis(sources)
        coordinates = self.blocks @ basis
        products = products - coordinates @ (basis.T @ y)
        grams = self.grams - coordinates @ coordinates.swapaxes(1, 2)
        powers = np.linalg.solve(grams, products @ products.swapaxes(1, 2))
        orientations = np.ones_like(powers)
        if powers.shape[1] > 1:
            powers, orientations = np.linalg.eig(powers)
        powers = powers.real.reshape(len(powers), -1)
        powers[[position for position, _ in sources]] = -np.inf
        best, axis = np.unravel_index(np.argmax(powers), powers.shape)
        return int(best), orientations[best, :, axis].real

    def find_basis(self, sources):
        """Return an orthonormal basis of the topographies of sources."""
        return np.linalg.qr(self.compute_topographies(sources))[0]

    def compute_topographies(self, sources):
        """Compute the whitened topographies of sources, one in each column."""
        topographies = [self.blocks[position].T @ axis for position, axis in sources]
        return np.reshape(topographies, (len(sources), len(self.problem.y))).T

    def fit_amplitudes(self, sources):
        """Return the places and the peaks of sources with amplitudes by least squares."""
        courses = np.linalg.lstsq(self.compute_topographies(sources), self.problem.y)[0]
        coef = np.zeros((self.problem.y.shape[1], *self.blocks.shape[:2]))
        for (position, orientation), course in zip(sources, courses, strict=True):
            coef[:, position] = np.outer(course, orientation)
        return read_dipoles(self.problem.to_dipoles(coef.reshape(len(coef), -1)))


def scan(function):
    """Return a method of `mne.beamformer` that is given the number of sources."""

    def localize(evoked, forward, noise_cov, loose, n_sources):
        forward = mne.convert_forward_solution(forward, surf_ori=True, force_fixed=loose == 0.0)
        average = scale(noise_cov, evoked)
        return read_dipoles(function(evoked, forward, average, n_dipoles=n_sources))

    return localize


def map_gammas(evoked, forward, noise_cov, loose, _):
    """Call `mne.inverse_sparse.gamma_map`, and drop sources below a fifth of the strongest."""
    average = scale(noise_cov, evoked)
    options = dict(alpha=1.0, loose=loose, depth=DEPTH)
    places, peaks = call_mne(gamma_map, evoked, forward, average, **options)
    is_kept = peaks > SHARE * peaks.max(initial=0.0)
    return places[is_kept], peaks[is_kept]


def call_mne(function, *objects, **options):
    """Call a function of `mne.inverse_sparse`, which raises an error if there are no sources."""
    try:
        return read_dipoles(function(*objects, return_as_dipoles=True, **options))
    except Exception as error:
        if "No active dipoles" not in str(error):
            raise
        return read_dipoles([])


def choose_by_sure(*, of_average, n_mxne_iter=1):
    """Return `mne.inverse_sparse.mixed_norm` with alpha="sure", which does not use ``nave``."""

    def localize(evoked, forward, noise_cov, loose, _):
        if of_average:
            noise_cov = scale(noise_cov, evoked)
        options = dict(alpha="sure", loose=loose, depth=DEPTH, n_mxne_iter=n_mxne_iter, rng=0)
        return call_mne(mne_mixed_norm, evoked, forward, noise_cov, **options)

    return localize


def find_dspm_peaks(evoked, forward, noise_cov, loose, n_sources):
    """Return the ``n_sources`` highest maxima of dSPM."""
    operator = make_inverse_operator(evoked.info, forward, noise_cov, loose=loose, depth=DEPTH)
    stc = apply_inverse(evoked, operator, 1.0 / 9.0, "dSPM")
    return find_peaks(stc, forward["source_rr"], n_sources)


def invert(name):
    """Return a method that takes the ``n_sources`` highest peaks of a solver of invertmeeg."""

    def localize(evoked, forward, noise_cov, loose, n_sources):
        from invert import Solver

        forward = mne.convert_forward_solution(forward, surf_ori=True, force_fixed=loose == 0.0)
        solver = Solver(name)
        solver.make_inverse_operator(forward, evoked, noise_cov=scale(noise_cov, evoked))
        stc = solver.apply_inverse_operator(evoked)
        return find_peaks(stc, forward["source_rr"], n_sources)

    return localize


# What is in parentheses is given to a method.
METHODS = {
    "skmxne": fit(MixedNormIC()),
    "skmxne, no search": fit(MixedNormIC(refine=False)),
    "skmxne, bic": fit(MixedNormIC(criterion="bic")),
    "skmxne, cv": fit(MixedNormCV(n_mxne_iter=10)),
    "alternating projections (number)": project_alternately,
    "RAP-MUSIC (number)": scan(rap_music),
    "TRAP-MUSIC (number)": scan(trap_music),
    "TRAP-MUSIC of the paper (number)": scan_truncated,
    "gamma_map": map_gammas,
    "MNE, sure": choose_by_sure(of_average=False),
    "MNE, sure, nave used": choose_by_sure(of_average=True),
    "MNE, sure, nave used, reweighted": choose_by_sure(of_average=True, n_mxne_iter=10),
    "dSPM peaks (number)": find_dspm_peaks,
}
# How many recordings of each kind slow methods get.
SLOW = {"gamma_map": 10} | {name: 2 for name in METHODS if name.startswith("MNE")}


def scale(noise_cov, evoked):
    """Return the noise covariance of the average, for functions that do not use ``nave``."""
    average = noise_cov.copy()
    average["data"] = average["data"] / evoked.nave
    return average


def read_dipoles(dipoles):
    """Return the places (m) and the peaks (A m) of dipoles."""
    places = np.array([dipole.pos[0] for dipole in dipoles]).reshape(-1, 3)
    return places, np.array([np.abs(dipole.amplitude).max() for dipole in dipoles])


def find_peaks(stc, places, n_sources, apart=APART):
    """Return the places of the highest maxima, and NaN as their amplitudes.

    A maximum has no higher value within ``apart`` (m).
    """
    heights, found = np.abs(stc.data).max(axis=1), []
    for k in np.argsort(heights)[::-1]:
        if heights[k] == heights[np.linalg.norm(places - places[k], axis=1) < apart].max():
            found.append(places[k])
        if len(found) == n_sources:
            break
    return np.array(found), np.full(len(found), np.nan)


def main():
    """Run what is left of the study, and write the tables."""
    arguments = parse_arguments()
    mne.set_log_level("ERROR")
    if not os.environ.get("SKMXNE_SAMPLE_DIR"):
        print("SKMXNE_SAMPLE_DIR is not set: the built-in head is used.")
        is_built_in = {kind: HEADS.get(kind, "built-in") == "built-in" for kind in KINDS}
        arguments.kinds = [kind for kind in arguments.kinds if is_built_in[kind]]
    METHODS.update({f"{name} (number)": invert(name) for name in arguments.invert})
    arguments.output.mkdir(parents=True, exist_ok=True)
    arguments.draws_file.parent.mkdir(parents=True, exist_ok=True)
    prepare_draws(arguments.draws_file)
    tasks = list_tasks(arguments, set(read_draws(arguments.draws_file).index))
    for kind in arguments.kinds:
        simulate(kind, 0)  # load what all processes share
    with multiprocessing.get_context("fork").Pool(arguments.n_jobs) as pool:
        for k, rows in enumerate(pool.imap_unordered(run_task, tasks), start=1):
            new = pd.DataFrame(rows, columns=COLUMNS)
            new.to_csv(arguments.draws_file, mode="a", header=False, index=False)
            print(f"{k} of {len(tasks)}", flush=True)
        for name, table in make_tables(read_draws(arguments.draws_file).reset_index()).items():
            save(table, arguments.output / f"study_selection{name}.csv")
        if os.environ.get("SKMXNE_SAMPLE_DIR") and not arguments.no_recorded:
            rows = pool.starmap(localize_recorded, product(CONDITIONS, METHODS), chunksize=1)
            save(pd.DataFrame(rows), arguments.output / "study_selection_recorded.csv")


def save(table, path):
    """Write and print a table."""
    table.to_csv(path, index=False)
    print(f"\n{table.to_string(index=False)}")


def parse_arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--n-draws", type=int, default=50, help="recordings of each kind (50)")
    add("--slow-draws", type=int, default=10, help="at most so many for slow methods (10 or 2)")
    add("--kinds", nargs="*", choices=KINDS, default=list(KINDS), help="which kinds (all)")
    add("--invert", nargs="*", default=[], metavar="NAME", help="solvers of invertmeeg")
    add("--no-recorded", action="store_true", help="leave out the recorded responses")
    add("--n-jobs", type=int, default=2, help="recordings at the same time (2)")
    add("--output", type=Path, default=Path("bench-output"), help="folder of the tables")
    add("--draws-file", type=Path, default=Path("bench-output/study_draws.csv"))
    return parser.parse_args()


def match(distances, near):
    """Return pairs within a distance: as many as possible, and as near as possible."""
    found, true = linear_sum_assignment(np.where(distances < near, distances - 1.0, 0.0))
    is_near = distances[found, true] < near
    return found[is_near], true[is_near]


def prepare_draws(path):
    """Write the first line of a new file, or cut off a last line that was interrupted."""
    if not path.exists():
        pd.DataFrame(columns=COLUMNS).to_csv(path, index=False)
    os.truncate(path, path.read_bytes().rfind(b"\n") + 1)


def read_draws(path):
    """Read the localizations that ended without an error. The others are tried again."""
    draws = pd.read_csv(path, dtype={"kind": str}).drop_duplicates(COLUMNS[:3], keep="last")
    for row in draws[draws.error.notna()].itertuples():
        print(f"{row.kind}, {row.seed}, {row.method}: {row.error}")
    return draws[draws.error.isna()].set_index(COLUMNS[:3])


def list_tasks(arguments, done):
    """List the tasks that are left, slow methods last.

    Noise alone has no number of sources, and takes slow methods too long.
    """
    tasks = []
    limits = {None: arguments.n_draws}
    limits |= {slow: min(slow, arguments.slow_draws, arguments.n_draws) for slow in SLOW.values()}
    for slow, limit in limits.items():
        names = [name for name in METHODS if SLOW.get(name) == slow]
        for draw in range(limit):
            for kind in arguments.kinds:
                seed = FIRST_SEED + draw
                left = [
                    name
                    for name in names
                    if (kind, seed, name) not in done
                    and not (kind[0] == "0" and ("(number)" in name or name in SLOW))
                ]
                tasks += [(kind, seed, left)] if left else []
    return tasks


def run_task(task):
    """Localize one recording by some methods; return a row for each."""
    kind, seed, names = task
    recording = simulate(kind, seed)
    objects, loose = recording.to_mne(), 0.2 if recording.n_orient == 3 else 0.0
    rows = []
    for name in names:
        row = dict(kind=kind, seed=seed, method=name)
        try:
            found, row["seconds"] = call(METHODS[name], objects, loose, len(recording.sources))
            row |= judge(*found, recording.sources, recording.amplitude)
        except Exception as error:  # of a peer: the study goes on, and the next run tries again
            row["error"] = repr(error)
        rows.append(row)
    return rows


def call(method, objects, loose, n_sources):
    """Call a method on one thread, without messages; return what it finds, and the seconds."""
    evoked, forward, noise_cov = (one.copy() for one in objects)
    with threadpool_limits(1), warnings.catch_warnings(), time_limit(LIMIT):
        warnings.simplefilter("ignore")
        start = time.perf_counter()
        found = method(evoked, forward, noise_cov, loose, n_sources)
        return found, time.perf_counter() - start


def judge(places, peaks, sources, amplitude):
    """Compare found with true sources; distances are in mm."""
    scores = dict(f1=np.nan, f1_20=np.nan, ospa=np.nan, distance=np.nan, amplitude=np.nan)
    scores["n_more"] = len(places) - len(sources)
    if not len(sources):
        return scores
    distances = cdist(places, sources)
    for name, near in (("f1", 0.01), ("f1_20", 0.02)):
        found, true = match(distances, near)
        scores[name] = 2 * len(found) / (len(places) + len(sources))
    if len(found):  # within 20 mm
        scores["distance"] = 1e3 * distances[found, true].mean()
        scores["amplitude"] = np.mean(np.abs(peaks[found] / amplitude - 1.0))
    pairs = linear_sum_assignment(np.minimum(distances, CUT))
    total = np.minimum(distances, CUT)[pairs].sum() + CUT * abs(scores["n_more"])
    scores["ospa"] = 1e3 * total / max(distances.shape)
    return scores


def make_tables(draws):
    """Return the tables: means without and with model errors, differences, F1 of kinds, noise."""
    names = [*METHODS, *sorted(set(draws.method) - set(METHODS))]
    order = dict(method=pd.CategoricalDtype(names, ordered=True), kind=pd.CategoricalDtype(KINDS))
    is_given = draws.method.str.contains("(number)", regex=False)
    draws = draws.astype(order).assign(
        too_many=(100.0 * (draws.n_more > 0)).mask(is_given),
        too_few=(100.0 * (draws.n_more < 0)).mask(is_given),
    )
    is_noise = draws.kind.str.startswith("0")
    tables = {"_noise": count_noise(draws[is_noise])} if is_noise.any() else {}
    draws = draws[~is_noise].set_index(["kind", "seed"])
    is_right = draws[draws.method == "skmxne"].n_more == 0  # of the default
    draws["ospa_right"] = draws.ospa.where(is_right.reindex(draws.index))
    draws = draws.reset_index()
    is_slow, has_errors = draws.method.isin(list(SLOW)), draws.kind.isin(MODEL_ERRORS)
    is_rare = is_slow & (draws.method != "gamma_map")  # too rare for a mean of each kind
    if has_errors.any():
        tables["_model_errors"] = average(draws[~is_slow & has_errors])
    return tables | {
        "": average(draws[~is_slow & ~has_errors]),
        "_differences": subtract_default(draws),
        "_kinds": average_f1(draws[~is_rare]),
    }


def count_noise(draws):
    """Return in how many recordings of noise alone a method finds a source."""
    found = draws.assign(found=draws.n_more > 0).groupby(["method", "kind"], observed=True).found
    counts = (found.sum().astype(str) + " of " + found.count().astype(str)).unstack("kind")
    return counts.rename(columns=KINDS).reset_index()


def average(draws):
    """Return the means of each method over kinds, and the median of the time.

    F1 and OSPA are followed by their difference from the default.
    """
    means, differences = average_kinds(draws).mean(), subtract_default(draws).set_index("method")
    table = pd.DataFrame(index=means.index)
    for name, (title, decimals) in SCORES.items():
        table[title] = means[name].map(f"{{:.{decimals}f}}".format, na_action="ignore")
        if name in ("f1", "ospa"):
            table[f"{title}, difference"] = differences[title]
    times = draws.groupby("method", observed=True).seconds.median()
    return table.assign(**{"time (s)": times.map("{:.2g}".format)}).reset_index()


def average_kinds(draws):
    """Group the means of each kind by method. Amplitudes of nearly silent sources need medians."""
    groups = draws.groupby(["method", "kind"], observed=True)
    means = groups[list(SCORES)].mean().assign(amplitude=groups.amplitude.median())
    return means.groupby("method", observed=True)


def subtract_default(draws):
    """Return the mean paired differences from the default, with standard errors over kinds."""
    scores = draws.set_index(["kind", "seed", "method"])[list(SCORES)]
    differences = scores.sub(scores.xs("skmxne", level="method")).drop("skmxne", level="method")
    of_kinds = average_kinds(differences.reset_index())
    means, errors = of_kinds.mean(), of_kinds.sem()
    table = pd.DataFrame({"recordings": differences.groupby("method", observed=True).size()})
    for name, (title, decimals) in SCORES.items():
        table[title] = [
            "" if np.isnan(mean) else f"{mean:+.{decimals + 1}f} ± {error:.{decimals + 1}f}"
            for mean, error in zip(means[name], errors[name], strict=True)
        ]
    return table.reset_index()


def average_f1(draws):
    """Return the mean F1 of each kind and of groups of kinds.

    The last column says how often the default finds too many sources.
    """
    means = draws.groupby(["kind", "method"], observed=True).f1.mean().unstack("method")
    means.columns = means.columns.astype(str)
    default = draws[draws.method == "skmxne"]
    means["skmxne: too many (%)"] = default.groupby("kind", observed=True).too_many.mean()
    has_errors, is_new = means.index.isin(MODEL_ERRORS), means.index.isin(NEW_KINDS)
    means.index = [KINDS[kind] + " *" * (kind in MODEL_ERRORS) for kind in means.index]
    groups = {
        "mean: without model errors": means[~has_errors].mean(),
        "mean: with model errors": means[has_errors].mean(),
        "mean: the six kinds not used in development": means[is_new].mean(),
    }
    means = pd.concat([means, pd.DataFrame(groups).T])
    table = means.map("{:.2f}".format)
    table["skmxne: too many (%)"] = means["skmxne: too many (%)"].map("{:.0f}".format)
    return table.reset_index(names="kind of recording")


def localize_recorded(condition, name):
    """Return the sources of a recorded response to tones, 50 to 150 ms, found by a method."""
    recording, row = read_response(condition), {"condition": condition, "method": name}
    try:
        (places, peaks), seconds = call(METHODS[name], recording, 0.2, 2)
    except Exception as error:
        return row | {"sources": "stopped" if isinstance(error, TooSlowError) else repr(error)}
    row["sources"] = len(places)
    for side, sign in (("left", -1), ("right", 1)):
        here = np.flatnonzero(sign * places[:, 0] > 0)
        best = here[np.argmax(np.nan_to_num(peaks[here]))] if len(here) else None
        place = "" if best is None else " ".join(f"{1e3 * x:.0f}" for x in places[best])
        row[f"strongest, {side} (mm)"] = place
    return row | {"time (s)": f"{float(f'{seconds:.2g}'):g}"}


if __name__ == "__main__":
    main()
