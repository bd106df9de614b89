"""Which choice of alpha finds the sources: criteria, cross-validation, MNE's SURE and hindsight.

``python benchmarks/study_selection.py --output docs`` simulates recordings (see
`simulated_recordings.py`) on the gain of a recorded subject, where ``SKMXNE_SAMPLE_DIR`` names the
folder that has it, and on the built-in one, and localizes them with every choice of alpha on one
grid. It writes tables and a figure; the numbers of every draw go to ``--draws-file``, from which
an interrupted study goes on, also with more draws. ``--n-draws 2 --mne-draws 0`` shows in minutes
that all of it runs.
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
    DEFAULT: "MixedNormIC(refine=False)",
    "ric, trials": "MixedNormIC(refine=False, target_covariance=...), from the trials",
    "ric, unknown noise": "MixedNormIC(refine=False, noise_variance=None)",
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
    "mne sure, noise of average": "the same with noise_cov / nave, as it does not use nave",
    "mne sure, that, reweighted": "and with n_mxne_iter=10",
}
# What MNE's function gets: whether the noise is that of the average, and the iterations.
MNE_CHOICES = {
    "mne sure": (False, 1),
    "mne sure, noise of average": (True, 1),
    "mne sure, that, reweighted": (True, 10),
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
    done = pd.DataFrame(columns=["scenario", "seed", "choice"])
    if arguments.draws_file.exists():
        done = pd.read_csv(arguments.draws_file)
    known = set(zip(done.scenario, done.seed, done.choice, strict=True))
    n_draws = {
        DEFAULT: arguments.n_draws,
        "cv": arguments.cv_draws,
        **dict.fromkeys(MNE_CHOICES, arguments.mne_draws),
    }
    tasks = []
    for seed in range(arguments.n_draws):
        for scenario in scenarios:
            wanted = [choice for choice, n in n_draws.items() if seed < n]
            parts = [one for one in wanted if (scenario.name, seed, one) not in known]
            if parts:
                tasks.append((scenario, seed, folder, parts))
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
    write_tables(draws, arguments.output)
    draw_figure(draws, arguments.output)


def run_draw(scenario, seed, folder, parts):
    """Localize one recording with choices of alpha. Return one row for each."""
    mne.set_log_level("ERROR")
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # edges of the grid and empty models are counted in F1
        trial = Trial(simulate(scenario, seed, folder))
        if DEFAULT in parts:
            trial.try_criteria()
        if "cv" in parts:
            trial.try_cross_validation()
        for name in [part for part in parts if part in MNE_CHOICES]:
            trial.try_mne(name, scenario.loose)
    return [
        dict(scenario=scenario.name, seed=seed, choice=choice, **judgement)
        for choice, judgement in trial.found.items()
    ]


class Trial:
    """Choices of alpha for one recording, and what is found with them."""

    def __init__(self, recording):
        self.recording, self.found = recording, {}
        problem = recording.problem
        self.data = problem.X, problem.y
        self.params = dict(n_orient=problem.n_orient, alphas=N_ALPHAS, eps=EPS)
        self.alphas, coefs, _ = mixed_norm_path(*self.data, n_mxne_iter=10, **self.params)
        self.along_path = [recording.judge(coef) for coef in coefs]

    def choose(self, name, model, **fit_params):
        """Let an estimator choose, and judge its model."""
        start = time.perf_counter()
        model.set_params(**self.params).fit(*self.data, **fit_params)
        seconds = time.perf_counter() - start
        judgement = self.recording.judge(model.coef_)
        self.found[name] = judgement | dict(alpha=model.alpha_, seconds=seconds)
        return model

    def take(self, name, index, seconds):
        """Take an alpha of the grid."""
        self.found[name] = self.along_path[index] | dict(alpha=self.alphas[index], seconds=seconds)

    def try_criteria(self):
        """Choose by hindsight and by every criterion."""
        self.take(HINDSIGHT, int(np.argmax([one["f1"] for one in self.along_path])), np.nan)
        self.choose(DEFAULT, MixedNormIC(refine=False))
        self.choose("ric, unknown noise", MixedNormIC(refine=False, noise_variance=None))
        model = self.choose("bic", MixedNormIC(criterion="bic"))
        # The other criteria are functions of the same numbers.
        rss, dof = model.residual_sum_of_squares_, model.degrees_of_freedom_
        n, seconds = self.data[1].size, self.found["bic"]["seconds"]
        self.take("sure", np.argmin(rss + 2 * dof), seconds)
        gcv = np.where(dof < n, n * rss / np.maximum(n - dof, 1) ** 2, np.inf)
        self.take("gcv", np.argmin(gcv), seconds)
        reached = rss <= n - dof
        self.take("discrepancy", np.argmax(reached) if reached.any() else len(rss) - 1, seconds)
        told = dict(target_covariance=self.recording.problem.target_covariance)
        self.choose("ric, trials", MixedNormIC(refine=False, **told))
        self.choose("bic, trials", MixedNormIC(criterion="bic", **told))

    def try_cross_validation(self):
        """Choose by folds of rows and of trials."""
        model = self.choose("cv", MixedNormCV(n_mxne_iter=10))
        means = model.mse_path_.mean(axis=1)
        error = model.mse_path_[means.argmin()].std(ddof=1) / np.sqrt(model.mse_path_.shape[1])
        index = np.argmax(means <= means.min() + error)
        self.take("cv, one se", index, self.found["cv"]["seconds"])
        self.choose(
            "cv, trials", MixedNormCV(n_mxne_iter=10), y_folds=self.recording.problem.y_folds
        )
        self.choose("cv, convex", MixedNormCV())

    def try_mne(self, name, loose):
        """Let MNE's function choose."""
        from mne.inverse_sparse import mixed_norm

        recording = self.recording
        of_average, n_mxne_iter = MNE_CHOICES[name]
        noise_cov = recording.noise_cov.copy()
        if of_average:
            noise_cov["data"] = noise_cov["data"] / recording.evoked.nave
        start = time.perf_counter()
        dipoles = mixed_norm(
            *(recording.evoked, recording.forward, noise_cov),
            alpha="sure",
            n_mxne_iter=n_mxne_iter,
            loose=loose,
            depth=0.8,
            return_as_dipoles=True,
            verbose="ERROR",
        )
        seconds = time.perf_counter() - start
        judgement = recording.judge_dipoles(dipoles)
        self.found[name] = judgement | dict(alpha=np.nan, seconds=seconds)


def compare(draws, choices):
    """Return the rows of the recordings that all choices were tried on, and the mean F1.

    Returns
    -------
    draws : DataFrame
        The rows of these choices at these recordings.
    f1 : DataFrame
        Mean F1 in each scenario (rows) of each choice (columns).
    """
    draws = draws[draws.choice.isin(choices)]
    table = draws.pivot_table(index=["scenario", "seed"], columns="choice", values="f1")
    table = table.reindex(columns=choices).dropna()
    draws = draws.set_index(["scenario", "seed"]).loc[table.index]
    f1 = table.groupby("scenario").mean().rename_axis(index=None, columns=None)
    return draws, f1.loc[[one.name for one in SCENARIOS if one.name in f1.index]]


def summarize(draws, choices):
    """Return the means over all scenarios of what was measured, one row for each choice."""
    draws, f1 = compare(draws, choices)
    share = f1.div(f1[HINDSIGHT], axis=0)
    by_choice = draws.assign(empty=(draws.positions == 0).astype(float)).groupby("choice")
    others = by_choice[["distance", "amplitude", "positions", "empty", "seconds"]].mean()
    # Numbers and how many decimals they have.
    summary = {
        "F1": (f1.mean(), 3),
        "of hindsight": (f1.mean() / f1[HINDSIGHT].mean(), 3),
        "worst scenario": (share.min(), 3),
        "distance (mm)": (others.distance, 1),
        "error of amplitude": (others.amplitude, 3),
        "positions": (others.positions, 1),
        "nothing found": (others["empty"], 3),
        "time (s)": (others.seconds, 2),
        "recordings": (by_choice.size(), 0),
    }
    for name, (column, decimals) in summary.items():
        summary[name] = column.map(f"{{:.{decimals}f}}".format, na_action="ignore")
    return pd.DataFrame(summary).loc[choices]


def list_choices(draws):
    """Return the names of our choices, and of MNE's with those to compare them with."""
    there = set(draws.choice)
    ours = [name for name in CHOICES if name in there - set(MNE_CHOICES)]
    peers = [name for name in MNE_CHOICES if name in there]
    return ours, [HINDSIGHT, DEFAULT, *peers] if peers else []


def write_tables(draws, folder):
    """Write what was measured over all scenarios, of us and of MNE, and our mean F1 in each."""
    ours, peers = list_choices(draws)
    for name, choices in [("", ours), ("_mne", peers)]:
        if choices:
            summary = summarize(draws, choices)
            print(f"\n{summary.to_string()}")
            summary.to_csv(folder / f"study_selection{name}.csv", index_label="choice")
    _, f1 = compare(draws, ours)
    print(f"\n{f1.round(3).to_string()}\n\nRelative to hindsight:\n")
    print(f1.div(f1[HINDSIGHT], axis=0).round(3).to_string())
    f1.to_csv(folder / "study_selection_f1.csv", index_label="scenario", float_format="%.2f")


def draw_figure(draws, folder):
    """Draw the F1 of every choice, scenario by scenario, relative to hindsight."""
    shares = []
    for choices in filter(None, list_choices(draws)):
        _, f1 = compare(draws, choices)
        share = f1.div(f1[HINDSIGHT], axis=0).drop(columns=HINDSIGHT)
        shares.append(share.drop(columns=DEFAULT) if shares else share)
    ratio = pd.concat(shares, axis=1)
    fig, ax = plt.subplots(figsize=(9.5, 0.36 * len(ratio) + 2.0), layout="constrained")
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
