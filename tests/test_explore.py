"""Figures carry words, and the slider's function is called with the right numbers."""

from __future__ import annotations

import base64

import matplotlib
import pytest

matplotlib.use("agg")
from matplotlib import pyplot as plt  # noqa: E402

from securetrain import alt, explore  # noqa: E402


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list:
    """What was displayed: pairs of data and metadata."""
    found: list = []
    monkeypatch.setattr(
        alt, "display", lambda data, metadata, raw: found.append((data, metadata))
    )
    return found


def test_a_figure_is_shown_with_its_words_and_closed(shown: list) -> None:
    _, ax = plt.subplots()
    alt.show(ax, alt='A "line"\n that rises')
    (data, metadata) = shown[0]
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert 'alt="A &quot;line&quot; that rises"' in data["text/html"]
    assert data["text/plain"] == '[Figure: A "line" that rises]'
    assert metadata["image/png"]["alt"] == 'A "line" that rises'
    assert plt.get_fignums() == []


def test_a_figure_without_a_size_becomes_six_by_three_and_a_half(shown: list) -> None:
    plain, _ = plt.subplots()
    chosen, _ = plt.subplots(figsize=(4, 2))
    for figure in (plain, chosen):
        alt.show(figure, alt="Empty axes.")
    assert tuple(plain.get_size_inches()) == alt.SIZE
    assert tuple(chosen.get_size_inches()) == (4, 2)


def test_a_figure_without_words_is_refused(shown: list) -> None:
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match="needs alt=: a sentence"):
        alt.show(ax, alt=" ")
    with pytest.raises(ValueError, match="axes or a figure, but came list"):
        alt.show([ax], alt="Axes in a list.")
    assert not shown
    plt.close("all")


def test_the_slider_calls_its_function_and_shows_what_it_prints() -> None:
    came: list = []

    def tell(value: float) -> None:
        came.append(value)
        print(f"<{value}>")

    widget = explore.slider(tell, label="Images", minimum=0, maximum=10, value=4)
    assert widget.result == "<pre>&lt;4&gt;\n</pre>"
    widget.value = 5.0  # as the browser sends it
    assert widget.result == "<pre>&lt;5&gt;\n</pre>"
    assert came == [4, 5] and all(type(value) is int for value in came)


def test_a_slider_of_fractions_gives_fractions() -> None:
    came: list = []
    widget = explore.slider(came.append, label="Rate", minimum=0, maximum=1, step=0.1)
    widget.value = 1.0
    assert came == [0, 1.0] and type(came[1]) is float


def test_an_error_of_the_function_is_said_below_the_slider() -> None:
    widget = explore.slider(lambda n: 1 // n, label="Divisor", minimum=0, maximum=2)
    assert "ZeroDivisionError" in widget.result
    widget.value = 1
    assert widget.result == ""


def test_a_slider_in_words() -> None:
    widget = explore.slider(id, label="Images", minimum=0, maximum=10)
    assert repr(widget).startswith("Slider: Images, from 0 to 10, now 0.")


@pytest.mark.parametrize(
    "change",
    [{"maximum": 0}, {"step": 0}, {"value": 11}, {"value": -1}, {"label": " "}],
)
def test_a_slider_that_cannot_work_is_refused(change: dict) -> None:
    options = {"label": "Images", "minimum": 0, "maximum": 10} | change
    with pytest.raises(ValueError, match=r"slider\(\)"):
        explore.slider(id, **options)
