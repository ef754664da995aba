"""Sphinx settings of the site; `make site` writes the pages that it reads."""

import re
from pathlib import Path

project = "Secure AI Training"
copyright = "the course's authors. Text and figures: CC BY 4.0; code: Apache 2.0"
extensions = ["myst_nb"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
language = "en"  # en_GB breaks the search: its translations lack a plural
exclude_patterns = ["_extra", "_static"]

# Notebooks were executed before; Markdown means what it means in JupyterLab.
nb_execution_mode = "off"
nb_merge_streams = True
nb_mime_priority_overrides = [("html", "text/html", 0)]
myst_all_links_external = True  # `coursesite.checks` reads every link of every page
myst_heading_anchors = 4
myst_disable_syntax = [
    "myst_line_comment",
    "myst_target",
    "myst_block_break",
    "myst_role",
]
myst_enable_extensions = ["strikethrough", "tasklist"]

nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # types stand there as they do in the code
suppress_warnings = ["myst.strikethrough", "ref.python"]
toc_object_entries = False
add_module_names = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 72

html_theme = "furo"
html_title = project
html_favicon = "static/favicon.svg"
html_static_path = ["static"]
html_css_files = ["course.css"]
html_js_files = ["course.js"]
html_copy_source = False
html_search_scorer = str(Path(__file__).with_name("scorer.js"))
html_show_sourcelink = False
html_show_sphinx = False
html_use_index = False
html_domain_indices = False
html_theme_options = {"top_of_page_buttons": []}


# Long signatures come as lists without terms, which screen readers stumble over.
LINES = [("<dl>", '<span class="lines">'), ("</dl>", "</span>")]
LINES += [("<dd>", "<span>"), ("</dd>", "</span>")]


# Modules are too many for the sidebar, which marks their list in their place.
LISTED = '<li class="toctree-l1"><a class="reference internal" href="index.html">'


def _mend(app, page, template, context, doctree):
    """Mend what the theme and Sphinx leave: sidebar, lists in signatures."""
    tree = context.get("furo_navigation_tree", "")
    caption = '<p class="caption" role="heading">'
    tree = tree.replace(caption, caption.replace(">", ' aria-level="2">'))
    if page.startswith("library/"):
        tree = tree.replace(LISTED, LISTED.replace("l1", "l1 current current-page"))
    context["furo_navigation_tree"] = tree
    parts = re.split(r'(?s)(<dt class="sig .*?</dt>)', context.get("body", ""))
    for number in range(1, len(parts), 2):
        for old, new in LINES:
            parts[number] = parts[number].replace(old, new)
    context["body"] = "".join(parts)


def setup(app):
    """Let `_mend` see every page after the theme."""
    app.connect("html-page-context", _mend, priority=900)
