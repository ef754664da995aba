"""Figures: axes in, axes out, and what a reader finds on them."""

import subprocess
import sys

import pytest
import torch
from matplotlib import colors
from matplotlib import pyplot as plt

from securetrain import plots, translog

X = torch.linspace(0, 1, 2 * 3 * 32 * 32).view(2, 3, 32, 32)
VALUES = torch.tensor([0.1, 0.2, 0.3, 5.0])
POISON = torch.tensor([False, False, False, True])
RATES = {"before": {"clean": 0.99, "attacked": 0.97}, "after": {"clean": 0.98}}
FIGURES = {
    "images": lambda **k: plots.images(X, ["a", "b"], **k),
    "one channel": lambda **k: plots.images(X[:, :1], ["a", "b"], **k),
    "bars": lambda **k: plots.bars(RATES, **k),
    "scores": lambda **k: plots.scores(VALUES, POISON, label="score", **k),
    "plane": lambda **k: plots.plane(torch.rand(4, 2), POISON, **k),
    "curve": lambda **k: plots.curve([1, 2], {"a": [0.1, 0.9]}, label="%", **k),
    "exposure": lambda **k: plots.exposure(
        {"a": {0: [1.0, 2.0], 4: [30.0]}}, {"all": 80.0}, **k
    ),
    "roc": lambda **k: plots.roc({"a": [[0.01, 1.0], [0.2, 1.0]]}, **k),
    "tree": lambda **k: plots.tree(11, 5, **k),
    "heat": lambda **k: plots.heat([[0.1, 0.9]], ["r"], ["c", "d"], **k),
    "spans": lambda **k: plots.spans({"r": [(0, 2, "attacked")]}, label="hours", **k),
    "table": lambda **k: plots.table({"r": {"a c": [0.1, 0.3], "d": [1, 1]}}, **k),
}


@pytest.fixture(autouse=True)
def backend():
    """Draw without a screen, and close what a test opened."""
    plt.switch_backend("agg")
    yield
    plt.close("all")


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)
def test_a_figure_is_drawn_on_the_axes_it_was_given(draw):
    _, (left, right) = plt.subplots(1, 2)
    assert draw(title="We find this", ax=right) is right
    assert plt.get_fignums() == [1] and not left.has_data()
    assert right.get_title(loc="left") == "We find this"
    right.figure.canvas.draw()


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)
def test_without_axes_each_figure_makes_its_own(draw):
    first, second = draw(title="One"), draw(title="Two")
    assert first.figure is not second.figure
    assert [ax.get_title(loc="left") for ax in (first, second)] == ["One", "Two"]
    assert tuple(first.figure.get_size_inches()) == plots.SIZE
    second.figure.canvas.draw()


def words(ax):
    return [text.get_text() for text in ax.texts]


def test_images_stand_side_by_side_above_their_captions():
    ax = FIGURES["images"](title="t")
    assert words(ax) == ["a", "b"]
    first, second = (shown.get_extent() for shown in ax.images)
    assert first[1] < second[0] and ax.get_xlim()[1] >= second[1]
    assert torch.allclose(torch.as_tensor(ax.images[1].get_array()), X[1].movedim(0, 2))


def test_bars_name_and_number_each_rate_in_its_role_colour():
    ax = plots.bars(RATES, "t")
    assert words(ax) == ["0.99", "0.98", "0.97"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["before", "after"]
    for bars, role in zip(ax.containers, ("clean", "attacked"), strict=True):
        for bar in bars:
            assert colors.to_hex(bar.get_facecolor()) == plots.COLOURS[role]
            assert bar.get_hatch() == plots.HATCHES[role]
    assert ax.get_legend() and ax.get_ylim()[0] == 0


def test_bars_take_the_roles_they_are_given():
    rates = {"a": {"plain": 0.5, "hardened": 0.7}}
    ax = plots.bars(rates, "t", roles={"plain": "attacked", "hardened": "defended"})
    found = [colors.to_hex(bars[0].get_facecolor()) for bars in ax.containers]
    assert found == [plots.ATTACKED, plots.DEFENDED]


def test_bars_of_one_series_need_no_legend():
    assert plots.bars({"a": {"rate": 0.5}}, "t").get_legend() is None


def test_scores_count_every_image_once():
    ax = plots.scores(VALUES, POISON, "t", "squared projection")
    heights = [sum(bar.get_height() for bar in bars) for bars in ax.containers]
    assert heights == [3, 1] and ax.get_xlabel() == "squared projection"
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["clean (3)", "poison (1)"]


def test_the_plane_shows_clean_and_poison_apart():
    points = torch.arange(8.0).view(4, 2)
    clean, poison = plots.plane(points, POISON, "t").collections
    assert clean.get_offsets().tolist() == points[:3].tolist()
    assert poison.get_offsets().tolist() == points[3:].tolist()
    assert colors.to_hex(poison.get_facecolor()[0]) == plots.ATTACKED


def test_a_curve_differs_from_the_next_in_colour_and_marker():
    lines = {"kept": [0.9, 0.8], "attack": [0.1, 0.7], "after": [0.1, 0.2]}
    ax = plots.curve([1, 10], lines, "t", "poison (%)")
    assert [line.get_label() for line in ax.lines] == list(lines)
    assert [list(line.get_ydata()) for line in ax.lines] == list(lines.values())
    assert len({(line.get_color(), line.get_marker()) for line in ax.lines}) == 3
    assert len({line.get_marker() for line in ax.lines}) == 3


def test_a_curves_lines_may_have_positions_of_their_own():
    lines = {"signs": [0.3, 0.9], "digits": [0.4, 0.5, 0.8]}
    x = {"digits": [0.6, 0.7, 0.8], "signs": [0.75, 0.95]}
    ax = plots.curve(x, lines, "t", "fold accuracy")
    drawn = {line.get_label(): list(line.get_xdata()) for line in ax.lines}
    assert drawn == x
    assert [list(line.get_ydata()) for line in ax.lines] == list(lines.values())


def test_a_curve_refuses_more_lines_than_there_are_roles():
    with pytest.raises(ValueError, match="at most 3 lines, got 4"):
        plots.curve([1], {name: [0.5] for name in "abcd"}, "t", "x")
    assert not plt.get_fignums()


def test_heat_writes_answers_of_yes_and_no_without_decimals():
    ax = plots.heat([[True, 0.0], [1, False]], ["r", "s"], ["c", "d"], "t")
    assert [text.get_text() for text in ax.texts] == ["1", "0", "1", "0"]


def test_heat_writes_each_rate_where_it_can_be_read():
    ax = plots.heat([[0.1, 0.9], [0.5, 0.0]], ["r", "s"], ["c", "d"], "t")
    assert words(ax) == ["0.10", "0.90", "0.50", "0.00"]
    assert [text.get_color() for text in ax.texts][:2] == ["black", "white"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["r", "s"]


def test_drawing_bars_loads_no_torch():
    code = (
        "import sys\n"
        "from securetrain import plots\n"
        "plots.bars({'a': {'clean': 1.0}}, 'title')\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr or "torch was imported"


@pytest.mark.parametrize("size", [1, 2, 3, 8, 11])
def test_a_tree_marks_as_many_hashes_as_the_proof_holds(size):
    leaves = [translog.leaf_hash(bytes([i])) for i in range(size)]
    for leaf in range(size):
        kinds = plots.tree(size, leaf, "t").collections
        count = {kind.get_label(): len(kind.get_offsets()) for kind in kinds}
        assert count["the entry"] == 1 and sum(count.values()) == 2 * size - 1
        proof = translog.inclusion(leaves, leaf)
        assert count.get("sent as proof", 0) == len(proof)
        assert count.get("worked out by the reader", 0) == len(proof)
        plt.close("all")


@pytest.mark.parametrize("leaf", [-1, 4])
def test_a_tree_has_no_other_leaves(leaf):
    with pytest.raises(ValueError, match="expected a leaf from 0 to 3"):
        plots.tree(4, leaf, "t")


def test_a_table_shows_mean_and_interval_and_grows_with_its_rows():
    values = {f"row {i}": {"no one": [0.9, 0.9, 0.9], "d": [0.49, 0.51]} for i in "12"}
    ax = plots.table(values, "t")
    assert words(ax)[:2] == ["0.90", "[0.90, 0.90]"] and words(ax)[2] == "0.50"
    assert words(ax)[3] == "[0.37, 0.63]"  # t of one degree, tables: 12.71 x 0.01
    assert [label.get_text() for label in ax.get_xticklabels()] == ["no\none", "d"]
    nearly = words(plots.table({"r": {"c": [-0.001, -0.001]}}, "t"))
    assert nearly == ["0.00", "[0.00, 0.00]"]
    tall = plots.table({f"row {i}": {"a": [0, 1]} for i in range(12)}, "t")
    assert tall.figure.get_size_inches()[1] > plots.SIZE[1]


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [([0.1, 0.9], "[0.00, 1.00]"), ([-0.3, -0.1], "[-0.30, 1.00]")],
)
def test_an_interval_ends_where_no_rate_can_lie(seeds, expected):
    """Student's interval of few seeds reaches past 0 and 1; a rate does not."""
    assert words(plots.table({"r": {"c": seeds}}, "t"))[1] == expected


def test_exposure_joins_the_means_and_shows_each_key():
    bits = {"open": {0: [1.0, 3.0], 16: [60.0, 80.0]}, "scrubbed": {16: [2.0]}}
    ax = plots.exposure(bits, {"the whole key": 82.7}, "Copies give it away")
    drawn = {line.get_label(): list(line.get_ydata()) for line in ax.lines}
    assert drawn["open"] == [2.0, 70.0] and drawn["scrubbed"] == [2.0]
    shown = [y for line in ax.lines for y in line.get_ydata()]
    assert {1.0, 3.0, 60.0, 80.0, 82.7} <= set(shown)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["0", "16"]
    assert words(ax) == ["the whole key"]


def test_a_roc_has_two_logarithmic_axes_and_shows_guessing():
    ax = plots.roc({"loss": [[0.001, 0.1, 1], [0.002, 0.2, 1]]}, "Few accused")
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    drawn = {line.get_label(): line for line in ax.lines}
    assert list(drawn["guessing"].get_xdata()) == [0.001, 1]
    assert list(drawn["loss"].get_ydata()) == [0.002, 0.2, 1]


@pytest.mark.parametrize("draw", [plots.exposure, plots.roc])
def test_a_fourth_line_has_no_colour(draw):
    four = {name: {0: [1.0]} for name in "abcd"}
    given = (four, {}, "t") if draw is plots.exposure else (four, "t")
    with pytest.raises(ValueError, match="at most 3"):
        draw(*given)


def test_spans_lie_where_they_began_with_the_first_row_on_top():
    rows = {
        "key": [(6, 33, "attacked"), (33, 34, "defended")],
        "log": [(12, 33, "clean")],
    }
    ax = plots.spans(rows, "Most lay before", "hours", (33, "alarm"))
    bars = [(bar.get_x(), bar.get_width()) for bar in ax.patches]
    assert bars == [(6, 27), (33, 1), (12, 21)]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["key", "log"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1] and "alarm" in words(ax)[0]
