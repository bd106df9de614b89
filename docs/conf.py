"""The site: ``python -m sphinx -W -b html docs docs/_build/html`` builds it, without a network."""

import os
import sys
from pathlib import Path

import skmxne

# Before matplotlib is imported, by the examples, too: no window opens.
os.environ["MPLBACKEND"] = "Agg"
sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "skmxne"
author = "the skmxne developers"
copyright = "the skmxne developers"
release = version = skmxne.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "matplotlib.sphinxext.plot_directive",
    "myst_parser",  # for CONTRIBUTING.md
    "sphinx_gallery.gen_gallery",
    # in extensions/
    "mathml",
    "external_links",
    "written_out",
]
templates_path = ["templates"]
exclude_patterns = ["_build"]
highlight_language = "python"

# Names in single backticks are links where there is a page.
default_role = "py:obj"
nitpicky = True
nitpick_ignore_regex = [
    # Names without a page: parameters, attributes, and the like.
    ("py:obj", r"[A-Za-z_]\w*(\.fit)?|\[\"x0\".*"),
    # Other packages, whose sites cannot be looked up without a network.
    ("py:.*", r"(dask|joblib|logging|matplotlib|mne|numpy|scipy|sklearn|warnings)\..*"),
]

autosummary_generate = True
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
numpydoc_validation_checks = set()  # `numpydoc lint` is in pre-commit

plot_formats = [("png", 144)]
plot_html_show_formats = False
plot_html_show_source_link = False
plot_rcparams = {"savefig.bbox": "tight", "savefig.facecolor": "white"}
plot_apply_rcparams = True

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "subsection_order": [f"../examples/{name}" for name in ("recordings", "choices", "arrays")],
    "within_subsection_order": "gallery_order.find_place",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("skmxne",),
    "image_scrapers": ("matplotlib",),
    "reset_modules": ("matplotlib",),
    "capture_repr": ("_repr_html_", "__repr__"),
    "ignore_repr_types": r"matplotlib\.|skmxne\.plotting\.|builtins\.(list|tuple)",
    "download_all_examples": False,
    "write_computation_times": False,
    "show_signature": False,
    "abort_on_example_error": True,
}

html_theme = "pydata_sphinx_theme"
html_title = f"skmxne {version}"
html_static_path = ["static"]
html_css_files = ["skmxne.css"]
html_show_sourcelink = False
# Pages that are alone in their section.
html_sidebars = {
    name: []
    for name in (
        *("index", "install", "command_line", "from_mne", "from_sklearn"),
        *("study", "benchmarks", "benchmarks_arrays", "reliability"),
        *("contributing", "citing", "changes"),
    )
}
html_copy_source = False
html_theme_options = {
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "header_links_before_dropdown": 6,
    "navbar_align": "left",
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
}
