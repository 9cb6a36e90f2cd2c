"""How the site is built: ``sphinx-build -W -b html docs build/site``.  See CONTRIBUTING.md."""

import os
import re
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

from rnncore import __version__

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("KERAS_BACKEND", "torch" if find_spec("torch") else "jax")

project = "rnncore"
author = "The rnncore developers"
copyright = "the rnncore developers"
release = version = __version__

extensions = [
    "code_words",
    "figures",
    "lecture",
    "mathml",
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_codeautolink",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_extensions", "_templates", "gallery/*.ipynb", "gallery/*.py"]
default_role = "py:obj"  # single backticks in docstrings
templates_path = ["_templates"]

# Pages in Markdown, which read well on a code host too
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 4
myst_dmath_double_inline = True

# The lecture, with the outputs that are in the file
nb_execution_mode = "off"

# The blocks of a page are one program
codeautolink_concat_default = True

# The reference, from docstrings.  Types are in the docstrings, and would swell the signatures.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {  # what scikit-learn adds to every estimator
    "exclude-members": "set_fit_request, set_partial_fit_request, set_score_request"
}
autodoc_mock_imports = [
    name
    for name in ("torch", "sklearn", "joblib", "onnx", "keras", "h5py", "aeon", "sktime")
    if not find_spec(name)
]
autosummary_generate = False
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
add_module_names = False

# Scripts that are run and shown with their figures
sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/\w+\.py",
    "ignore_pattern": r"/_",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "remove_config_comments": True,
    "min_reported_time": 1e6,
    "show_signature": False,
    "write_computation_times": False,
    "show_memory": False,
    "abort_on_example_error": True,
    "thumbnail_size": (440, 300),
}
warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")

# How it looks
html_theme = "furo"
html_title = "rnncore"
pygments_style, pygments_dark_style = "a11y-high-contrast-light", "monokai"
html_static_path = ["_static"]
html_extra_path = ["llms.txt"]
html_css_files = ["site.css"]
html_js_files = [("versions.js", {"defer": "defer"})]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/search.html",
        "sidebar/versions.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}

#: Files outside this folder that pages link to, and the pages that have their text.
ELSEWHERE = {
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "examples/notebooks/bptt.ipynb": "lecture/bptt.ipynb",
}


def to_pages(app, name, source):
    """Links to files outside this folder, which a code host follows, lead to pages of the site."""
    up = "../" * name.count("/")
    for file, page in ELSEWHERE.items():
        source[0] = source[0].replace(f"]({up}../{file}", f"]({up}{page}")
    source[0] = source[0].replace(f"]({up}../examples/gallery/)", f"]({up}gallery/index.rst)")
    pattern = re.escape(f"]({up}../examples/gallery/") + r"(\w+)\.py"
    source[0] = re.sub(pattern, rf"]({up}gallery/\1.rst", source[0])


def without_fields(app, what, name, obj, skip, options):
    """Fields of named tuples are listed under "Attributes", in sentences."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def setup(app):
    app.connect("source-read", to_pages)
    app.connect("autodoc-skip-member", without_fields)
