"""One slider to explore with: it works by keyboard and says what it does."""

from __future__ import annotations

import html
from collections.abc import Callable

from IPython.utils.capture import capture_output

from securetrain.widgets import Slider

Number = int | float


def slider(
    function: Callable[[Number], object],
    *,
    label: str,
    minimum: Number,
    maximum: Number,
    step: Number = 1,
    value: Number | None = None,
) -> Slider:
    """Return a slider that calls `function` with its value and shows what it prints.

    function: takes one number; what it prints, and what it gives to `alt.show` or
        `display`, stands below the slider
    label: what the number is, for the eye and for a screen reader
    value: where the slider stands at first; the minimum when not given
    The function gets whole numbers when all four numbers are whole.
    Raises ValueError for an empty label, an empty range or a value outside it.
    """
    start = minimum if value is None else value
    _check(label, minimum, start, maximum, step)
    numbers = {"minimum": minimum, "maximum": maximum, "step": step, "value": start}
    widget = Slider(label=label, result=render(function, start), **numbers)
    kind = int if all(isinstance(n, int) for n in numbers.values()) else float

    def move(change: dict) -> None:
        widget.result = render(function, kind(change["new"]))

    widget.observe(move, names="value")
    return widget


def _check(
    label: str, minimum: Number, value: Number, maximum: Number, step: Number
) -> None:
    if not label.strip():
        raise ValueError("slider() needs a label that says what the number is.")
    if not minimum < maximum or step <= 0 or not minimum <= value <= maximum:
        raise ValueError(
            "slider() expects minimum <= value <= maximum and a step above 0, but came "
            f"minimum={minimum}, value={value}, maximum={maximum}, step={step}."
        )


def render(function: Callable[[Number], object], value: Number) -> str:
    """Call the function and return what it printed and displayed as HTML."""
    with capture_output() as captured:
        try:
            function(value)
        except Exception as error:
            print(f"{type(error).__name__}: {error}")
    parts = [f"<pre>{html.escape(text)}</pre>" for text in (captured.stdout,) if text]
    for output in captured.outputs:
        text = html.escape(output.data.get("text/plain", ""))
        parts.append(output.data.get("text/html") or f"<pre>{text}</pre>")
    return "\n".join(parts)
