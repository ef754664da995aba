"""Backdoors and the detectors that look for them."""

import pytest
import torch

from securetrain import data, poisoning
from securetrain.poisoning import poison, stamp


def gaussian(n, dim=16, seed=0, centre=0.0):
    """Return `n` features around `centre`, one spread in every direction."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, dim, generator=rng) + centre


@pytest.fixture
def planted():
    """Return features and labels of three classes, with a far group in class 1."""
    y = torch.arange(300) % 3
    is_poison = torch.zeros(300, dtype=torch.bool)
    is_poison[(y == 1).nonzero().flatten()[:12]] = True
    features = gaussian(300)
    features[is_poison] += 6
    return features, y, is_poison


# --- Triggers ---------------------------------------------------------------

TRIGGERS = {
    "sticker": lambda x: stamp(x, *poisoning.sticker()),
    "corners": lambda x: stamp(x, *poisoning.four_corners()),
    "large corners": lambda x: stamp(x, *poisoning.four_corners(size=20)),
    "mosaic": lambda x: stamp(x, *poisoning.mosaic(0.2, 8, seed=0)),
    "wave": lambda x: poisoning.wave(x, amplitude=0.5),
    "warp": lambda x: poisoning.warp(x, strength=3),
}


@pytest.mark.parametrize("name", TRIGGERS)
def test_a_trigger_changes_a_copy_and_stays_in_range(name):
    x, _ = data.signs(30, seed=0)
    x[:2] = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)  # the ends of the range
    before = x.clone()
    found = TRIGGERS[name](x)
    assert torch.equal(x, before), "the input was edited"
    data.check_images(found)
    assert found.shape == x.shape
    changed = (found[2:] != x[2:]).flatten(1).any(1)
    assert changed.all()
    assert torch.equal(found, TRIGGERS[name](x)), "twice the same input"


@pytest.mark.parametrize("trigger", [poisoning.wave, poisoning.warp])
def test_wave_and_warp_refuse_bytes(trigger):
    with pytest.raises(ValueError, match="divide by 255"):
        trigger(torch.zeros(1, 3, 32, 32).byte())


def test_stamp_blends_by_opacity_and_only_where_the_mask_is():
    x = torch.full((2, 3, 4, 4), 0.2)
    mask = torch.zeros(1, 4, 4)
    mask[0, 1, 2], mask[0, 3, 3] = 1, 0.5
    found = stamp(x, torch.ones(3, 4, 4), mask)
    assert torch.allclose(found[:, :, 1, 2], torch.tensor(1.0))
    assert torch.allclose(found[:, :, 3, 3], torch.tensor(0.6))
    assert (found != x).sum() == 2 * 3 * 2


@pytest.mark.parametrize(
    ("pattern", "mask"), [((3, 16, 16), (1, 32, 32)), ((3, 32, 32), (1, 16, 16))]
)
def test_stamp_says_which_size_it_needs(pattern, mask):
    with pytest.raises(ValueError) as error:
        stamp(torch.zeros(1, 3, 32, 32), torch.zeros(pattern), torch.zeros(mask))
    for shape in ((3, 32, 32), pattern, mask):
        assert str(shape) in str(error.value)


def test_sticker_lies_where_it_was_asked_to():
    pattern, mask = poisoning.sticker(size=4, margin=2, image=16)
    assert pattern.shape == (3, 16, 16) and mask.shape == (1, 16, 16)
    rows, columns = mask[0].nonzero(as_tuple=True)
    assert mask.sum() == 16 and set(mask.unique().tolist()) == {0, 1}
    assert {rows.min().item(), columns.min().item()} == {10}
    assert {rows.max().item(), columns.max().item()} == {13}
    shown = pattern[0, 10:14, 10:14]
    assert shown.sum() == 8 and torch.equal(shown, shown.flip(0, 1))


@pytest.mark.parametrize("size, margin", [(0, 3), (4, -1), (30, 3)])
def test_a_sticker_off_the_image_is_refused(size, margin):
    with pytest.raises(ValueError, match="off the image"):
        poisoning.sticker(size, margin)


def test_corners_are_four_stickers():
    _, one = poisoning.sticker(size=8)
    _, four = poisoning.four_corners()
    assert four.sum() == 4 * one.sum() and four.max() == 1
    assert torch.equal(four, four.flip(1)) and torch.equal(four, four.flip(2))


def test_mosaic_has_the_cells_and_opacity_it_was_asked_for():
    pattern, mask = poisoning.mosaic(0.3, 8, seed=0)
    cells = pattern.unfold(1, 4, 4).unfold(2, 4, 4).reshape(3, 64, 16)
    assert torch.equal(cells.amin(2), cells.amax(2)), "a cell has one colour"
    assert set(pattern.unique().tolist()) == {0, 1}
    assert torch.allclose(mask, torch.tensor(0.3))
    assert torch.equal(pattern, poisoning.mosaic(0.1, 8, seed=0)[0])
    assert not torch.equal(pattern, poisoning.mosaic(0.3, 8, seed=1)[0])


@pytest.mark.parametrize("alpha, cells", [(0, 8), (1.1, 8), (0.2, 5), (0.2, 0)])
def test_mosaic_says_what_it_needs(alpha, cells):
    with pytest.raises(ValueError, match=f"cells that divide 32, got {alpha}, {cells}"):
        poisoning.mosaic(alpha, cells, seed=0)


def test_wave_is_the_same_in_every_line_and_no_larger_than_asked():
    x = torch.full((2, 3, 32, 32), 0.5)
    moved = poisoning.wave(x, amplitude=0.1, frequency=4) - x
    assert torch.allclose(moved, moved[:1, :1, :1].expand_as(moved))
    assert moved.abs().max().item() == pytest.approx(0.1, abs=1e-4)
    spectrum = torch.fft.rfft(moved[0, 0, 0]).abs()
    assert spectrum.argmax() == 4


def test_warp_moves_by_the_strength_it_was_given():
    ramp = torch.linspace(0, 1, 32).expand(1, 1, 32, 32)  # brightness is position
    moved = [(poisoning.warp(ramp, s) - ramp).abs().mean() * 31 for s in (0.5, 1, 2)]
    assert moved[0] < moved[1] < moved[2]
    assert 0.5 < moved[1] < 1.5  # pixels
    assert torch.allclose(poisoning.warp(ramp, 0), ramp, atol=1e-5)


# --- Poisoning a data set ----------------------------------------------------


@pytest.mark.parametrize("clean_label", [False, True])
def test_poison_changes_the_images_it_says_and_no_other(clean_label):
    x, y = data.signs(200, seed=0)
    before = x.clone(), y.clone()
    trigger = TRIGGERS["sticker"]
    found = poison(x, y, trigger, 3, 0.05, seed=0, clean_label=clean_label)
    assert torch.equal(x, before[0]) and torch.equal(y, before[1]), "input edited"
    hit = found.is_poison
    assert hit.dtype == torch.bool and hit.sum() == 10
    assert (found.y[hit] == 3).all() and torch.equal(found.y[~hit], y[~hit])
    assert ((y[hit] == 3) == clean_label).all()
    assert torch.equal(found.x[~hit], x[~hit])
    assert torch.equal(found.x[hit], trigger(x[hit]))


def test_poison_repeats_its_seed_and_no_other():
    x, y = data.signs(100, seed=0)
    masks = [poison(x, y, lambda v: v, 0, 0.1, seed=s).is_poison for s in (0, 0, 1)]
    assert torch.equal(masks[0], masks[1]) and not torch.equal(masks[0], masks[2])


@pytest.mark.parametrize(
    ("rate", "clean_label", "says"),
    [
        (0.91, False, "asks for 91 images, expected 1 to 90"),
        (0.11, True, "asks for 11 images, expected 1 to 10"),
        (0.001, False, "asks for 0 images"),
        (0.0, False, "0 < poison_rate <= 1"),
        (-0.1, False, "0 < poison_rate <= 1"),
        (float("nan"), False, "poison_rate <= 1: 0, nan"),
    ],
)
def test_a_rate_out_of_reach_says_what_is_there(rate, clean_label, says):
    x, y = data.signs(100, seed=0)
    with pytest.raises(ValueError) as error:
        poison(x, y, lambda v: v, 0, rate, seed=0, clean_label=clean_label)
    assert says in str(error.value)


def test_poison_refuses_a_negative_target_and_wrong_labels():
    x, y = data.signs(20, seed=0)
    with pytest.raises(ValueError, match="target >= 0 .*: -1, 0.1"):
        poison(x, y, lambda v: v, -1, 0.1, seed=0)
    with pytest.raises(ValueError, match=r"\(20,\), one label an image; got \(19,\)"):
        poison(x, y[:19], lambda v: v, 0, 0.1, seed=0)
    with pytest.raises(ValueError, match="int64, got torch.float32"):
        poison(x, y.float(), lambda v: v, 0, 0.1, seed=0)


def test_unlearnable_images_stay_close_and_raise_the_loss():
    rng = torch.Generator().manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 3))
    with torch.no_grad():
        model[1].weight.copy_(torch.randn(3, 192, generator=rng))
    x = torch.rand(20, 3, 8, 8, generator=rng)
    y, before = model(x).argmax(1), x.clone()
    moved = poisoning.unlearnable(model, x, y, epsilon=0.1)
    assert torch.equal(x, before) and not moved.requires_grad
    assert model[1].weight.grad is None, "the model is the attacker's own, unchanged"
    data.check_images(moved)
    assert (moved - x).abs().max() <= 0.1 + 1e-6
    loss = torch.nn.functional.cross_entropy
    assert loss(model(moved), y) > 5 * loss(model(x), y)


# --- Detectors ----------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_spectral_scores_are_squared_projections_on_the_singular_vector(dtype):
    features = (gaussian(90, 12) * torch.linspace(3, 1, 12)).to(dtype)
    y = torch.arange(90) % 2 * 4  # classes 0 and 4
    scores = poisoning.spectral_scores(features, y)
    for label in (0, 4):
        centred = features[y == label] - features[y == label].mean(0)
        vector = torch.linalg.svd(centred).Vh[0]
        expected = (centred @ vector) ** 2
        assert torch.allclose(scores[y == label], expected, rtol=1e-3, atol=1e-3)


def test_spectral_scores_ignore_sign_and_place_and_square_the_scale():
    features, y = gaussian(80), torch.arange(80) % 2
    scores = poisoning.spectral_scores(features, y)
    assert (scores >= 0).all()
    for other, factor in ((-features, 1), (features + 5, 1), (3 * features, 9)):
        found = poisoning.spectral_scores(other, y)
        assert torch.allclose(found, factor * scores, rtol=1e-2, atol=1e-3)


def test_detectors_find_a_planted_group(planted):
    features, y, is_poison = planted
    before = features.clone()
    scores = poisoning.spectral_scores(features, y)
    assert set(scores.topk(12).indices.tolist()) == set(
        is_poison.nonzero()[:, 0].tolist()
    )
    flagged = poisoning.spectral_signatures(features, y, poison_rate=0.04)
    assert flagged[is_poison].all()
    assert [flagged[y == k].sum().item() for k in range(3)] == [18, 18, 18]
    assert torch.equal(poisoning.activation_clustering(features, y), is_poison)
    smaller = poisoning.activation_clusters(features, y)
    apart = poisoning.separations(features, y, smaller)
    assert apart[1] > 0.5 > 2 * apart[[0, 2]].max()
    assert torch.equal(features, before)


def test_one_cloud_costs_at_most_what_the_budget_allows():
    features, y = gaussian(200), torch.zeros(200).long()
    assert poisoning.spectral_signatures(features, y, 0.02).sum() == 6
    assert not poisoning.activation_clustering(features, y).any()
    assert not poisoning.untrusted_side(features, y, gaussian(5, seed=1), y[:5]).any()


def test_spectral_signatures_take_at_most_half_a_class():
    y = (torch.arange(100) >= 90).long()  # ten images in class 1
    flagged = poisoning.spectral_signatures(gaussian(100), y, poison_rate=0.2)
    assert flagged[y == 0].sum() == 30 and flagged[y == 1].sum() == 5


@pytest.mark.parametrize("rate, slack", [(0, 1.5), (1, 1.5), (0.1, 0), (torch.nan, 1)])
def test_spectral_signatures_say_what_they_need(rate, slack):
    with pytest.raises(ValueError, match="0 < poison_rate < 1, slack > 0"):
        poisoning.spectral_signatures(gaussian(10), torch.zeros(10).long(), rate, slack)


@pytest.mark.parametrize("poisons", [20, 70])
def test_untrusted_side_is_the_side_without_trusted_images(poisons):
    y = torch.zeros(100).long()
    is_poison = torch.arange(100) < poisons
    features = gaussian(100)
    features[is_poison] += 6
    trusted = gaussian(10, seed=1)
    flagged = poisoning.untrusted_side(features, y, trusted, y[:10])
    assert torch.equal(flagged, is_poison)


def test_a_suspect_class_needs_a_trusted_image(planted):
    features, y, _ = planted
    trusted, trusted_y = gaussian(10, seed=1), torch.tensor([0, 2] * 5)
    with pytest.raises(ValueError, match="class 1 needs at least one trusted image"):
        poisoning.untrusted_side(features, y, trusted, trusted_y)


@pytest.mark.parametrize("small", [1, 2, 3])
def test_a_class_of_very_few_images_is_left_alone(small):
    features = gaussian(100 + small)
    y = torch.tensor([0] * 100 + [1] * small)
    trusted, trusted_y = gaussian(4, seed=1), torch.tensor([0, 0, 1, 1])
    assert not poisoning.untrusted_side(features, y, trusted, trusted_y).any()
    assert poisoning.spectral_scores(features, y).isfinite().all()


DETECTORS = {
    "scores": poisoning.spectral_scores,
    "clusters": poisoning.activation_clusters,
    "clustering": poisoning.activation_clustering,
    "separations": lambda f, y: poisoning.separations(f, y, y > 0),
    "untrusted": lambda f, y: poisoning.untrusted_side(f, y, f, y),
}


@pytest.mark.parametrize("detector", DETECTORS.values(), ids=DETECTORS)
@pytest.mark.parametrize(
    ("features", "y", "says"),
    [
        (torch.zeros(4, 2, 2), torch.zeros(4).long(), "floats (N, D)"),
        (torch.zeros(4, 2).long(), torch.zeros(4).long(), "got torch.int64"),
        (torch.full((4, 2), torch.nan), torch.zeros(4).long(), "NaN or infinity"),
        (torch.full((4, 2), torch.inf), torch.zeros(4).long(), "NaN or infinity"),
        (
            torch.zeros(4, 2),
            torch.zeros(3).long(),
            "(4,), one label an image",
        ),
        (torch.zeros(4, 2), torch.full((4,), -1), "got -1 to -1"),
        (torch.zeros(4, 2), torch.zeros(4), "int64, got torch.float32"),
    ],
)
def test_detectors_say_what_they_expected(detector, features, y, says):
    with pytest.raises(ValueError) as error:
        detector(features, y)
    assert says in str(error.value)


def test_an_audit_finds_wrong_labels_and_leaves_a_model_without():
    x, y = data.signs(900, seed=0, hard=0.2)
    wrong = torch.arange(900) % 10 == 0
    tainted = torch.where(wrong, (y + 3) % 10, y)
    trusted, trusted_y = data.signs(200, seed=1, hard=0.2)
    before = x.clone(), tainted.clone()
    audit = poisoning.reference_audit(
        x, tainted, trusted, trusted_y, seed=0, progress=False
    )
    assert torch.equal(x, before[0]) and torch.equal(tainted, before[1])
    assert audit.flagged[wrong].float().mean() > 0.95
    assert audit.flagged[~wrong].float().mean() < 0.1
    fresh, fresh_y = data.signs(300, seed=0, split="test", hard=0.2)
    assert (poisoning.predict(audit.model, fresh) == fresh_y).float().mean() > 0.9
