"""A paragraph on the methods of a run, for a paper."""

from ..inverse.inputs import describe_evokeds
from .description import describe_baseline, describe_loose, join
from .versions import collect_versions

_REFERENCES = {
    "Foster and George, 1994": "Foster DP, George EI (1994). The risk inflation criterion for "
    "multiple regression. The Annals of Statistics 22(4), 1947-1975.",
    "Gramfort et al., 2012": "Gramfort A, Kowalski M, Hämäläinen M (2012). Mixed-norm estimates "
    "for the M/EEG inverse problem using accelerated gradient methods. Physics in Medicine and "
    "Biology 57(7), 1937-1961.",
    "Gramfort et al., 2013": "Gramfort A, Luessi M, Larson E, et al. (2013). MEG and EEG data "
    "analysis with MNE-Python. Frontiers in Neuroscience 7, 267.",
    "Pedregosa et al., 2011": "Pedregosa F, Varoquaux G, Gramfort A, et al. (2011). Scikit-learn: "
    "machine learning in Python. Journal of Machine Learning Research 12, 2825-2830.",
    "Strohmeier et al., 2016": "Strohmeier D, Bekhti Y, Haueisen J, Gramfort A (2016). The "
    "iterative reweighted mixed-norm estimate for spatio-temporal MEG/EEG source reconstruction. "
    "IEEE Transactions on Medical Imaging 35(10), 2218-2228.",
}
CRITERIA_IN_WORDS = {
    "ric": "the risk inflation criterion (Foster and George, 1994), which also allowed for errors "
    "of the forward model",
    "bic": "the Bayesian information criterion",
    "sure": "Stein's unbiased risk estimate",
    "gcv": "generalized cross-validation",
    "discrepancy": "the discrepancy principle",
}


def describe_methods(run):
    """Describe the analysis in one paragraph, followed by the references, one per line."""
    sentences = [
        *_describe_data(run),
        *_describe_model(run),
        *_describe_alpha(run),
        *_describe_confidence(run),
        *_describe_software(),
    ]
    paragraph = " ".join(sentences)
    references = [text for key, text in sorted(_REFERENCES.items()) if key in paragraph]
    return "\n".join([paragraph, "", "References", *references]) + "\n"


def _describe_data(run):
    """Describe the data and their preparation."""
    evokeds, problem = [condition.evoked for condition in run.conditions], run.problem
    names = " and ".join(repr(evoked.comment) for evoked in evokeds)
    trials = " and ".join(f"{evoked.nave:g}" for evoked in evokeds)
    times = join(describe_evokeds([evoked])["Times"] for evoked in evokeds)
    simulated = "" if run.arguments.forward else "simulated "
    plural, respectively = ("s", ", respectively") if len(evokeds) > 1 else ("", "")
    yield (
        f"Sources were estimated from the {simulated}average{plural} {names} of {trials} trials"
        f"{respectively}, from {times}, at {len(problem.ch_names)} channels "
        f"({describe_evokeds(evokeds)['Channels']})."
    )
    baselines = {evoked.comment: describe_baseline([evoked]) for evoked in evokeds}
    if len(set(baselines.values())) > 1:
        parts = (f"{baseline} for {name!r}" for name, baseline in baselines.items())
        yield f"The baselines subtracted were {' and '.join(parts)}."
    elif "none" in baselines.values():
        yield "No baseline was subtracted."
    else:
        yield f"The mean from {describe_baseline(evokeds)} had been subtracted."
    yield (
        "Data and forward solution were whitened with the noise covariance of single trials (rank "
        f"{len(problem.X)}), scaled by the number of trials."
    )


def _describe_model(run):
    """Describe the forward solution and the model."""
    problem, arguments = run.problem, run.arguments
    loose, depth = describe_loose(problem), arguments.depth
    orientations = {
        "0": "with orientations fixed along the normals of the cortex",
        "1": "with free orientations",
    }.get(
        loose, f"with loose orientations (variance of tangential relative to normal ones {loose})"
    )
    weighting = (
        "without depth weighting"
        if depth in ("none", 0)
        else f"and depth weighting of exponent {depth:g}"
    )
    yield (
        f"The {run.src.kind} source space had {len(problem.locations)} positions, {orientations} "
        f"{weighting}."
    )
    joint = ""
    if len(run.conditions) > 1:
        joint = " of all conditions together, which share positions but not amplitudes"
    reweighting = ""
    if arguments.n_mxne_iter > 1:
        reweighting = (
            f", reweighted in at most {arguments.n_mxne_iter} iterations (irMxNE; Strohmeier "
            "et al., 2016)"
        )
    yield (
        f"The model was the mixed-norm estimate{joint} (MxNE; Gramfort et al., 2012){reweighting}. "
        "The bias of amplitudes was corrected by one factor per source."
    )


def _describe_alpha(run):
    """Say how the penalty was chosen."""
    model, alpha = run.model, run.arguments.alpha
    scale = "percent of the smallest penalty without any source"
    if not isinstance(alpha, str):
        yield f"Its penalty, alpha, was set to {alpha:g} {scale}."
        return
    problem = run.problem
    if alpha == "cv" and problem.y_folds is None:
        criterion = f"{model.mse_path_.shape[1]}-fold cross-validation over whitened channels"
    elif alpha == "cv":
        criterion = f"{len(problem.y_folds)}-fold cross-validation over trials"
    else:
        criterion = CRITERIA_IN_WORDS[alpha]
        if alpha != "ric" and problem.y_folds is not None:
            criterion += ", with the covariance of noise over time estimated from the trials"
    chosen = getattr(model, "path_alpha_", model.alpha_)
    yield (
        f"Its penalty, alpha, was chosen by {criterion}, from {len(model.alphas_)} values from "
        f"{model.alphas_[0]:.3g} to {model.alphas_[-1]:.3g} {scale}: {chosen:.3g}."
    )
    if alpha == "ric" and run.arguments.n_mxne_iter > 1:
        found = [remark for remark in run.remarks if remark.startswith("The search ")]
        if chosen != model.alpha_:
            found.append(f"The model of the positions found has an alpha of {model.alpha_:.3g}.")
        yield (
            "A search then moved, added and dropped positions if that lowered the criterion. "
            f"{' '.join(found) or 'It changed nothing.'}"
        )


def _describe_confidence(run):
    """Explain regions and p-values, if there are any."""
    if run.confidence is None or not len(run.confidence.positions):
        return
    noise = (
        "normal noise with the correlation over time of the residual"
        if run.problem.y_folds is None
        else "noise like that of the trials"
    )
    yield (
        f"For each source, the region of level {100 * run.confidence.level:g} % contains the "
        "positions where it could be. The p-value is the probability that, in noise alone, the "
        "best of all positions explains as much as the source adds to stronger ones, estimated "
        f"from 200 draws of {noise}, to whose maxima a Gumbel distribution was fitted."
    )


def _describe_software():
    """Name the packages and their versions."""
    versions = collect_versions()
    yield (
        f"The software was skmxne {versions['skmxne']} with MNE-Python {versions['mne']} (Gramfort "
        f"et al., 2013), scikit-learn {versions['scikit-learn']} (Pedregosa et al., 2011), NumPy "
        f"{versions['numpy']} and SciPy {versions['scipy']}."
    )
