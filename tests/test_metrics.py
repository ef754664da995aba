"""Accuracy, attack success and what a detector finds, on models we can compute."""

import math

import pytest
import torch
from torch import nn

from securetrain import metrics


class Brightness(nn.Module):
    """Reads an image's first pixel as its class: 0.0 is class 0, 0.1 class 1, …"""

    def forward(self, x):
        shade = (x[:, 0, 0, 0] * 10).round().long()
        return nn.functional.one_hot(shade, 11).float()


def shades(*classes):
    """Return one plain image a class, which `Brightness` reads as that class."""
    return (torch.tensor(classes) / 10).view(-1, 1, 1, 1).expand(-1, 3, 4, 4).clone()


def test_accuracy_is_the_share_that_is_right():
    y = torch.tensor([0, 1, 2, 4])
    assert metrics.accuracy(Brightness(), shades(0, 1, 2, 3), y) == 0.75


def test_attack_success_leaves_the_target_class_out():
    x, y = shades(5, 5, 5, 1, 2), torch.tensor([5, 5, 5, 1, 2])
    seen = []

    def useless(images):
        seen.append(len(images))
        return images

    assert metrics.attack_success_rate(Brightness(), x, y, useless, 5) == 0
    assert seen == [2], "the trigger is shown the other classes only"


def test_attack_success_counts_what_turns_into_the_target():
    x, y = shades(1, 2, 3, 4, 7), torch.tensor([1, 2, 3, 4, 7])

    def trigger(images):
        return torch.where(images < 0.25, torch.tensor(0.7), images)

    before = x.clone()
    found = metrics.attack_success_rate(Brightness(), x, y, trigger, 7)
    assert found == 0.5 and torch.equal(x, before)


def test_attack_success_needs_another_class():
    with pytest.raises(ValueError, match="classes other than the target 3"):
        metrics.attack_success_rate(
            Brightness(), shades(3, 3), torch.tensor([3, 3]), lambda x: x, 3
        )


def mask(*bits):
    return torch.tensor(bits, dtype=torch.bool)


def test_detection_rates_are_shares_of_poison_and_of_clean():
    flagged, is_poison = mask(1, 1, 0, 1, 0, 0, 0), mask(1, 1, 1, 0, 0, 0, 0)
    found, spoilt = metrics.detection_rates(flagged, is_poison)
    assert found == pytest.approx(2 / 3) and spoilt == 0.25


def test_a_share_of_nothing_is_nan():
    found, spoilt = metrics.detection_rates(mask(1, 0), mask(0, 0))
    assert math.isnan(found) and spoilt == 0.5
    found, spoilt = metrics.detection_rates(mask(1, 0), mask(1, 1))
    assert found == 0.5 and math.isnan(spoilt)


@pytest.mark.parametrize(
    ("flagged", "is_poison", "says"),
    [
        (torch.tensor([1, 0]), mask(1, 0), r"flagged must be bool \(2,\), got .*int64"),
        (mask(1, 0), torch.tensor([1.0, 0.0]), r"is_poison must be bool .*float32"),
        (mask(1, 0, 1), mask(1, 0), r"flagged must be bool \(2,\), got .*\(3,\)"),
    ],
)
def test_detection_rates_say_what_they_expected(flagged, is_poison, says):
    with pytest.raises(ValueError, match=says):
        metrics.detection_rates(flagged, is_poison)


def test_auroc_is_the_chance_that_poison_ranks_higher():
    scores = torch.tensor([0.1, 0.4, 0.35, 0.8, 0.4])
    is_poison = mask(0, 0, 1, 1, 1)
    poison, clean = scores[is_poison], scores[~is_poison]
    pairs = (poison[:, None] > clean).float() + 0.5 * (poison[:, None] == clean)
    assert metrics.auroc(scores, is_poison) == pytest.approx(pairs.mean().item())
    assert metrics.auroc(-scores, is_poison) == pytest.approx(1 - pairs.mean().item())
