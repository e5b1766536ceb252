"""Configuration of Sphinx: ``tox -e docs`` builds the pages of this folder."""

from __future__ import annotations

import os
import re
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import sphinx.application

import napari_restore

ROOT = Path(__file__).parents[1]
REPOSITORY = dict(url.split(", ", 1) for url in metadata("napari-restore").get_all("Project-URL") or []).get("Source")
"""Where the source code is; None until the package says so."""

project = "napari-restore"
author = copyright = "napari-restore developers"
version = release = napari_restore.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["gallery/*.md", "gallery/*.rst"]
templates_path = ["_templates"]
root_doc = "index"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
# GitHub shows these pages too, and starts each at its own heading level.
suppress_warnings = ["myst.header", "config.cache"]

html_theme = "pydata_sphinx_theme"
html_title = "napari-restore"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options: dict[str, Any] = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings have the types
autodoc_default_options = {"show-inheritance": True}
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True  # or the attributes of a class would be listed twice
default_role = "code"  # a name in single backticks, as docstrings of this field write it
# Filled only where `DOCS_INTERSPHINX=1`: a build needs no network.
intersphinx_mapping = (
    {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "dask": ("https://docs.dask.org/en/stable", None),
        "zarr": ("https://zarr.readthedocs.io/en/stable", None),
    }
    if os.environ.get("DOCS_INTERSPHINX")
    else {}
)

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "gallery_pages",
    "filename_pattern": r"/plot_",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "min_reported_time": 1,
    "show_memory": False,
    "show_signature": False,
    "download_all_examples": False,
    "remove_config_comments": True,
    "write_computation_times": False,
    "copyfile_regex": "",
    "reset_modules": ("matplotlib",),
    "plot_gallery": "True",
}
linkcheck_timeout = 20
linkcheck_retries = 2

_OUTSIDE = {
    "CHANGELOG.md": "project/changelog",
    "CONTRIBUTING.md": "project/contributing",
    "README.md": "index",
    "SECURITY.md": "project/security",
}
"""Files at the root of the repository, and the pages that show them here."""
_LINK = re.compile(r"\[(?P<text>[^\[\]]*)\]\((?P<path>[\w./-]+)(?P<anchor>#[\w-]+)?\)")


def links_that_leave_docs(app: sphinx.application.Sphinx, name: str, source: list[str]) -> None:
    """Put the files at the root into their pages, and correct links that GitHub follows out of docs/.

    They lead to the page of the file, or to the file in the repository, if the package says where that is.
    """
    page = Path(app.srcdir) / name
    shown = next((file for file, shows in _OUTSIDE.items() if shows == name and name != "index"), None)
    if shown is not None:
        source[0] = (ROOT / shown).read_text(encoding="utf-8")
    folder = ROOT if shown is not None else page.parent

    def link(found: re.Match[str]) -> str:
        target = (folder / found["path"]).resolve()
        anchor = found["anchor"] or ""
        if not target.exists() or not target.is_relative_to(ROOT):
            return found[0]
        path = target.relative_to(ROOT).as_posix()
        if path in _OUTSIDE:
            target = Path(app.srcdir) / f"{_OUTSIDE[path]}.md"
        elif not target.is_relative_to(app.srcdir):
            return f"[{found['text']}]({REPOSITORY}/blob/main/{path}{anchor})" if REPOSITORY else found["text"]
        return f"[{found['text']}]({os.path.relpath(target, page.parent)}{anchor})"

    source[0] = _LINK.sub(link, source[0])


def setup(app: sphinx.application.Sphinx) -> None:
    """Connect the functions of this file."""
    app.connect("source-read", links_that_leave_docs)
