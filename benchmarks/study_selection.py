"""Which choice of alpha finds the sources: criteria, cross-validation, MNE's SURE and hindsight.

``python benchmarks/study_selection.py --output docs`` simulates recordings (see
`simulated_recordings.py`) on the gain of a recorded subject, where ``SKMXNE_SAMPLE_DIR`` names the
folder that has it, and on the built-in one, and localizes them with every choice of alpha on one
grid. It writes a table and a figure; the numbers of every draw go to ``--draws-file``, from which
an interrupted study goes on. ``--n-draws 2 --mne-draws 0`` shows in minutes that all of it runs.
"""

import argparse
import os
import time
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import mne
import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from simulated_recordings import SCENARIOS, simulate
from threadpoolctl import threadpool_limits

from skmxne import MixedNormCV, MixedNormIC, mixed_norm_path

N_ALPHAS, EPS = 20, 0.05
HINDSIGHT = "hindsight"
DEFAULT = "ric"
# Name of a choice, and what it is.
CHOICES = {
    HINDSIGHT: "the alpha of the grid with the best F1",
    DEFAULT: "MixedNormIC()",
    "ric, trials": "MixedNormIC(target_covariance=...), from the trials",
    "ric, unknown noise": "MixedNormIC(noise_variance=None)",
    "bic": 'MixedNormIC(criterion="bic")',
    "bic, trials": 'MixedNormIC(criterion="bic", target_covariance=...)',
    "sure": 'MixedNormIC(criterion="sure")',
    "gcv": 'MixedNormIC(criterion="gcv")',
    "discrepancy": 'MixedNormIC(criterion="discrepancy")',
    "cv": "MixedNormCV(n_mxne_iter=10)",
    "cv, one se": "MixedNormCV(n_mxne_iter=10, one_standard_error=True)",
    "cv, trials": "MixedNormCV(n_mxne_iter=10), fit with y_folds",
    "cv, convex": "MixedNormCV()",
    "mne sure": 'mne.inverse_sparse.mixed_norm(alpha="sure")',
}


def main():
    """Run the study, or what is left of it, and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--n-draws", type=int, default=50, help="recordings of each scenario (50)")
    add("--cv-draws", type=int, default=50, help="of these, how many are cross-validated (50)")
    add("--mne-draws", type=int, default=5, help="of these, how many MNE gets (5: it is slow)")
    add("--scenarios", nargs="*", help="part of the names of those to run (all)")
    add("--n-jobs", type=int, default=2, help="recordings at the same time (2)")
    add("--output", type=Path, default=Path("bench-output"), help="folder of table and figure")
    add("--draws-file", type=Path, default=Path("bench-output/study_draws.csv"))
    arguments = parser.parse_args()
    mne.set_log_level("ERROR")
    folder = os.environ.get("SKMXNE_SAMPLE_DIR")
    if folder is None:
        print("SKMXNE_SAMPLE_DIR is not set: only the scenarios of the built-in gain are run.")
    scenarios = [
        scenario
        for scenario in SCENARIOS
        if (folder or scenario.gain == "built-in")
        and (not arguments.scenarios or any(part in scenario.name for part in arguments.scenarios))
    ]
    for path in (arguments.output, arguments.draws_file.parent):
        path.mkdir(parents=True, exist_ok=True)
    done = pd.read_csv(arguments.draws_file) if arguments.draws_file.exists() else pd.DataFrame()
    known = set(zip(done.scenario, done.seed, strict=True)) if len(done) else set()
    tasks = [
        (scenario, seed, folder, seed < arguments.cv_draws, seed < arguments.mne_draws)
        for seed in range(arguments.n_draws)
        for scenario in scenarios
        if (scenario.name, seed) not in known
    ]
    results = Parallel(n_jobs=arguments.n_jobs, return_as="generator_unordered")(
        delayed(run_draw)(*task) for task in tasks
    )
    frames = [done]
    for k, rows in enumerate(results, start=1):
        frames.append(pd.DataFrame(rows))
        if k % 20 == 0 or k == len(tasks):
            pd.concat(frames).to_csv(arguments.draws_file, index=False)
            print(f"{k} of {len(tasks)} recordings", flush=True)
    draws = pd.concat(frames)
    write_table(draws, arguments.output)
    draw_figure(draws, arguments.output)


def run_draw(scenario, seed, folder, with_cv, with_mne):
    """Localize one recording with every choice of alpha. Return one row for each."""
    mne.set_log_level("ERROR")
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # edges of the grid and empty models are counted in F1
        recording = simulate(scenario, seed, folder)
        found = localize(recording, scenario, with_cv)
        if with_mne:
            found["mne sure"] = localize_with_mne(recording, scenario)
    return [
        dict(scenario=scenario.name, seed=seed, choice=choice, **judgement)
        for choice, judgement in found.items()
    ]


def localize(recording, scenario, with_cv):
    """Choose alpha in every way, and judge what is found."""
    problem = recording.problem
    params = dict(n_orient=problem.n_orient, alphas=N_ALPHAS, eps=EPS)
    data = problem.X, problem.y
    alphas, coefs, _ = mixed_norm_path(
        *data, alphas=N_ALPHAS, eps=EPS, n_orient=problem.n_orient, n_mxne_iter=10
    )
    along_path = [recording.judge(coef) for coef in coefs]
    best = max(along_path, key=lambda judgement: judgement["f1"])
    found = {HINDSIGHT: best | dict(alpha=np.nan, seconds=np.nan)}

    def choose(name, model, **fit_params):
        start = time.perf_counter()
        model.set_params(**params).fit(*data, **fit_params)
        seconds = time.perf_counter() - start
        found[name] = recording.judge(model.coef_) | dict(alpha=model.alpha_, seconds=seconds)
        return model

    def take(name, index, seconds):
        found[name] = along_path[index] | dict(alpha=alphas[index], seconds=seconds)

    choose(DEFAULT, MixedNormIC())
    choose("ric, unknown noise", MixedNormIC(noise_variance=None))
    model = choose("bic", MixedNormIC(criterion="bic"))
    # The other criteria are functions of the same numbers.
    n, rss, dof = problem.y.size, model.residual_sum_of_squares_, model.degrees_of_freedom_
    seconds = found["bic"]["seconds"]
    take("sure", np.argmin(rss + 2 * dof), seconds)
    take(
        "gcv", np.argmin(np.where(dof < n, n * rss / np.maximum(n - dof, 1) ** 2, np.inf)), seconds
    )
    reached = rss <= n - dof
    take("discrepancy", np.argmax(reached) if reached.any() else len(rss) - 1, seconds)
    if scenario.low_passed:
        covariance = recording.target_covariance
        choose("ric, trials", MixedNormIC(target_covariance=covariance))
        choose("bic, trials", MixedNormIC(criterion="bic", target_covariance=covariance))

    if not with_cv:
        return found
    model = choose("cv", MixedNormCV(n_mxne_iter=10))
    means = model.mse_path_.mean(axis=1)
    error = model.mse_path_[means.argmin()].std(ddof=1) / np.sqrt(model.mse_path_.shape[1])
    take("cv, one se", np.argmax(means <= means.min() + error), found["cv"]["seconds"])
    choose("cv, trials", MixedNormCV(n_mxne_iter=10), y_folds=recording.y_folds)
    choose("cv, convex", MixedNormCV())
    return found


def localize_with_mne(recording, scenario):
    """Let MNE's function choose alpha, and judge what it finds."""
    from mne.inverse_sparse import mixed_norm

    start = time.perf_counter()
    dipoles = mixed_norm(
        *(recording.evoked, recording.forward, recording.noise_cov),
        alpha="sure",
        loose=scenario.loose,
        depth=0.8,
        return_as_dipoles=True,
        verbose="ERROR",
    )
    seconds = time.perf_counter() - start
    return recording.judge_dipoles(dipoles) | dict(alpha=np.nan, seconds=seconds)


def compare(draws):
    """Return the mean F1 of every choice in every scenario, and that of hindsight at its draws."""
    order = [choice for choice in CHOICES if choice in set(draws.choice)]
    f1 = draws.pivot_table(index=["scenario", "seed"], columns="choice", values="f1", sort=False)
    best = f1[order].where(f1[order].isna(), f1[[HINDSIGHT]].to_numpy().repeat(len(order), axis=1))
    means = [each.groupby("scenario", sort=False).mean() for each in (f1[order], best)]
    names = [scenario.name for scenario in SCENARIOS if scenario.name in means[0].index]
    return [each.loc[names].rename_axis(index=None, columns=None) for each in means]


def write_table(draws, folder):
    """Write the mean F1 of every choice in every scenario, and what else was measured."""
    f1, best = compare(draws)
    print(f1.round(3).to_markdown(), "\n\nRelative to hindsight at the same recordings:\n")
    print((f1 / best).round(3).to_markdown())
    mine = draws.set_index(["scenario", "seed"])
    others = mine.groupby("choice")[["distance", "amplitude", "positions", "seconds"]].mean()
    summary = pd.DataFrame(
        {
            "F1": f1.mean(),
            "of hindsight": f1.mean() / best.mean(),
            "worst scenario": (f1 / best).min(),
            "distance (mm)": others.distance,
            "error of amplitude": others.amplitude,
            "positions": others.positions,
            "time (s)": others.seconds,
            "recordings": draws.choice.value_counts(),
        }
    ).loc[f1.columns]
    print("\nOver all scenarios:\n")
    print(summary.round(3).to_markdown())
    summary.round(3).to_csv(folder / "study_selection.csv", index_label="choice")
    f1.round(2).to_csv(folder / "study_selection_f1.csv", index_label="scenario")


def draw_figure(draws, folder):
    """Draw the F1 of every choice, scenario by scenario, relative to hindsight."""
    f1, best = compare(draws)
    ratio = (f1 / best).drop(columns=HINDSIGHT)
    fig, ax = plt.subplots(figsize=(9, 0.36 * len(ratio) + 1.8), layout="constrained")
    image = ax.imshow(ratio, cmap="cividis", vmin=0.3, vmax=1.0, aspect="auto")
    for row, column in np.ndindex(ratio.shape):
        value = ratio.iloc[row, column]
        if np.isfinite(value):
            color = "black" if value > 0.7 else "white"
            text = f"{value:.2f}"
            ax.text(column, row, text, ha="center", va="center", color=color, fontsize=7)
    ax.set_xticks(range(ratio.shape[1]), ratio.columns, rotation=40, ha="right")
    ax.set_yticks(range(len(ratio)), ratio.index)
    ax.set_title("Mean F1 of the sources within 10 mm, relative to the best alpha by hindsight")
    fig.colorbar(image, ax=ax, label="share of hindsight")
    fig.savefig(folder / "study_selection.png", dpi=150)


if __name__ == "__main__":
    main()
