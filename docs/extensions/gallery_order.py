"""The order of the examples within the sections of the gallery."""

STORIES = (
    "plot_quickstart.py",
    # recordings
    "plot_own_files.py",
    "plot_conditions.py",
    "plot_volume.py",
    "plot_dspm.py",
    "plot_trials.py",
    "plot_orientation.py",
    "plot_confidence.py",
    "plot_many_subjects.py",
    # choices
    "plot_choose_alpha.py",
    "plot_reweighting.py",
    "plot_search_depth.py",
    # arrays
    "plot_block_sparse_regression.py",
    "plot_own_solver.py",
)


def find_place(name):
    """Return what a file is sorted by; one that is not in the list comes last."""
    return STORIES.index(name) if name in STORIES else len(STORIES)
