"""Compare how well this package and its peers find sources.

``python benchmarks/study_selection.py --output docs`` simulates 50 recordings of each kind of
`simulated_recordings.py`, localizes each by all methods, and writes tables. Some methods are given
the number of sources. Then it localizes recorded auditory responses. On two cores it takes a night.
``SKMXNE_SAMPLE_DIR`` names the folder with the gain of a recorded subject; without it only the
built-in head is used.

Every localization is a row of ``--draws-file``. The study continues from that file if it was
interrupted, or if there are more draws. ``--n-draws 1 --slow-draws 0`` is a test run of minutes.
``--invert NAME ...`` adds solvers of invertmeeg (``pip install --no-deps invertmeeg``).

Found and true sources are matched one to one. For F1, pairs within 10 or 20 mm are right. OSPA is
the mean distance of pairs in mm; a source without a partner counts as 50 mm. The errors of location
and amplitude are means over the pairs within 20 mm.
"""

import argparse
import multiprocessing
import os
import time
import warnings
from pathlib import Path

import mne
import numpy as np
import pandas as pd
from mne.beamformer import rap_music, trap_music
from mne.inverse_sparse import gamma_map
from mne.inverse_sparse import mixed_norm as mne_mixed_norm
from mne.minimum_norm import apply_inverse, make_inverse_operator
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from simulated_recordings import HEADS, KINDS, simulate
from threadpoolctl import threadpool_limits

from skmxne import InverseProblem, MixedNormCV, MixedNormIC

FIRST_SEED = 5000  # all tuning and earlier studies used smaller ones
DEPTH = 0.8
CUT = 0.05  # m, of OSPA
APART = 0.01  # m, between peaks of a distributed estimate
SHARE = 0.2  # of the largest amplitude, below which a method's sources are dropped


def fit(model):
    """Return a method that fits a model to an inverse problem and returns dipoles."""

    def localize(evoked, forward, noise_cov, loose, _):
        problem = InverseProblem.from_evoked(evoked, forward, noise_cov, loose=loose, depth=DEPTH)
        model.set_params(n_orient=problem.n_orient).fit(problem.X, problem.y)
        return read_dipoles(problem.to_dipoles(model))

    return localize


def project_alternately(evoked, forward, noise_cov, loose, n_sources):
    """Alternating projections: move each of ``n_sources`` in turn to where it explains most.

    Adler, Wax & Pantazis (2024), with the depth weights and orientations of the other methods.
    """
    problem = InverseProblem.from_evoked(evoked, forward, noise_cov, loose=loose, depth=DEPTH)
    X, y, n_orient = problem.X, problem.y, problem.n_orient
    blocks = X.T.reshape(-1, n_orient, len(X))
    grams, products = blocks @ blocks.swapaxes(1, 2), (X.T @ y).reshape(len(blocks), n_orient, -1)
    ridge = 1e-8 * np.trace(grams, axis1=1, axis2=2)[:, np.newaxis, np.newaxis] * np.eye(n_orient)

    def find_best(others):
        rest, left = products, grams
        if others:
            basis = np.linalg.qr(np.hstack([blocks[k].T for k in others]))[0]
            coordinates = (X.T @ basis).reshape(len(blocks), n_orient, -1)
            rest = products - coordinates @ (basis.T @ y)
            left = grams - coordinates @ coordinates.swapaxes(1, 2)
        squares = rest @ rest.swapaxes(1, 2)
        powers = np.trace(np.linalg.solve(left + ridge, squares), axis1=1, axis2=2)
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
    columns = (np.array(found)[:, np.newaxis] * n_orient + np.arange(n_orient)).ravel()
    coef = np.zeros((y.shape[1], X.shape[1]))
    coef[:, columns] = np.linalg.lstsq(X[:, columns], y, rcond=None)[0].T
    return read_dipoles(problem.to_dipoles(coef))


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
        options = dict(alpha="sure", loose=loose, depth=DEPTH, n_mxne_iter=n_mxne_iter)
        return call_mne(mne_mixed_norm, evoked, forward, noise_cov, **options)

    return localize


def find_dspm_peaks(evoked, forward, noise_cov, loose, n_sources):
    """Return the ``n_sources`` highest peaks of dSPM, at least 1 cm apart."""
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
    "TRAP-MUSIC (number)": scan(trap_music),
    "RAP-MUSIC (number)": scan(rap_music),
    "gamma_map": map_gammas,
    "MNE, sure": choose_by_sure(of_average=False),
    "MNE, sure, noise of the average": choose_by_sure(of_average=True),
    "MNE, sure, that, 10 iterations": choose_by_sure(of_average=True, n_mxne_iter=10),
    "dSPM peaks (number)": find_dspm_peaks,
}
# How many recordings of each kind slow methods get.
SLOW = {"gamma_map": 10} | {name: 3 for name in METHODS if name.startswith("MNE")}


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
    """Return the places of the highest peaks, and NaN as their amplitudes."""
    heights, found = np.abs(stc.data).max(axis=1), []
    for _ in range(n_sources):
        best = int(np.argmax(heights))
        found.append(places[best])
        heights[np.linalg.norm(places - places[best], axis=1) < apart] = -1.0
    return np.array(found), np.full(n_sources, np.nan)


def main():
    """Run what is left of the study, and write the tables."""
    arguments = parse_arguments()
    mne.set_log_level("ERROR")
    if not os.environ.get("SKMXNE_SAMPLE_DIR"):
        print("SKMXNE_SAMPLE_DIR is not set: only the built-in head is used.")
        arguments.kinds = [kind for kind in arguments.kinds if HEADS.get(kind) == "built-in"]
    METHODS.update({f"{name} (number)": invert(name) for name in arguments.invert})
    arguments.output.mkdir(parents=True, exist_ok=True)
    arguments.draws_file.parent.mkdir(parents=True, exist_ok=True)
    draws = pd.DataFrame(columns=["kind", "seed", "method"])
    if arguments.draws_file.exists():
        draws = pd.read_csv(arguments.draws_file, dtype={"kind": str})
        draws = draws[draws.error.isna()] if "error" in draws else draws  # others are tried again
    tasks = list_tasks(arguments, set(zip(draws.kind, draws.seed, draws.method, strict=True)))
    for kind in arguments.kinds:
        simulate(kind, 0)  # load what all processes share
    with multiprocessing.get_context("fork").Pool(arguments.n_jobs) as pool:
        for k, rows in enumerate(pool.imap_unordered(run_task, tasks), start=1):
            draws = pd.concat([draws, pd.DataFrame(rows)]) if len(draws) else pd.DataFrame(rows)
            draws.to_csv(arguments.draws_file, index=False)
            print(f"{k} of {len(tasks)}", flush=True)
    write_tables(draws, arguments.output)
    if os.environ.get("SKMXNE_SAMPLE_DIR") and not arguments.no_recorded:
        recorded = pd.DataFrame(localize_recorded())
        recorded.to_csv(arguments.output / "study_selection_recorded.csv", index=False)
        print(recorded.to_string(index=False))


def parse_arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--n-draws", type=int, default=50, help="recordings of each kind (50)")
    add("--slow-draws", type=int, default=10, help="at most so many for slow methods (10 or 3)")
    add("--kinds", nargs="*", choices=KINDS, default=list(KINDS), help="which kinds (all)")
    add("--invert", nargs="*", default=[], metavar="NAME", help="solvers of invertmeeg")
    add("--no-recorded", action="store_true", help="leave out the recorded responses")
    add("--n-jobs", type=int, default=2, help="recordings at the same time (2)")
    add("--output", type=Path, default=Path("bench-output"), help="folder of the tables")
    add("--draws-file", type=Path, default=Path("bench-output/study_draws.csv"))
    return parser.parse_args()


def list_tasks(arguments, done):
    """List the tasks that are left, slow methods last. Noise alone has no number of sources."""
    tasks = []
    for names in ([name for name in METHODS if name not in SLOW], *([name] for name in SLOW)):
        limits = [arguments.n_draws]
        if names[0] in SLOW:
            limits += [arguments.slow_draws, SLOW[names[0]]]
        for draw in range(min(limits)):
            for kind in arguments.kinds:
                is_noise, seed = kind.startswith("0"), FIRST_SEED + draw
                left = [
                    name
                    for name in names
                    if (kind, seed, name) not in done
                    and not (is_noise and (name in SLOW or "(number)" in name))
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
        except Exception as error:  # of a peer: the night goes on, and the table counts it
            row["error"] = repr(error)
        rows.append(row)
    return rows


def call(method, objects, loose, n_sources):
    """Call a method on one thread, without messages; return what it finds, and the seconds."""
    evoked, forward, noise_cov = (one.copy() for one in objects)
    with threadpool_limits(1), warnings.catch_warnings():
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
        found, true = linear_sum_assignment(np.where(distances < near, distances - 1.0, 0.0))
        is_near = distances[found, true] < near
        scores[name] = 2 * np.count_nonzero(is_near) / (len(places) + len(sources))
    if is_near.any():
        found, true = found[is_near], true[is_near]
        scores["distance"] = 1e3 * distances[found, true].mean()
        scores["amplitude"] = np.mean(np.abs(peaks[found] / amplitude - 1.0))
    pairs = linear_sum_assignment(np.minimum(distances, CUT))
    total = np.minimum(distances, CUT)[pairs].sum() + CUT * abs(scores["n_more"])
    scores["ospa"] = 1e3 * total / max(distances.shape)
    return scores


def write_tables(draws, folder):
    """Write the means and the mean F1 of each kind; print how often noise alone has a source."""
    if "error" in draws:
        for row in draws[draws.error.notna()].itertuples():
            print(f"{row.kind}, {row.seed}, {row.method}: {row.error}")
        draws = draws[draws.error.isna()]
    is_noise = draws.kind.str.startswith("0")
    for kind, part in draws[is_noise].groupby("kind"):
        counts = part.assign(found=part.n_more > 0).groupby("method").found.agg(["sum", "count"])
        print(f"\n{KINDS[kind]}: recordings with a source\n{counts.to_string()}")
    draws = draws[~is_noise]
    methods = [name for name in METHODS if name in set(draws.method)]
    methods += sorted(set(draws.method) - set(methods))
    kinds = [kind for kind in KINDS if kind in set(draws.kind)]
    f1 = draws.pivot(index=["kind", "seed"], columns="method", values="f1")
    summary = pd.DataFrame([summarize(draws, name) for name in methods])
    means = f1.groupby("kind").mean().loc[kinds, methods].map("{:.2f}".format)
    means.insert(0, "kind of recording", [KINDS[kind] for kind in kinds])
    for name, table in (("", summary), ("_kinds", means)):
        table.to_csv(folder / f"study_selection{name}.csv", index=False)
        print(f"\n{table.to_string(index=False)}")


def summarize(draws, name):
    """Return the means of a method, and its paired differences from the default."""
    draws = draws.set_index(["kind", "seed"])
    part, default = draws[draws.method == name], draws[draws.method == "skmxne"]
    line = {"method": name, "recordings": len(part), "F1": f"{part.f1.mean():.3f}"}
    line["F1 - skmxne"] = "" if name == "skmxne" else subtract(part.f1, default.f1, 3)
    line["F1, 20 mm"] = f"{part.f1_20.mean():.3f}"
    line["OSPA (mm)"] = f"{part.ospa.mean():.1f}"
    line["OSPA - skmxne"] = "" if name == "skmxne" else subtract(part.ospa, default.ospa, 1)
    line["distance (mm)"] = f"{part.distance.mean():.1f}"
    line["amplitude error"] = f"{part.amplitude.mean():.2f}" if part.amplitude.any() else ""
    line["too many"] = f"{part.n_more.mean():+.1f}"
    line["time (s)"] = f"{part.seconds.median():.2g}"
    return line


def subtract(values, others, decimals):
    """Return the mean of a paired difference, and its standard error."""
    difference = (values - others).dropna()
    error = difference.std() / np.sqrt(len(difference))
    return f"{difference.mean():+.{decimals}f} ± {error:.{decimals}f}"


def localize_recorded():
    """Yield the sources of recorded responses to tones, 50 to 150 ms, found by each method."""
    folder = Path(os.environ["SKMXNE_SAMPLE_DIR"])
    forward = mne.read_forward_solution(folder / "sample-cortex-7783-fwd.fif")
    noise_cov = mne.read_cov(folder / "sample-cov.fif")
    for condition in ("Left Auditory", "Right Auditory"):
        evoked = mne.read_evokeds(folder / "sample-auditory-ave.fif", condition, baseline=(None, 0))
        evoked.pick("meg").crop(0.05, 0.15)
        for name, method in METHODS.items():
            (places, peaks), seconds = call(method, (evoked, forward, noise_cov), 0.2, 2)
            row = {"condition": condition, "method": name, "sources": len(places)}
            for side, sign in (("left", -1), ("right", 1)):
                here = np.flatnonzero(sign * places[:, 0] > 0)
                best = here[np.argmax(np.nan_to_num(peaks[here]))] if len(here) else None
                place = "" if best is None else " ".join(f"{1e3 * x:.0f}" for x in places[best])
                row[f"strongest, {side} (mm)"] = place
            yield row | {"time (s)": f"{seconds:.2g}"}


if __name__ == "__main__":
    main()
