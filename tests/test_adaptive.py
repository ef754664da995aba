"""Poison in parts with cover, and detectors that ask trusted images."""

import pytest
import torch

from securetrain import (
    adaptive,
    adaptive_matrix,
    adaptive_tricks,
    data,
    models,
    poisoning,
)


def cloud(n, dim=8, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, dim, generator=rng)


# --- Attacks ------------------------------------------------------------------


@pytest.mark.parametrize("side", [1, 4, 8])
def test_squares_tile_the_image(side):
    parts = adaptive.squares(side)
    assert parts.shape == (side**2, 1, 32, 32) and set(parts.unique().tolist()) <= {
        0,
        1,
    }
    assert torch.equal(parts.sum(0), torch.ones(1, 32, 32))
    sizes = {(32 // side) ** 2}
    assert {int(part.sum()) for part in parts} == sizes
    first = parts[0, 0].nonzero()
    assert first.max() == 32 // side - 1, "a square is one block"


@pytest.mark.parametrize("side", [0, 5])
def test_squares_say_what_they_need(side):
    with pytest.raises(ValueError, match=f"a side that divides 32, got {side}"):
        adaptive.squares(side)


def test_corners_are_the_four_stickers_apart():
    parts = adaptive.corners(8)
    assert torch.equal(parts.sum(0), poisoning.four_corners(8)[1])


def test_each_image_shows_its_own_parts_and_nothing_else():
    x = torch.zeros(50, 3, 32, 32)
    parts = adaptive.squares(4)
    shown = adaptive.show_parts(x, torch.ones(3, 32, 32), parts, 5, 0.5, seed=0)
    assert not x.any(), "the input was edited"
    assert set(shown.unique().tolist()) == {0, 0.5}
    inside = torch.einsum("nchw,pchw->np", shown[:, :1], parts) / (64 * 0.5)
    assert set(inside.unique().tolist()) == {0, 1}, "a part is shown whole or not"
    assert (inside.sum(1) == 5).all()
    assert len(inside.unique(dim=0)) > 40, "images share their parts"
    assert inside.mean(0).min() > 0.1, "a part is never shown"
    again = adaptive.show_parts(x, torch.ones(3, 32, 32), parts, 5, 0.5, seed=0)
    other = adaptive.show_parts(x, torch.ones(3, 32, 32), parts, 5, 0.5, seed=1)
    assert torch.equal(shown, again) and not torch.equal(shown, other)


def test_all_parts_are_the_whole_trigger():
    x, _ = data.signs(10, seed=0)
    pattern, mask = poisoning.mosaic(0.3, 8, seed=1)
    found = adaptive.show_parts(x, pattern, adaptive.squares(4), 16, 0.3, seed=0)
    assert torch.allclose(found, poisoning.stamp(x, pattern, mask), atol=1e-6)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"keep": 0}, "1 <= keep <= 16 and 0 < opacity <= 1: 0, 0.2"),
        ({"keep": 17}, "1 <= keep <= 16"),
        ({"opacity": 0}, "0 < opacity <= 1: 8, 0"),
        ({"opacity": 1.5}, "0 < opacity <= 1"),
        ({"pattern": torch.zeros(3, 16, 16)}, "(3, 32, 32), got (3, 16, 16)"),
        ({"parts": adaptive.squares(4, 16)}, "(16, 1, 16, 16)"),
        ({"x": torch.zeros(1, 3, 32, 32).byte()}, "divide by 255"),
    ],
)
def test_show_parts_says_what_it_expected(change, says):
    good = {"x": torch.zeros(2, 3, 32, 32), "pattern": torch.zeros(3, 32, 32)}
    good |= {"parts": adaptive.squares(4), "keep": 8, "opacity": 0.2, "seed": 0}
    with pytest.raises(ValueError) as error:
        adaptive.show_parts(**good | change)
    assert says in str(error.value)


def test_cover_carries_the_trigger_and_keeps_its_label():
    x, y = data.signs(200, seed=0)
    before = x.clone(), y.clone()
    asked = []

    def trigger(images):
        asked.append(len(images))
        return 1 - images

    found = adaptive.poison_with_cover(x, y, trigger, 3, 0.05, 0.1, seed=0)
    assert torch.equal(x, before[0]) and torch.equal(y, before[1]), "input edited"
    hit, cover = found.is_poison, found.is_cover
    assert hit.sum() == 10 and cover.sum() == 20 and not (hit & cover).any()
    assert (found.y[hit] == 3).all() and (y[hit] != 3).all()
    assert torch.equal(found.y[~hit], y[~hit]) and (y[cover] != 3).all()
    assert torch.equal(found.x[hit | cover], 1 - x[hit | cover])
    assert torch.equal(found.x[~(hit | cover)], x[~(hit | cover)])
    assert asked == [30], "one call, so that each image shows parts of its own"
    plain = poisoning.poison(x, y, trigger, 3, 0.05, seed=0)
    none = adaptive.poison_with_cover(x, y, trigger, 3, 0.05, 0, seed=0)
    assert torch.equal(none.x, plain.x) and torch.equal(none.y, plain.y)
    assert not none.is_cover.any()


@pytest.mark.parametrize("rate", [0.81, -0.1])
def test_a_cover_rate_out_of_reach_says_what_is_there(rate):
    x, y = data.signs(100, seed=0)
    with pytest.raises(ValueError, match="expected 0 to 80"):
        adaptive.poison_with_cover(x, y, lambda v: v, 0, 0.1, rate, seed=0)


# --- Defences -----------------------------------------------------------------

STRETCH = torch.tensor([30.0, 10, 3, 1, 1, 1, 1, 1])
SHIFT = torch.tensor([0, 0, 0, 6.0, 0, 0, 0, 0])  # small beside the honest spread


@pytest.fixture
def hidden():
    """Return a set of five classes whose poison, in class 1, hides in a large spread.

    And trusted images of all five.
    """
    y, trusted_y = torch.arange(1500) % 5, torch.arange(250) % 5
    is_poison = torch.zeros(1500, dtype=torch.bool)
    is_poison[(y == 1).nonzero().flatten()[:60]] = True
    centres = 100 * cloud(5, seed=9)
    features = cloud(1500) * STRETCH + centres[y] + is_poison[:, None] * SHIFT
    trusted = cloud(250, seed=1) * STRETCH + centres[trusted_y]
    return features, y, trusted, trusted_y, is_poison


def test_the_metric_evens_out_the_honest_spread(hidden):
    *_, trusted, trusted_y, _ = hidden
    metric = adaptive.trusted_metric(trusted, trusted_y, shrink=0.01)
    known = trusted @ metric
    centred = torch.cat([known[trusted_y == k] - known[trusted_y == k].mean(0)
                         for k in range(5)])  # fmt: skip
    spread = centred.std(0)
    assert spread.max() / spread.min() < 1.5, "STRETCH is thirtyfold"


def test_a_dead_feature_does_not_count_for_ever():
    trusted = torch.cat([cloud(100), torch.zeros(100, 1)], 1)
    metric = adaptive.trusted_metric(trusted, torch.zeros(100).long())
    assert metric.isfinite().all() and metric.abs().max() < 100


def test_two_components_find_what_clusters_do_not(hidden):
    features, y, trusted, trusted_y, is_poison = hidden
    before = features.clone()
    assert not poisoning.activation_clustering(features, y)[is_poison].any()
    found = adaptive.two_components(features, y, trusted, trusted_y)
    assert torch.equal(features, before)
    assert found.index.argmax() == 1 and found.index[1] > adaptive.SUSPECT
    assert found.chance.argmin() == 1 and found.chance[1] < 0.001
    assert found.flagged[is_poison].float().mean() > 0.95
    assert found.flagged[~is_poison].float().mean() < 0.01


def test_the_fringe_of_a_second_component_goes_with_it(hidden):
    """A third of the poison lies nearer to the honest images than to its own."""
    features, y, trusted, trusted_y, is_poison = hidden
    fringe = is_poison & (torch.arange(1500) % 3 == 0)
    far = features + is_poison[:, None] * SHIFT - 1.15 * fringe[:, None] * SHIFT
    found = adaptive.two_components(far, y, trusted, trusted_y, significance=0.01)
    assert found.flagged[fringe].float().mean() > 0.9
    assert found.flagged[~is_poison & (y == 1)].float().mean() < 0.05


def test_honest_classes_are_left_alone(hidden):
    features, y, trusted, trusted_y, is_poison = hidden
    honest = features - is_poison[:, None] * SHIFT
    assert not adaptive.two_components(honest, y, trusted, trusted_y).flagged.any()


def test_a_group_that_trusted_images_share_is_honest(hidden):
    """A class with a rare honest variant: the trusted images have it, too."""
    features, y, trusted, trusted_y, _ = hidden
    rare = (trusted_y == 1) & (torch.arange(250) % 25 == 1)
    trusted = trusted + rare[:, None] * SHIFT
    found = adaptive.two_components(features, y, trusted, trusted_y)
    assert found.index[1] > adaptive.SUSPECT and not found.flagged.any()


def test_a_referee_with_the_same_poison_sees_nothing(hidden):
    features, y, _, _, _ = hidden
    assert not adaptive.two_components(features, y, features, y).flagged.any()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"trusted_y": torch.zeros(250).long()},
            "class 1 needs 2 images",
        ),
        ({"features": torch.full((1500, 8), torch.nan)}, "NaN or infinity"),
        ({"trusted": torch.full((250, 8), torch.inf)}, "NaN or infinity"),
        ({"y": torch.zeros(3).long()}, "(1500,), one label an image"),
    ],
)
def test_two_components_say_what_they_expected(hidden, change, says):
    names = ("features", "y", "trusted", "trusted_y")
    with pytest.raises(ValueError) as error:
        adaptive.two_components(**dict(zip(names, hidden, strict=False)) | change)
    assert says in str(error.value)


def test_the_metric_says_what_it_needs(hidden):
    with pytest.raises(ValueError, match="0 < shrink <= 1, got 0"):
        adaptive.trusted_metric(hidden[2], hidden[3], shrink=0)


def test_pooled_features_are_maxima_and_means():
    model, (x, _) = models.small_resnet(0), data.signs(models.BATCH + 20, seed=0)
    found = adaptive.pooled(model, x)
    assert found.shape == (len(x), 128)
    assert torch.allclose(found[:, :64], models.features(model, x), atol=1e-5)
    with torch.inference_mode():
        means = model.maps(x[-20:]).mean((2, 3))
    assert torch.allclose(found[-20:, 64:], means, atol=1e-4)


# --- The tables of the ledger --------------------------------------------------


@pytest.fixture
def untrained(monkeypatch):
    """Replace training, so that a table is built in seconds; count the trainings."""
    trained = []

    def train(x, y, seed, **_):
        trained.append(len(x))
        return models.small_resnet(seed).eval()

    for module in (adaptive_matrix.training, adaptive_tricks, poisoning):
        monkeypatch.setattr(module, "train", train)
    monkeypatch.setattr(adaptive_matrix, "N_TRAIN", 600)
    monkeypatch.setattr(adaptive_matrix, "N_TEST", 100)
    monkeypatch.setattr(adaptive_matrix, "N_TRUSTED", 200)
    monkeypatch.setattr(adaptive_tricks, "N_TRAIN", 600)
    monkeypatch.setattr(adaptive_tricks, "N_TEST", 100)
    return trained


def test_the_matrix_has_a_cell_for_every_attack_and_defence(untrained):
    rows = adaptive_matrix.measure(0)
    *attacks, flagged, lost = rows
    assert attacks == [*adaptive_matrix.ATTACKS, adaptive_matrix.REFEREE]
    assert (flagged, lost) == (adaptive_matrix.FLAGGED, adaptive_matrix.LOST)
    columns = [*adaptive_matrix.BLIND, *adaptive_matrix.TRUSTING]
    assert all(list(cells) == columns for cells in rows.values())
    rates = [rate for attack in attacks for rate in rows[attack].values()]
    assert all(0 <= rate <= 1 for rate in rates)
    assert rows[flagged]["none"] == 0 == rows[lost]["none"]
    assert untrained.count(600) >= 6, "one model for each attack, one for clean data"


def test_the_small_tables_hold_rates(untrained):
    for table in (adaptive_tricks.tricks(0), adaptive_tricks.misses(0)):
        assert len({tuple(cells) for cells in table.values()}) == 1
        assert all(0 <= rate <= 1 for row in table.values() for rate in row.values())


def test_strangers_are_images_among_other_labels():
    features = torch.cat([cloud(60), cloud(60, seed=1) + 50])
    y = (torch.arange(120) >= 60).long()
    y[3] = 1
    share = adaptive_tricks.strangers(features, y, neighbours=20)
    assert share[3] == 1 and share[60:].max() == 0 and 0 < share[:60].mean() < 0.1


def test_steadiness_is_high_where_nothing_changes_the_prediction():
    class Sure(torch.nn.Module):
        def forward(self, x):
            bright = x.mean((1, 2, 3))
            return torch.stack([40 * bright, torch.zeros_like(bright)], 1)

    x = torch.cat([torch.zeros(20, 3, 8, 8), torch.ones(1, 3, 8, 8)])
    found = adaptive_tricks.steadiness(Sure(), x, seed=0)
    assert (found <= 0).all() and found[20] > found[:20].median() + 0.1


def test_losses_are_those_of_training():
    model, (x, y) = models.small_resnet(0).eval(), data.signs(130, seed=0)
    found = adaptive_tricks.losses(model, x, y)
    with torch.inference_mode():
        expected = torch.nn.functional.cross_entropy(model(x), y)
    assert found.shape == (130,)
    assert found.mean().item() == pytest.approx(expected.item(), abs=1e-4)
