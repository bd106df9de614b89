"""Sparse M/EEG source imaging with scikit-learn estimators."""

from importlib import import_module

__version__ = "0.1.0.dev0"

# Public name -> the module that defines it, imported when the name is first used: `import skmxne`
# takes no time, and who works on arrays never waits for MNE.
_MODULES = {
    "InverseProblem": "inverse_problem",
    "MixedNormCV": "model_selection",
    "MixedNormEstimator": "estimator",
    "MixedNormIC": "model_selection",
    "PathDisplay": "plotting",
    "SelectionDisplay": "plotting",
    "SourceDisplay": "plotting",
    "SourceWeighting": "source_weighting",
    "compute_certificate": "certificate",
    "mixed_norm": "drop_in",
    "mixed_norm_path": "path",
    "verify": "certificate",
}

__all__ = list(_MODULES)


def __getattr__(name):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__():
    return sorted({*globals(), *__all__})
