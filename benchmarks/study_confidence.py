"""Do regions contain the true sources, and are p-values right?

``python benchmarks/study_confidence.py --output docs`` simulates the recordings of
`simulated_recordings.py` with peaks of 15, 30 and 90 nAm. The gain is that of a recorded subject
(``SKMXNE_SAMPLE_DIR`` names its folder). ``MixedNormIC`` localizes the sources. The tables show:
how often regions contain the true source, how large they are and how long they take, by kind of
recording and by amplitude; how often noise alone has a p-value of 0.05 or less; how strong a source
must be to be found, compared with `compute_detectable_power`; and, for one source in a sphere, the
confidence limits of ``mne.fit_dipole`` compared with regions.

A source is found if the model has a position within 20 mm of it. A region is right if it contains
a position within 5 mm of the true one, or the position nearest to it.
"""

import argparse
import time
import warnings
from functools import cache, cached_property, partial
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import simulated_recordings as simulated
from joblib import Parallel, delayed
from scipy.spatial.distance import cdist
from scipy.stats import chi2
from threadpoolctl import threadpool_limits

from skmxne import MixedNormIC
from skmxne.inspection.confidence import Candidates, compute_detectable_power, judge_sources
from skmxne.inverse.trial_folds import draw_signs
from skmxne.model_selection.noise import estimate_covariance
from skmxne.model_selection.risk_inflation import RiskInflation
from skmxne.model_selection.support_search import SupportSearch

AMPLITUDES = (15e-9, 30e-9, 90e-9)
KINDS = {
    **{kind: simulated.KINDS[kind] for kind in ("a", "b", "c1", "c2", "d", "e", "f", "g")},
    **{kind: simulated.KINDS[kind] for kind in ("i", "j")},
    "k": "EEG (59 electrodes)",
}
NOISES = {
    "white": "white",
    "low": "low-passed at 40 Hz",
    "drift": "half of it drifts",
    "brain": "a third of it brain rhythms",
    "eeg": "EEG, white",
}
NUMBERS = (1, 2, 3, 5)  # sources of models of noise
FIRST_SEED = 3000  # those below are for tuning
NEAR, RIGHT, GHOST = 0.02, 0.005, 0.02  # m
OPTIONS = dict(level=0.95, random_state=0, model_error=0.06)


def main():
    """Run the study, and write its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-draws", type=int, default=12, help="recordings of each kind (12)")
    parser.add_argument("--n-noise", type=int, default=120, help="of each kind of noise (120)")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument(
        "--parts", nargs="*", default=["regions", "level", "detectability", "dipole"]
    )
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("bench-output"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for part in arguments.parts:
        tables = dict(
            regions=study_regions,
            level=study_level,
            detectability=study_detectability,
            dipole=study_dipoles,
        )[part](arguments)
        for name, table in tables.items():
            table.to_csv(arguments.output / f"study_confidence_{name}.csv", index=False)
            print(f"\n{name}\n{table.to_string(index=False)}", flush=True)


def run(function, tasks, n_jobs):
    """Call a function for all tasks, in processes with one thread each, and join the rows."""
    results = Parallel(n_jobs=n_jobs, backend="multiprocessing", batch_size=1)(
        delayed(run_quietly)(function, *task) for task in tasks
    )
    return pd.DataFrame([row for rows in results for row in rows])


def run_quietly(function, *task):
    """Call a function without messages, on one thread."""
    mne.set_log_level("ERROR")
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*task)


def load_all():
    """Load the gains that all processes share."""
    simulated.load_head()
    simulated.load_head("eeg")
    simulated.load_sphere()


@cache
def load_candidates(kind):
    """Return the candidates of a kind in which all recordings have the same gain."""
    return Candidates(simulated.simulate(kind, 0, is_loose=True).X, 3)


def find_candidates(kind, recording):
    """Return the candidates of a recording of a kind, with three orientations."""
    if kind == "i":  # whitened by noise of its own
        return Candidates(recording.X, 3)
    return load_candidates({"c2": "c2", "k": "k"}.get(kind, "a"))


def study_regions(arguments):
    """Count how often regions are right, and how often sources and ghosts have low p-values."""
    load_all()
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.n_draws)
    tasks = [(kind, seed, size) for kind in KINDS for seed in seeds for size in AMPLITUDES]
    found = run(judge_recording, tasks, arguments.n_jobs)
    found.to_pickle(arguments.output / "study_confidence.pkl")
    return summarize_regions(found)


def judge_recording(kind, seed, amplitude):
    """Localize a recording, and return a row for each found and for each true source."""
    recording = simulated.simulate(kind, seed, amplitude=amplitude)
    free = simulated.simulate(kind, seed, is_loose=True, amplitude=amplitude)
    candidates = find_candidates(kind, free)
    model = MixedNormIC(n_orient=recording.n_orient).fit(recording.X, recording.y)
    positions = recording.find_active(model)
    confidence, seconds = {}, {}
    for n_draws in (0, 100):
        start = time.perf_counter()
        confidence[n_draws] = judge_sources(
            candidates, free.y, positions, n_draws=n_draws, **OPTIONS
        )
        seconds[n_draws] = time.perf_counter() - start
    confidence, locations = confidence[100], recording.locations
    distances = cdist(recording.sources, locations[positions])
    common = dict(kind=kind, seed=seed, amplitude=round(1e9 * amplitude))
    rows = []
    for truth in range(len(recording.sources)):
        near = distances[truth] < NEAR
        p = confidence.p_values[near].min(initial=1.0)
        rows.append(common | dict(what="true", is_found=near.any(), p=p))
    for k, position in enumerate(positions):
        truth = distances[:, k].argmin()
        from_truth = np.linalg.norm(locations - recording.sources[truth], axis=1)
        is_right = from_truth <= max(RIGHT, from_truth.min())
        order = np.argsort(np.linalg.norm(locations - locations[position], axis=1))
        away = np.linalg.norm(locations[confidence.regions[k]] - locations[position], axis=1)
        rows.append(
            common
            | dict(
                what="found",
                distance=distances[truth, k],
                is_covered=bool((confidence.regions[k] & is_right).any()),
                size=int(confidence.regions[k].sum()),
                radius=1e3 * away.max(),
                ball=1 + int(np.flatnonzero(is_right[order])[0]),
                p=confidence.p_values[k],
                seconds=seconds[0],
                seconds_with_p=seconds[100],
            )
        )
    return rows


def summarize_regions(rows):
    """Return tables by kind and by amplitude."""
    of_meg = rows[rows.kind != "k"]
    totals = [("all", rows), ("all of MEG", of_meg)]
    tables = {}
    for name, key, labels, some in [
        ("kinds", "kind", KINDS, rows),
        ("amplitudes", "amplitude", {15: "15 nAm", 30: "30 nAm", 90: "90 nAm"}, of_meg),
    ]:
        groups = [(labels[value], part) for value, part in some.groupby(key, sort=False)]
        groups += totals if name == "kinds" else totals[1:]
        tables[name] = pd.DataFrame([describe(*group) for group in groups])
        tables[name].columns = [name.rstrip("s"), *tables[name].columns[1:]]
    return tables


def describe(label, rows):
    """Return a row of a table."""
    found, true = rows[rows.what == "found"], rows[rows.what == "true"]
    near, ghosts = found[found.distance < NEAR], found[found.distance >= GHOST]
    coverage = near.is_covered.mean()
    ball = np.sort(near.ball)[int(np.ceil(coverage * len(near))) - 1]
    reached = true[true.is_found.astype(bool)]
    return {
        "kind": label,
        "sources": len(near),
        "covered": f"{coverage:.2f}",
        "mean size": f"{near['size'].mean():.0f}",
        "ball": f"{ball:.0f}",
        "median radius": f"{near.radius.median():.0f}",
        "true, found": f"{true.is_found.mean():.2f}",
        "found, p <= .05": f"{(reached.p <= 0.05).mean():.2f}",
        "ghosts": len(ghosts),
        "ghosts, p <= .05": f"{(ghosts.p <= 0.05).mean():.2f}" if len(ghosts) else "",
        "time regions": f"{found.seconds.mean():.2f}",
    }


def study_level(arguments):
    """Count how often noise alone has a p-value of 0.05 or less."""
    load_all()
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.n_noise)
    tasks = [(kind, seed, False) for kind in NOISES for seed in seeds]
    tasks += [(kind, seed, True) for kind in ("drift", "brain") for seed in seeds[::3]]
    rows = run(judge_noise, tasks, arguments.n_jobs)
    names = {**NOISES, **{f"{kind}, trials": f"{NOISES[kind]}: trials" for kind in NOISES}}
    table = rows.assign(is_low=rows.p <= 0.05).pivot_table(
        index="kind", columns="n_sources", values="is_low", sort=False
    )
    table = table.map(lambda share: "" if np.isnan(share) else f"{share:.3f}").rename(
        index=names, columns="{} sources".format
    )
    table.insert(0, "recordings", rows.groupby("kind", sort=False).seed.nunique().to_numpy())
    return {"level": table.reset_index(names="noise")}


class SameDraws(Candidates):
    """Candidates that draw white noise only once, and scale its power at each time."""

    @cached_property
    def _powers(self):
        rng = np.random.default_rng(0)
        powers = np.empty((200, len(simulated.TIMES), self.design.n_positions), np.float32)
        for draw in powers:
            noise = rng.standard_normal((len(self.design.X), len(draw)), np.float32)
            products = (self._bases @ noise) ** 2
            draw[:] = products.reshape(self.design.n_positions, 3, -1).sum(axis=1).T
        return powers

    def find_maxima(self, draw, n_draws):
        """Return the most that any position explains in noise with the variances of each draw."""
        maxima = np.empty(n_draws)
        for k, powers in enumerate(self._powers[:n_draws]):
            variances = np.mean(draw(k) ** 2, axis=0)
            maxima[k] = (variances @ powers[: len(variances)]).max()
        return maxima


@cache
def load_brain():
    """Return the fields of brain noise, and the whitener of brain and sensor noise."""
    gain, _, _ = simulated.load_head()
    return simulated.draw_brain_noise(np.random.default_rng(0), gain[:, 2::3])


@cache
def load_noise_candidates(kind, *, has_trials):
    """Return the candidates of a kind of noise."""
    gain, _, _ = simulated.load_head("eeg" if kind == "eeg" else "meg")
    gain = load_brain()[1] @ gain if kind == "brain" else gain
    return (Candidates if has_trials else SameDraws)(gain, 3)


def draw_noise_of(rng, kind):
    """Draw whitened noise of a kind."""
    n_rows = len(simulated.load_head("eeg" if kind == "eeg" else "meg")[0])
    noise = simulated.draw_noise(rng, n_rows, is_low_passed=kind == "low")
    if kind == "drift":
        noise = (noise + simulated.draw_drifts(rng, n_rows)) / np.sqrt(2)
    if kind == "brain":
        brain, whiten = load_brain()
        rhythms = simulated.draw_noise(rng, brain.shape[1], band=(8.0, 12.0))
        noise = whiten @ (noise + brain @ rhythms)
    return noise


def judge_noise(kind, seed, has_trials):
    """Find sources in noise one by one, each where it explains most, and judge them."""
    rng = np.random.default_rng([seed, *kind.encode()])
    if has_trials:
        groups = np.array([draw_noise_of(rng, kind) for _ in range(40)], dtype=np.float32)
        y = groups.sum(axis=0).astype(float) / np.sqrt(40)
        factors = draw_signs(np.full(40, 1 / 40), 200, 0).astype(np.float32) * np.float32(40**0.5)
        # Five folds tell the covariance, as of an `InverseProblem`.
        folds = groups.reshape(5, 8, *y.shape).sum(axis=1) / np.sqrt(8)
        rows = (folds - y / np.sqrt(5)).reshape(-1, y.shape[1]).astype(float)
        n_rows = 4 * len(y)
        covariance = estimate_covariance(rows, n_rows)
        draw = partial(np.tensordot, b=groups, axes=1)
        options = OPTIONS | dict(
            covariance=covariance, n_rows=n_rows, draw=lambda k: draw(factors[k])
        )
    else:
        y, options = draw_noise_of(rng, kind), OPTIONS
    candidates = load_noise_candidates(
        kind if kind in ("brain", "eeg") else "white", has_trials=has_trials
    )
    criterion = RiskInflation(
        candidates.design, y, noise_variance=1.0, target_covariance=None, model_error=0.0
    )
    search, found, rows = SupportSearch(criterion), [], []
    name = f"{kind}, trials" if has_trials else kind
    for _ in range(1 if has_trials else max(NUMBERS)):
        found.append(int(np.argmax(search.measure(found))))
        if len(found) in NUMBERS:
            confidence = judge_sources(candidates, y, np.sort(found), n_draws=200, **options)
            p = confidence.p_values.min()
            rows.append(dict(kind=name, seed=seed, n_sources=len(found), p=p))
    return rows


def study_detectability(arguments):
    """Find how strong a source must be so that the default finds it in 80 % of recordings."""
    load_all()
    factors = (0.8, 0.9, 1.0, 1.1, 1.25)
    seeds = range(arguments.first_seed, arguments.first_seed + 3 * arguments.n_draws)
    lines = []
    for name, is_low_passed in [("white", False), ("low-passed at 40 Hz", True)]:
        tasks = [(is_low_passed, seed, factor) for seed in seeds for factor in factors]
        rows = run(look_for_source, tasks, arguments.n_jobs)
        power = rows.groupby("factor").is_found.mean()
        line = {"noise": name, "recordings": len(seeds)}
        line |= {f"{factor:g} times": f"{power[factor]:.2f}" for factor in factors}
        line["times for 80 %"] = f"{np.interp(0.8, power, factors):.2f}"
        lines.append(line)
    return {"detectability": pd.DataFrame(lines)}


def look_for_source(is_low_passed, seed, factor):
    """Return whether a source of ``factor`` times the detectable amplitude is found."""
    rng = np.random.default_rng([seed, round(100 * factor), is_low_passed])
    gain, locations, _ = simulated.load_head()
    recording = load_weighted()
    source = simulated.draw_sources(rng, "a", locations, gain[:, 2::3])[0]
    course = simulated.draw_time_courses(rng, 1, is_same=False)[0]
    covariance = simulated.compute_noise_covariance("b" if is_low_passed else "a")
    power = compute_detectable_power(len(locations), 1, covariance, course, 0.8)
    field = gain[:, 3 * source + 2]
    size = factor * np.sqrt(power) / np.linalg.norm(field) / np.linalg.norm(course)
    y = size * np.outer(field, course)
    y += simulated.draw_noise(rng, len(field), is_low_passed=is_low_passed)
    found = recording.find_active(MixedNormIC().fit(recording.X, y))
    distances = np.linalg.norm(locations[found] - locations[source], axis=1)
    return [dict(factor=factor, is_found=distances.min(initial=1.0) < NEAR)]


def study_dipoles(arguments):
    """Compare the region of one source at its peak with confidence limits of a dipole fit."""
    simulated.load_sphere()
    simulated.load_sphere(is_moved=False)
    seeds = range(arguments.first_seed, arguments.first_seed + 2 * arguments.n_draws)
    tasks = [(off, seed, size) for off in (False, True) for seed in seeds for size in AMPLITUDES]
    rows = run(fit_dipole, tasks, arguments.n_jobs)
    columns = {
        "is_moved": "head off",
        "amplitude": "nAm",
        "dipole_is_right": "dipole: covered",
        "dipole_radius": "dipole: longest axis",
        "dipole_equal": "dipole: ball of equal volume",
        "region_is_right": "region: covered",
        "region_radius": "region: radius",
        "dipole_error": "dipole: error",
        "region_error": "position: error",
    }
    means = rows.groupby(["is_moved", "amplitude"], sort=False).mean().reset_index()
    means["is_moved"] = means.is_moved.map({False: "no", True: "3 mm, 2 degrees"})
    table = means[list(columns)].rename(columns=columns)
    for name in table.columns[2:]:  # shares, or mm
        table[name] = table[name].map(f"{{:.{2 if name.endswith('covered') else 1}f}}".format)
    return {"dipoles": table}


def fit_dipole(is_moved, seed, amplitude):
    """Fit one source in a sphere, by a dipole fit and by the best position."""
    rng = np.random.default_rng([seed, 7])
    problem, info, *_ = simulated.load_problem()
    gain = simulated.load_sphere(is_moved=False)
    locations, whitener = problem.locations, problem.whitener
    source = simulated.draw_sources(rng, "a", locations, whitener @ gain[:, 2::3])[0]
    field = amplitude * simulated.load_sphere(is_moved=is_moved)[:, [3 * source + 2]]
    noise_cov = load_noise_covariance()
    values, vectors = np.linalg.eigh(noise_cov.data)
    noise = (
        vectors
        * np.sqrt(values.clip(min=0.0))
        @ rng.standard_normal(field.shape)
        / np.sqrt(simulated.N_TRIALS)
    )
    evoked = mne.EvokedArray(field + noise, info, nave=simulated.N_TRIALS)
    evoked.apply_proj()
    sphere = mne.make_sphere_model(**simulated.SPHERE)
    dipole, _ = mne.fit_dipole(evoked, noise_cov, sphere, min_dist=0.0)
    error = np.linalg.norm(dipole.pos[0] - locations[source])
    # The longest axis of the ellipsoid, for three dimensions instead of one.
    axis = max(dipole.conf[name][0] for name in ("depth", "long", "trans"))
    axis *= np.sqrt(chi2.ppf(0.95, 3)) / 1.96
    y = np.sqrt(simulated.N_TRIALS) * whitener @ evoked.data
    candidates = load_sphere_candidates()
    search = SupportSearch(
        RiskInflation(
            candidates.design, y, noise_variance=1.0, target_covariance=None, model_error=0.0
        )
    )
    best = int(np.argmax(search.measure([])))
    confidence = judge_sources(candidates, y, np.array([best]), n_draws=0, **OPTIONS)
    region = locations[confidence.regions[0]]
    return [
        dict(
            is_moved=is_moved,
            amplitude=round(1e9 * amplitude),
            dipole_is_right=error <= axis,
            dipole_radius=1e3 * axis,
            dipole_equal=1e3 * (0.75 / np.pi * dipole.conf["vol"][0]) ** (1 / 3),
            dipole_error=1e3 * error,
            region_is_right=np.linalg.norm(region - locations[source], axis=1).min() <= RIGHT,
            region_radius=1e3 * np.linalg.norm(region - locations[best], axis=1).max(),
            region_error=1e3 * np.linalg.norm(locations[best] - locations[source]),
        )
    ]


@cache
def load_noise_covariance():
    """Return the noise covariance of the channels of the recorded gain."""
    problem, _, _, noise_cov = simulated.load_problem()
    return mne.pick_channels_cov(noise_cov, problem.ch_names, ordered=True)


@cache
def load_sphere_candidates():
    """Return the candidates of the sphere model."""
    problem, *_ = simulated.load_problem()
    return Candidates(problem.whitener @ simulated.load_sphere(is_moved=False), 3)


@cache
def load_weighted():
    """Return a recording that has the weighted gain with one orientation."""
    return simulated.simulate("0", 0)


if __name__ == "__main__":
    main()
