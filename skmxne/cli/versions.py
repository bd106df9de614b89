"""Versions of the software that a result depends on."""

import platform
from importlib import import_module
from importlib.metadata import version

from threadpoolctl import threadpool_info

from .. import __version__


def collect_versions():
    """Collect the versions of the package and of those that it computes with."""
    # Both bring a BLAS of their own, which threadpoolctl sees once it is loaded.
    import_module("numpy")
    import_module("scipy.linalg")
    libraries = {
        f"{library['internal_api']} {library['version']} ({library['num_threads']} threads)": None
        for library in threadpool_info()
        if library["user_api"] == "blas"
    }
    packages = ("numpy", "scipy", "scikit-learn", "mne", "matplotlib", "threadpoolctl")
    return {
        "skmxne": __version__,
        "Python": platform.python_version(),
        "platform": platform.platform(),
        **{package: version(package) for package in packages},
        "BLAS": ", ".join(libraries) or "unknown to threadpoolctl",
    }
