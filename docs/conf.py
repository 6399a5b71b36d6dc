"""The documentation as a site: `make docs`. The pages are Markdown; antsibull-docs generates those of roles and plugins."""

import posixpath
import re

project = "asgi.deploy"
copyright = "the asgi.deploy authors"
extensions = ["myst_parser", "sphinx_antsibull_ext"]
root_doc = "README"
html_theme = "alabaster"
html_theme_options = {"description": "Deploys ASGI and WSGI apps without losing a request", "fixed_sidebar": True}
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
html_show_sourcelink = False
# Give headings the same anchors as GitHub.
myst_heading_anchors = 6
# Links into Ansible's documentation would need intersphinx and the network. The syntax highlighter rejects Jinja in YAML.
suppress_warnings = ["ref.ref", "misc.highlighting_failure"]

REPOSITORY = "https://github.com/asgi-deploy/asgi.deploy/blob/main/"
LINK = re.compile(r"(?<=\]\()(\.\./[^)\s]+|[\w/-]+\.(?:yml|json|png))(?=\))")
# Not in docs/README.md, because GitHub would show this Sphinx directive as text.
NAVIGATION = """
```{toctree}
:hidden:
:glob:
:maxdepth: 1

tutorial/*
how-to/*
reference/*
reference/collection/index
explanation/*
benchmarks/*
```
"""


def adapt_to_site(app, docname, source):
    """Add the navigation to the first page, and point links to files that are not pages at the repository."""

    def target(match):
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(docname), match[0]))
        is_page = path.startswith("docs/") and re.search(r"\.(md|png|svg)(#|$)", path)
        return match[0] if is_page else f"{REPOSITORY}{path}"

    source[0] = LINK.sub(target, source[0])
    if docname == root_doc:
        source[0] += NAVIGATION


def setup(app):
    app.connect("source-read", adapt_to_site)
    return {"parallel_read_safe": True}
