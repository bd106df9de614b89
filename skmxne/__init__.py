"""Sparse M/EEG source imaging with scikit-learn estimators."""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0.dev0"

# Public name -> the module that defines it, imported when the name is first used: `import skmxne`
# takes no time, and users of arrays never wait for MNE.
_MODULES = {
    "FieldDisplay": "plotting",
    "InverseProblem": "inverse.problem",
    "MixedNormCV": "model_selection",
    "MixedNormEstimator": "linear_model",
    "MixedNormIC": "model_selection",
    "PathDisplay": "plotting",
    "SelectionDisplay": "plotting",
    "SourceDisplay": "plotting",
    "SourceWeighting": "inverse.weighting",
    "compute_certificate": "inspection",
    "compute_confidence": "inspection",
    "mixed_norm": "inverse.drop_in",
    "mixed_norm_path": "linear_model",
    "verify": "inspection",
}

__all__ = list(_MODULES)

if TYPE_CHECKING:
    from .inspection import compute_certificate as compute_certificate
    from .inspection import compute_confidence as compute_confidence
    from .inspection import verify as verify
    from .inverse.drop_in import mixed_norm as mixed_norm
    from .inverse.problem import InverseProblem as InverseProblem
    from .inverse.weighting import SourceWeighting as SourceWeighting
    from .linear_model import MixedNormEstimator as MixedNormEstimator
    from .linear_model import mixed_norm_path as mixed_norm_path
    from .model_selection import MixedNormCV as MixedNormCV
    from .model_selection import MixedNormIC as MixedNormIC
    from .plotting import FieldDisplay as FieldDisplay
    from .plotting import PathDisplay as PathDisplay
    from .plotting import SelectionDisplay as SelectionDisplay
    from .plotting import SourceDisplay as SourceDisplay


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
