"""The documentation site: `make docs` builds it from the pages as they stand, into docs/_build.

The pages read well on a code host too, so what only Sphinx needs is here and in `_site`: navigation from the lists of
index.md, tables and texts that are made of the code, docstrings, and notebooks that are executed.
"""

import os
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import labrhel

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "labrhel"
author = copyright = "the authors of labrhel"
version = release = labrhel.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "_site"]
exclude_patterns = ["_build", "_site"]
highlight_language = "text"  # most blocks are commands with what they print
myst_heading_anchors = 4

html_theme = "furo"
html_title = "labrhel"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}

# -- notebooks: executed at every build, each in an empty folder, with the labrhel that builds the site

NEEDS_TORCH = "notebooks/damped-stack"
has_torch = find_spec("torch") is not None
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_timeout = 600  # s a cell; none takes ten on a quiet machine
nb_execution_raise_on_error = True
nb_execution_excludepatterns = [] if has_torch else [f"{NEEDS_TORCH}.md"]
nb_merge_streams = True

os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
os.environ["LABRHEL_STATE"] = tempfile.mkdtemp(prefix="labrhel-docs-")  # not the estops and benches of this machine
os.environ["TERM"] = "dumb"  # a notebook's `!` is a terminal to what it runs; no progress bars on pages
os.environ.setdefault("COLUMNS", "100")  # of tables that commands print

# -- reference: from docstrings

add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
autodoc_type_aliases = {name: name for name in ("Array", "Arrays", "ArrayLike")}

# Types of other projects, whose pages are not asked for while these are built, and what is no class of ours.
nitpick_ignore_regex = [
    ("py:.*", r"(collections|numpy|pathlib|qcodes|signal|subprocess|xarray)\..*"),
    (
        "py:class",
        r"Arrays?|ArrayLike|Executor|Path|tuple\[str|labrhel\.frozen\.FrozenArray|labrhel\.store\.reader\.RunReader|.*\.[A-Z]",
    ),
]
