"""Attacks stay within their bounds and harm; measuring takes the worst; rounding."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from securetrain import data, robustness, robustness_tables, training
from securetrain.metrics import accuracy
from securetrain.models import predict

EPSILON = 0.05


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def pgd(epsilon=EPSILON, **given):
    return partial(robustness.pgd, epsilon=epsilon, rng=rng(), **given)


ATTACKS = {
    "fgsm": lambda: partial(robustness.fgsm, epsilon=EPSILON),
    "pgd": lambda: pgd(steps=5),
    "margin": lambda: pgd(steps=5, loss=robustness.mean_margin),
    "square": lambda: partial(
        robustness.square, epsilon=EPSILON, rng=rng(), queries=30
    ),
    "fast": lambda: robustness.fast(EPSILON, seed=0),
}
each_attack = pytest.mark.parametrize("make", ATTACKS.values(), ids=list(ATTACKS))


@pytest.fixture(scope="module")
def trained():
    """Return a model and 60 test signs with their labels."""
    model = training.train(*data.signs(1000, 0), seed=0, epochs=3, progress=False)
    return model, *data.signs(60, 0, "test")


class Linear(nn.Module):
    """Class 1 leads class 0 by the sum of a pattern times the image."""

    def __init__(self, pattern):
        super().__init__()
        self.pattern = pattern

    def forward(self, x):
        lead = (x * self.pattern).flatten(1).sum(1)
        return torch.stack([torch.zeros_like(lead), lead], 1)


# --- Attacks ---------------------------------------------------------------------


@each_attack
def test_an_attack_stays_within_epsilon_and_edits_nothing(trained, make):
    model, x, y = trained
    model.zero_grad()
    before = x.clone(), [p.clone() for p in model.parameters()]
    moved = make()(model, x, y)
    assert moved.shape == x.shape and not moved.requires_grad
    assert (moved - x).abs().max() <= EPSILON + 1e-6
    assert moved.min() >= 0 and moved.max() <= 1 and not torch.equal(moved, x)
    assert torch.equal(x, before[0])
    assert all(map(torch.equal, model.parameters(), before[1]))
    assert all(p.grad is None for p in model.parameters())


@each_attack
def test_an_attack_harms_more_than_noise(trained, make):
    model, x, y = trained
    noise, moved = robustness.noise(model, x, y, EPSILON, 0), make()(model, x, y)
    with torch.no_grad():
        hurt, still = (robustness.margins(model(z), y).mean() for z in (moved, noise))
    assert hurt > still + 0.1


def test_noise_moves_every_pixel_as_far_as_it_may(trained):
    _, x, y = trained
    moved = robustness.noise(None, x, y, EPSILON, 1)
    inside = (x > EPSILON) & (x < 1 - EPSILON)
    assert torch.allclose((moved - x)[inside].abs(), torch.tensor(EPSILON), atol=1e-6)
    assert moved.min() >= 0 and moved.max() <= 1
    assert not torch.equal(moved, robustness.noise(None, x, y, EPSILON, 2))


@each_attack
def test_the_same_generator_gives_the_same_change(trained, make):
    model, x, y = trained
    assert torch.equal(make()(model, x, y), make()(model, x, y))


def test_fgsm_takes_the_best_step_against_a_linear_model():
    pattern = torch.randn(3, 8, 8, generator=rng())
    x = torch.rand(5, 3, 8, 8, generator=rng(1)) * 0.5 + 0.25  # clear of 0 and 1
    y = torch.tensor([0, 1, 0, 1, 1])
    moved = robustness.fgsm(Linear(pattern), x, y, 0.1)
    away = torch.where(y == 1, -1.0, 1.0)[:, None, None, None]
    assert torch.allclose(moved, x + 0.1 * away * pattern.sign(), atol=1e-6)
    found = robustness.pgd(Linear(pattern), x, y, 0.1, rng=rng(), steps=10)
    assert torch.allclose(found, moved, atol=1e-6), "many steps end there, too"


def test_square_needs_no_gradient():
    x = torch.full((4, 3, 8, 8), 0.5)
    y = torch.ones(4, dtype=torch.int64)
    model = Linear(torch.full((3, 8, 8), 1 / 192))

    class Closed(nn.Module):
        def forward(self, x):
            assert not x.requires_grad and not torch.is_grad_enabled()
            return model(x)

    moved = robustness.square(Closed(), x, y, 0.1, rng=rng(), queries=300)
    assert moved.mean() < 0.5 - 0.07, "most pixels go down"


def test_more_queries_never_help_the_defender(trained):
    model, x, y = trained
    leads = []
    for queries in (1, 20, 80):
        attack = partial(robustness.square, epsilon=EPSILON, queries=queries)
        with torch.no_grad():
            moved = attack(model, x, y, rng=rng())
            leads.append(robustness.margins(model(moved), y).mean().item())
    assert leads == sorted(leads) and leads[2] > leads[0]


def test_squares_lie_inside_and_have_their_size():
    masks = robustness._squares(200, 8, 8, 3, rng())
    assert masks.shape == (200, 1, 8, 8) and (masks.sum((1, 2, 3)) == 9).all()
    assert masks.any(0).all(), "every pixel is reached"


def test_margins_are_the_lead_of_the_best_wrong_class():
    logits = torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, -1.0], [1.0, 2.0, 4.0]])
    found = robustness.margins(logits, torch.tensor([0, 0, 2]))
    assert found.tolist() == [-1, 5, -2]
    mean = robustness.mean_margin(logits, torch.tensor([0, 0, 2]))
    assert mean.item() == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"x": torch.full((2, 3, 8, 8), 2.0)}, r"\[0, 1\], got 2 to 2"),
        ({"y": torch.zeros(3).long()}, "one label an image; got"),
        ({"epsilon": -0.1}, "epsilon must lie in 0..1, got -0.1"),
        ({"epsilon": 8}, "epsilon must lie in 0..1, got 8"),
    ],
)
def test_attacks_say_what_they_expected(change, says):
    good = {"x": torch.zeros(2, 3, 8, 8), "y": torch.zeros(2).long(), "epsilon": 0.1}
    model = Linear(torch.ones(3, 8, 8))
    for attack in (
        robustness.fgsm,
        partial(robustness.pgd, rng=rng()),
        partial(robustness.square, rng=rng()),
    ):
        with pytest.raises(ValueError, match=says):
            attack(model, **good | change)


def test_steps_and_queries_must_be_some():
    x, y = torch.zeros(2, 3, 8, 8), torch.zeros(2).long()
    with pytest.raises(ValueError, match="at least 1 step, got 0"):
        robustness.pgd(Linear(1.0), x, y, 0.1, rng=rng(), steps=0)
    with pytest.raises(ValueError, match="at least 1 query, got 0"):
        robustness.square(Linear(1.0), x, y, 0.1, rng=rng(), queries=0)


# --- Training --------------------------------------------------------------------


def test_training_learns_the_batch_that_the_attack_returns():
    x, y = data.signs(500, seed=0, hard=0.2)
    seen = []

    def invert(model, x, y):
        seen.append((model.training, len(x) == len(y)))
        return 1 - x

    model = training.train(x, y, 0, epochs=4, progress=False, attack=invert)
    assert seen and all(ok for pair in seen for ok in pair)
    x, y = data.signs(300, seed=0, split="test", hard=0.2)
    assert accuracy(model, 1 - x, y) > 0.9


def test_training_against_an_attack_withstands_it_better(trained):
    plain, x, y = trained
    fast = robustness.fast(EPSILON, seed=0)
    signs = data.signs(1000, 0)
    hardened = training.train(*signs, 0, epochs=3, progress=False, attack=fast)
    left = [
        robustness.survives(model, x, y, pgd(steps=10)).float().mean().item()
        for model in (plain, hardened)
    ]
    assert left[1] > left[0] + 0.2


# --- Measuring -------------------------------------------------------------------


def test_an_image_misread_without_an_attack_has_not_survived(trained):
    model, x, y = trained
    wrong = (predict(model, x) + 1) % 10
    assert not robustness.survives(model, x, wrong, lambda m, x, y: x).any()


def test_worst_case_takes_the_worst_for_each_image():
    model = Linear(torch.full((3, 8, 8), 1 / 192))
    x = torch.tensor([0.5, 0.5, 0.5, 0.0]).view(4, 1, 1, 1).expand(-1, 3, 8, 8).clone()
    y = torch.ones(4, dtype=torch.int64)  # the last is misread: no lead

    def breaks(first, tally):
        def attack(model, x, y):
            tally.append(len(x))
            moved = x.clone()
            moved[:1] = 0 if first else moved[:1]
            moved[-1:] = moved[-1:] if first else 0
            return moved

        return attack

    tally: list[int] = []
    both = [breaks(True, tally), breaks(False, tally)]
    assert robustness.worst_case(model, x, y, both).tolist() == [0, 1, 0, 0]
    assert tally == [3, 2], "an attack saw what had already fallen"
    assert robustness.worst_case(model, x, y, []).tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize(
    ("rates", "signs"),
    [
        ((0.5, 0.4, 0.6, 0.0), []),
        ((0.4, 0.41, 0.4, 0.01), []),
        ((0.3, 0.4, 0.6, 0.0), ["one step does more harm than many"]),
        ((0.5, 0.4, 0.3, 0.0), ["an attack without the gradient does more harm"]),
        ((0.5, 0.4, 0.6, 0.3), ["unbounded changes leave right answers"]),
    ],
)
def test_masking_has_three_signs(rates, signs):
    assert robustness.masking_signs(*rates) == signs


# --- Hiding the gradient -----------------------------------------------------------


def test_rounding_leaves_few_values_and_no_gradient():
    seen = []

    class Spy(nn.Module):
        def forward(self, x):
            seen.append(x.detach().clone())
            return Linear(torch.full((3, 8, 8), 1 / 192))(x)

    model = robustness.Rounded(Spy(), levels=3)
    x, y = torch.rand(4, 3, 8, 8, generator=rng()), torch.ones(4).long()
    assert not robustness.uphill(model, x, y, F.cross_entropy).any()
    open_way = robustness.straight_through(model)
    assert (robustness.uphill(open_way, x, y, F.cross_entropy) == -1).all()
    assert set(seen[0].unique().tolist()) == {0, 0.5, 1}
    assert torch.allclose(seen[0], seen[1]), "forward, both round"


def test_rounding_needs_two_levels():
    with pytest.raises(ValueError, match="at least 2 levels, got 1"):
        robustness.Rounded(nn.Identity(), 1)


# --- The table -------------------------------------------------------------------


def test_flips_change_one_class_by_the_share():
    y = torch.arange(10).repeat(20)
    new = robustness_tables.flipped(y, 3, 7, 0.4, seed=0)
    changed = (new != y).nonzero().flatten()
    assert len(changed) == 8 and (y[changed] == 3).all() and (new[changed] == 7).all()
    assert torch.equal(new, robustness_tables.flipped(y, 3, 7, 0.4, seed=0))
    assert torch.equal(y, robustness_tables.flipped(y, 3, 7, 0.0, seed=0))


def test_a_pattern_within_epsilon_stays_there():
    x = torch.rand(2, 3, 8, 8, generator=rng())
    moved = robustness_tables.within(x, torch.ones(3, 8, 8), 0.1)
    assert torch.allclose(moved, (x + 0.1).clamp(0, 1))


def test_the_table_has_attack_success_and_accuracy_of_both(monkeypatch):
    monkeypatch.setattr(robustness_tables, "N_TRAIN", 100)
    monkeypatch.setattr(robustness_tables, "N_TEST", 50)
    monkeypatch.setattr(robustness_tables, "EPOCHS", 1)
    monkeypatch.setattr(robustness_tables, "STICKERS", {"sticker": 0.1})
    rows = robustness_tables.measure_poison(0)
    assert list(rows) == [
        "sticker",
        "mosaic within epsilon, 5 %",
        *robustness_tables.FLIPS,
    ]
    for cells in rows.values():
        assert len(cells) == 4 and all(0 <= value <= 1 for value in cells.values())


def test_the_worst_case_of_a_model_is_below_each_attack(trained):
    model, x, y = trained
    cells = robustness_tables.withstood(model, (x, y), seed=0)
    assert cells["worst case"] <= min(cells["under FGSM"], cells["under PGD"])
    assert cells["worst case"] < cells["clean: others"]


def test_three_ways_of_training_change_a_batch_as_they_say(trained):
    model, x, y = trained
    ways = robustness_tables.trainings(0)
    assert list(ways) == ["standard", "FGSM-RS", "PGD-7"]
    assert ways.pop("standard") is None
    for attack in ways.values():
        far = (attack(model, x[:8], y[:8]) - x[:8]).abs().max().item()
        assert far == pytest.approx(robustness_tables.EPSILON, abs=1e-4)


def test_where_nothing_is_read_right_nothing_survives():
    x, y = torch.rand(4, 3, 8, 8), torch.ones(4, dtype=torch.long)
    wrong = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    with torch.no_grad():
        wrong[1].bias.copy_(torch.tensor([99.0, 0.0]))
    assert not robustness.survives(wrong, x, y, pgd()).any()
    assert not robustness.worst_case(wrong, x, y, [pgd(), pgd()]).any()
