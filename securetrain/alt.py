"""Figures with alternative text, for those who do not see them."""

from __future__ import annotations

import base64
import html
import io

from IPython.display import display
from matplotlib import pyplot as plt
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure

SIZE = (6, 3.5)  # inches
PIXELS_PER_INCH = 96  # what a browser shows; the image itself has twice as many


def show(axes_or_figure: Axes | Figure, alt: str) -> None:
    """Display a figure with alternative text, then close it.

    axes_or_figure: what a function of `plots` returns; a figure whose size nobody
        chose becomes 6 x 3.5 inches
    alt: what a reader who cannot see the figure needs to know, in one sentence or two
    Raises ValueError when there is no figure or no text.
    """
    figure = getattr(axes_or_figure, "figure", axes_or_figure)
    if not isinstance(figure, Figure):
        raise ValueError(
            "show() expects matplotlib axes or a figure, "
            f"but came {type(axes_or_figure).__name__}."
        )
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError("show() needs alt=: a sentence that says what it shows.")
    if list(figure.get_size_inches()) == list(rcParams["figure.figsize"]):
        figure.set_size_inches(SIZE)
    png = io.BytesIO()
    dpi = 2 * PIXELS_PER_INCH
    figure.savefig(png, format="png", dpi=dpi, bbox_inches="tight", facecolor="white")
    plt.close(figure)
    _display(png.getvalue(), " ".join(alt.split()))


def _display(png: bytes, alt: str) -> None:
    """Send an image as HTML and as PNG.

    JupyterLab draws the HTML, as it gives a PNG output no alternative text;
    nbconvert and papermill keep the PNG and its `alt`.
    """
    width = int.from_bytes(png[16:20], "big") // 2  # the header holds the width
    code = base64.b64encode(png).decode()
    image = (
        f'<img src="data:image/png;base64,{code}" alt="{html.escape(alt)}" '
        f'width="{width}" style="max-width: 100%; height: auto">'
    )
    display(
        {"image/png": code, "text/html": image, "text/plain": f"[Figure: {alt}]"},
        metadata={"image/png": {"alt": alt, "width": width}},
        raw=True,
    )
