"""Shadow models side by side, and the attacks that ask who was in the data."""

import math

import pytest
import torch
from torch.nn import functional as F

from securetrain import metrics, shadows
from securetrain.membership import (
    confidences,
    label_only,
    lira,
    losses,
    roc,
    true_positive_rate,
)
from securetrain.shadows import Recipe, draw_members, records, train_many


@pytest.fixture(scope="module")
def pool():
    """Return a pool of 200 digits, who is in which of 32 models, and their answers."""
    found = records(seed=0, pool=200)
    members = draw_members(32, 200, seed=0)
    nets = train_many(found.x, found.y, members, 0, Recipe(epochs=40))
    return found, members, nets, shadows.log_probabilities(nets, found.x)


# --- Records and members ---------------------------------------------------------


def test_records_are_digits_and_some_have_a_label_at_random():
    found, again, clean = records(3), records(3), records(3, strange_rate=0.0)
    assert found.x.shape == (800, 64) and len(found.x_test) == len(found.y_test) == 997
    assert torch.equal(found.y, again.y) and torch.equal(found.x, clean.x)
    assert found.strange.sum() == 120 and not clean.strange.any()
    changed = found.y != clean.y
    assert not changed[~found.strange].any()
    assert 0.8 < changed[found.strange].float().mean() < 1  # one in ten by chance


@pytest.mark.parametrize(
    ("pool", "rate"), [(1, 0.1), (1701, 0.1), (50, -0.1), (50, math.nan)]
)
def test_records_refuse_other_sizes_and_rates(pool, rate):
    with pytest.raises(ValueError, match="pool of 2 to 1700"):
        records(0, pool, rate)


def test_each_model_gets_its_own_half():
    members = draw_members(40, 101, seed=1)
    assert members.shape == (40, 101) and members.dtype == torch.bool
    assert (members.sum(1) == 50).all()
    assert len({tuple(row.tolist()) for row in members}) == 40
    assert torch.equal(members, draw_members(40, 101, seed=1))
    with pytest.raises(ValueError, match="models >= 1"):
        draw_members(0, 10, 0)


# --- Training --------------------------------------------------------------------


@pytest.mark.parametrize("clip", [math.inf, 1.0, 0.01])
def test_gradients_are_those_of_autograd_clipped_record_by_record(clip):
    rng = torch.Generator().manual_seed(0)
    nets = shadows.networks(2, 5, seed=0)
    x = torch.randn(2, 7, 5, generator=rng)
    y = torch.randint(10, (2, 7), generator=rng)
    found = shadows.gradients(nets, x, y, smoothing=0.2, clip=clip)
    weights = [w.clone().requires_grad_() for w in nets.weights]
    wanted = [torch.zeros_like(w) for w in weights]
    for s in range(2):
        for n in range(7):
            _, logits = shadows.Networks(*weights).forward(x[:, n : n + 1])
            loss = F.cross_entropy(logits[s], y[s, n : n + 1], label_smoothing=0.2)
            own = torch.autograd.grad(loss, weights)
            length = math.sqrt(sum(g.square().sum().item() for g in own))
            for total, g in zip(wanted, own, strict=True):
                total += g * min(1.0, clip / length)
    for ours, theirs in zip(found, wanted, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_private_steps_are_opacus_steps():
    """The clipped sum of one step, against Opacus on the same network."""
    import warnings

    from opacus import GradSampleModule
    from opacus.optimizers import DPOptimizer
    from torch import nn

    rng = torch.Generator().manual_seed(0)
    nets = shadows.networks(1, 6, seed=0)
    x, y = torch.randn(9, 6, generator=rng), torch.randint(10, (9,), generator=rng)
    model = nn.Sequential(nn.Linear(6, 128), nn.ReLU(), nn.Linear(128, 10))
    with torch.no_grad():
        for layer, w, b in ((0, nets.w1, nets.b1), (2, nets.w2, nets.b2)):
            model[layer].weight.copy_(w[0].T)
            model[layer].bias.copy_(b[0, 0])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        wrapped = GradSampleModule(model)
        optimiser = DPOptimizer(
            torch.optim.SGD(wrapped.parameters(), 1.0),
            noise_multiplier=0.0,
            max_grad_norm=1.0,
            expected_batch_size=9,
        )
        F.cross_entropy(wrapped(x), y).backward()
        optimiser.pre_step()
    found = shadows.gradients(nets, x[None], y[None], clip=1.0)
    assert torch.allclose(found[0][0].T / 9, model[0].weight.grad, atol=1e-5)
    assert torch.allclose(found[1][0, 0] / 9, model[0].bias.grad, atol=1e-5)
    assert torch.allclose(found[2][0].T / 9, model[2].weight.grad, atol=1e-5)


def test_training_together_learns_and_repeats(pool):
    found, members, nets, answers = pool
    right = answers.argmax(2) == found.y
    assert right[members].float().mean() > 0.9
    assert shadows.accuracy(nets, found.x_test, found.y_test) > 0.6
    again = train_many(found.x, found.y, members, 0, Recipe(epochs=40))
    assert torch.equal(nets.w2, again.w2)
    assert not torch.equal(nets.w1[0], nets.w1[1]), "each has its own start"


def test_a_network_depends_on_its_own_members_only():
    """The others' data change nothing, so that shadows say nothing of the victim."""
    found = records(0, pool=60)
    members = draw_members(3, 60, seed=0)
    other = members.clone()
    other[1] = ~members[1]
    first, second = (
        train_many(found.x, found.y, m, 0, Recipe(epochs=2)) for m in (members, other)
    )
    assert torch.allclose(first.w1[[0, 2]], second.w1[[0, 2]], atol=1e-6)
    assert not torch.allclose(first.w1[1], second.w1[1], atol=1e-3)


def test_noise_costs_accuracy_and_smoothing_lowers_confidence(pool):
    found, members, nets, answers = pool
    noisy = train_many(found.x, found.y, members, 0, Recipe(epochs=20, noise=20.0))
    assert shadows.accuracy(noisy, found.x_test, found.y_test) < 0.6
    smooth = train_many(found.x, found.y, members, 0, Recipe(40, label_smoothing=0.3))
    sure = shadows.log_probabilities(smooth, found.x).exp().amax(2)[members].mean()
    assert sure < answers.exp().amax(2)[members].mean() - 0.1


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"label_smoothing": 1.0},
        {"label_smoothing": -0.1},
        {"noise": -1.0},
        {"noise": math.nan},
        {"noise": math.inf},
    ],
)
def test_a_recipe_outside_its_range_is_refused(wrong):
    with pytest.raises(ValueError, match="epochs >= 1, 0 <= label_smoothing < 1"):
        Recipe(**wrong)


def test_training_refuses_what_is_no_data():
    x, y, members = torch.rand(6, 4), torch.arange(6), draw_members(2, 6, 0)
    broken = x.clone()
    broken[2, 1] = math.nan
    uneven = members.clone()
    uneven[0] = True
    nobody = torch.zeros(2, 6, dtype=torch.bool)
    for given, message in (
        ((broken, y, members), "NaN or infinity"),
        ((x.long(), y, members), "must be floats"),
        ((x[0], y, members), r"floats \(N, D\)"),
        ((x[:0], y[:0], members), r"floats \(N, D\)"),
        ((x, y + 9, members), r"lie in 0\.\.9"),
        ((x, y[:5], members), "one label an image"),
        ((x, y, members[:, :5]), r"members must be bool \(S, 6\)"),
        ((x, y, members.float()), "members must be bool"),
        ((x, y, members[:0]), "at least one row"),
        ((x, y, uneven), "equally many members"),
        ((x, y, nobody), "equally many members"),
    ):
        with pytest.raises(ValueError, match=message):
            train_many(*given, 0, Recipe(epochs=1))


# --- Attacks ---------------------------------------------------------------------


def test_losses_and_confidences_are_of_the_recorded_label():
    chances = torch.full((1, 2, 10), 0.02)
    chances[0, 0, 3], chances[0, 1, 7] = 0.82, 0.82
    y = torch.tensor([3, 0])
    assert losses(chances.log(), y)[0].tolist() == pytest.approx(
        [-math.log(0.82), -math.log(0.02)], rel=1e-5
    )
    assert confidences(chances.log(), y)[0].tolist() == pytest.approx(
        [math.log(0.82 / 0.18), math.log(0.02 / 0.98)], rel=1e-4
    )


def test_lira_is_the_ratio_of_two_normal_curves_without_the_victim():
    rng = torch.Generator().manual_seed(0)
    members = draw_members(12, 8, seed=0)
    values = torch.randn(12, 8, generator=rng)
    found = lira(values, members)
    for victim in range(12):
        others = torch.arange(12) != victim
        for record in range(8):
            inside = values[others & members[:, record], record]
            outside = values[others & ~members[:, record], record]
            ratio = 0.0
            for side, sign in ((inside, 1), (outside, -1)):
                curve = torch.distributions.Normal(
                    side.mean(), side.std(unbiased=False)
                )
                ratio += sign * curve.log_prob(values[victim, record])
            assert found[victim, record].item() == pytest.approx(
                float(ratio), rel=1e-3, abs=1e-3
            )


def test_lira_finds_more_than_the_loss_does(pool):
    found, members, _, answers = pool
    by_loss = metrics.auroc(-losses(answers, found.y).flatten(), members.flatten())
    scores = lira(confidences(answers, found.y), members)
    assert metrics.auroc(scores.flatten(), members.flatten()) > by_loss + 0.03


def test_shadows_of_another_recipe_find_less(pool):
    found, members, _, answers = pool
    short = train_many(found.x, found.y, members, 0, Recipe(epochs=8))
    values = confidences(shadows.log_probabilities(short, found.x), found.y)
    strangers = confidences(answers, found.y)
    informed, naive = lira(values, members), lira(values, members, strangers)
    truth = members.flatten()
    assert metrics.auroc(informed.flatten(), truth) > 0.02 + metrics.auroc(
        naive.flatten(), truth
    )
    assert torch.equal(lira(values, members, values), informed)


def test_labels_alone_say_something(pool):
    found, members, _, answers = pool
    scores = label_only(answers, found.y, members)
    area = metrics.auroc(scores.flatten(), members.flatten())
    assert 0.55 < area < 1
    hidden = (answers * 0.5).log_softmax(2)  # other chances, the same first choice
    assert torch.equal(label_only(hidden, found.y, members), scores)


def test_an_attack_on_nothing_learnt_is_guessing():
    members = draw_members(40, 300, seed=0)
    values = torch.randn(40, 300, generator=torch.Generator().manual_seed(1))
    scores = lira(values, members)
    assert metrics.auroc(scores.flatten(), members.flatten()) == pytest.approx(
        0.5, abs=0.02
    )
    assert true_positive_rate(scores, members) == pytest.approx(0.01, abs=0.005)


def test_attacks_refuse_what_they_cannot_read(pool):
    found, members, _, answers = pool
    values, broken = confidences(answers, found.y), answers.clone()
    broken[0, 0, 0] = math.nan
    nan = values.clone()
    nan[0, 0] = math.nan
    for call, message in (
        (lambda: lira(values[:, :9], members), "of shape"),
        (lambda: lira(nan, members), "1 not finite"),
        (lambda: lira(values, members, nan), "1 not finite"),
        (lambda: lira(values, members.float()), "members must be bool"),
        (lambda: lira(values[:3], members[:3]), "two shadow models that had it"),
        (lambda: lira(values[:0], members[:0]), "two shadow models|at least one row"),
        (lambda: losses(broken, found.y), "NaN; did training diverge"),
        (lambda: losses(answers[0], found.y), r"\(S, N, 10\)"),
        (lambda: losses(answers, found.y[:5]), "one label an image"),
        (lambda: label_only(answers, found.y, members[:, :5]), "of shape"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


# --- How well an attack works ----------------------------------------------------


def test_the_true_positive_rate_counts_above_the_non_members():
    members = torch.tensor([True] * 4 + [False] * 100)
    scores = torch.tensor([98.5, 99.5, 50.5, 101.0, *range(100)])
    # one false accusation allowed: above the second highest non-member, 98
    assert true_positive_rate(scores, members, 0.01) == 0.75
    assert true_positive_rate(scores, members, 0.0) == 0.5
    assert true_positive_rate(scores, members, 0.5) == 1.0
    assert true_positive_rate(scores, members, 1.0) == 1.0
    assert true_positive_rate(torch.zeros(104), members, 0.01) == 0.0, "ties accuse"


def test_rates_refuse_one_sided_or_broken_scores():
    members = torch.tensor([True, False])
    for given, message in (
        ((torch.zeros(3), members), "members must be bool"),
        ((torch.zeros(2), torch.tensor([True, True])), "members and non-members"),
        ((torch.zeros(2), torch.tensor([False, False])), "members and non-members"),
        ((torch.zeros(2), members, 1.5), "in .0, 1."),
        ((torch.tensor([math.nan, 0.0]), members), "NaN"),
        ((torch.zeros(0), torch.zeros(0, dtype=torch.bool)), "members and non-members"),
    ):
        with pytest.raises(ValueError, match=message):
            true_positive_rate(*given)


def test_a_roc_rises_from_its_least_rate_to_one(pool):
    found, members, _, answers = pool
    rates, found_rates = roc(-losses(answers, found.y), members, least=0.01)
    assert rates[0] == pytest.approx(0.01) and rates[-1] == pytest.approx(1.0)
    assert found_rates == sorted(found_rates) and found_rates[-1] == 1.0
    scores = -losses(answers, found.y)
    assert found_rates[0] == true_positive_rate(scores, members, rates[0])
