"""The gate before training: what it refuses, what it lets pass, what it keeps."""

import json
import re
from itertools import pairwise

import pytest
import torch

from securetrain import annotators
from securetrain.label_gate import chance_to_pass, error_interval, fingerprint, gate

N, CLASSES = 600, 3


@pytest.fixture
def truth():
    """Return the true labels."""
    return torch.arange(N) % CLASSES


@pytest.fixture
def x():
    """Return something to be labelled."""
    return torch.linspace(0, 1, N)[:, None]


def judged(y, sure=0.95):
    """Return probabilities of judges that are sure of `y`."""
    p = torch.full((N, CLASSES), (1 - sure) / (CLASSES - 1))
    return p.scatter(1, y[:, None], sure)


def voted(truth, error_rate=0.02):
    """Return three honest votes an image, of five people."""
    asked = annotators.ask(N, 5, 3, seed=0)
    return annotators.annotate(truth, asked, CLASSES, error_rate, seed=0)


def sampled(truth, count=200):
    """Return trusted labels of the first `count` images."""
    return torch.where(torch.arange(N) < count, truth, annotators.NOBODY)


def flipped(truth, *places):
    """Return a copy in which the labels at these places are wrong."""
    y = truth.clone()
    y[list(places)] = (y[list(places)] + 1) % CLASSES
    return y


def test_an_honest_set_passes_with_all_the_evidence(x, truth):
    votes = voted(truth)
    y = annotators.majority(votes)
    report = gate(x, y, judged(truth), votes, sampled(truth, 300))
    assert report.passed and report.reasons == ()
    assert report.looked == ("models", "people", "trusted sample")
    assert report.numbers["agreement"] > 0.99
    assert report.numbers["wrong at most"] < 0.03


def test_the_gate_says_which_evidence_it_had(x, truth):
    p = judged(truth)
    assert gate(x, truth, p).looked == ("models",)
    assert gate(x, truth, p, trusted=sampled(truth)).looked == (
        "models",
        "trusted sample",
    )


@pytest.mark.parametrize(
    ("places", "says"),
    [
        (range(0, 45, 3), ["2.5% of all labels are flagged", "of the labels 1"]),
        (range(0, 36, 3), ["5.7% of the labels 1 are flagged, more than 5%"]),
        (range(100), ["models agree with 83.3%", "16.7% of all", "of the labels"]),
    ],
)
def test_labels_that_good_judges_contradict_are_refused(x, truth, places, says):
    report = gate(x, flipped(truth, *places), judged(truth))
    assert not report.passed and len(report.reasons) == len(says)
    for reason, words in zip(report.reasons, says, strict=True):
        assert words in reason


def test_judges_too_weak_to_tell_do_not_pass_a_set(x, truth):
    rng = torch.Generator().manual_seed(0)
    report = gate(x, truth, torch.rand(N, CLASSES, generator=rng).softmax(1))
    assert not report.passed and "they are too weak" in report.reasons[0]


def test_judges_that_learned_the_lie_pass_it_and_the_sample_does_not(x, truth):
    y = flipped(truth, *range(0, 60, 3))
    votes = y[:, None].expand(N, 3).clone()  # the whole team agrees
    assert gate(x, y, judged(y), votes).passed
    report = gate(x, y, judged(y), votes, sampled(truth))
    assert not report.passed
    assert report.reasons == (
        "of 200 labels checked again 20 are wrong: up to 15.0% of all may be, "
        "more than 3%",
    )


def test_people_who_differ_on_a_class_are_refused(x, truth):
    votes = annotators.lie(voted(truth), [3, 4], truth == 0, 2)
    y = annotators.majority(votes)
    report = gate(x, y, judged(y), votes)
    assert not report.passed
    assert re.search(r"people differ on \d\d\.\d% of the labels [02]", *report.reasons)


def test_labels_changed_after_the_vote_are_refused(x, truth):
    votes = voted(truth, error_rate=0)
    report = gate(x, flipped(truth, 7), judged(truth), votes)
    assert report.reasons == ("1 labels are not what most people said",)


def test_votes_that_nobody_shares_are_no_evidence(x, truth):
    votes = annotators.annotate(truth, annotators.ask(N, 5, 1, 0), CLASSES, 0, 0)
    report = gate(x, truth, judged(truth), votes)
    assert not report.passed and "no image was seen by two people" in report.reasons[0]


def test_limits_can_be_set(x, truth):
    y = flipped(truth, *range(0, 45, 3))
    wide = {"max_flagged": 0.05, "max_class_flagged": 0.1, "max_error": 0.2}
    assert not gate(x, y, judged(truth), trusted=sampled(truth)).passed
    assert gate(x, y, judged(truth), trusted=sampled(truth), **wide).passed
    assert not gate(x, y, judged(truth), min_agreement=0.98, **wide).passed
    assert not gate(
        x, truth, judged(truth), voted(truth, 0.1), max_contested=0.01
    ).passed


def test_the_report_is_the_same_text_twice_and_holds_the_datas_hash(x, truth):
    votes, p = voted(truth), judged(truth)
    texts = {
        gate(x, truth, p, votes, sampled(truth), max_flagged=0.5).to_json()
        for _ in range(2)
    }
    kept = json.loads(*texts)
    assert kept["data"] == fingerprint(x, truth)
    assert kept["data"] != fingerprint(x, flipped(truth, 0))
    assert kept["looked"] == ["models", "people", "trusted sample"]
    assert kept["passed"] is (not kept["reasons"])


def test_a_fingerprint_changes_with_any_value_shape_or_type(x, truth):
    prints = {
        fingerprint(x, truth),
        fingerprint(x + 1e-3, truth),
        fingerprint(x, flipped(truth, 599)),
        fingerprint(x.double(), truth),
        fingerprint(x[:, :, None], truth),
        fingerprint(x.flip(0), truth),
    }
    assert len(prints) == 6 and all(re.fullmatch("[0-9a-f]{64}", p) for p in prints)
    assert fingerprint(x.T.contiguous().T, truth) == fingerprint(x, truth)
    with pytest.raises(ValueError, match="one label an image, got 600 and 599"):
        fingerprint(x, truth[:599])


BAD = {
    "short votes": ({"votes": torch.zeros(9, 2).long()}, "one row a label: 9 for 600"),
    "float votes": ({"votes": torch.zeros(N, 2)}, "votes must be int64"),
    "short sample": ({"trusted": torch.zeros(9).long()}, "torch.int64 (600,)"),
    "float sample": ({"trusted": torch.zeros(N)}, "got torch.float32"),
    "empty sample": ({"trusted": torch.full((N,), -1)}, "no checked label"),
    "low sample": ({"trusted": torch.full((N,), -2)}, "0..2, or be -1; got -2"),
    "high sample": ({"trusted": torch.full((N,), 3)}, "got 3 to 3"),
    "logits": ({"probabilities": torch.ones(N, CLASSES)}, "need softmax first"),
    "nan": ({"probabilities": torch.full((N, CLASSES), torch.nan)}, "NaN"),
    "short": ({"probabilities": torch.full((9, 3), 1 / 3)}, "(9,), one label an image"),
    "absent class": ({"y": torch.arange(N) % 2}, "no image is labelled [2]"),
    "label out of range": ({"y": torch.arange(N) % 4}, "0..2, got 0 to 3"),
    "short images": ({"x": torch.zeros(9, 1)}, "got 9 and 600"),
}


@pytest.mark.parametrize(("change", "says"), BAD.values(), ids=BAD)
def test_the_gate_raises_rather_than_passing_what_it_cannot_read(
    x, truth, change, says
):
    good = {"x": x, "y": truth, "probabilities": judged(truth)}
    assert gate(**good).passed
    with pytest.raises(ValueError) as error:
        gate(**good | change)
    assert says in str(error.value)


# --- The sample -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "checked", "low", "high"),
    [  # Clopper and Pearson's closed ends: 1 - 0.025^(1/n), and its mirror
        (0, 10, 0.0, 1 - 0.025**0.1),
        (10, 10, 0.025**0.1, 1.0),
        (0, 200, 0.0, 1 - 0.025 ** (1 / 200)),
        (5, 10, 0.1871, 0.8129),  # from tables
    ],
)
def test_the_interval_is_the_exact_one(wrong, checked, low, high):
    assert error_interval(wrong, checked) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize("wrong, checked", [(-1, 5), (6, 5), (0, 0)])
def test_an_interval_of_nothing_is_refused(wrong, checked):
    with pytest.raises(ValueError, match=f"got {wrong} of {checked}"):
        error_interval(wrong, checked)


def test_the_chance_to_pass_is_what_many_samples_give(x, truth):
    y = flipped(truth, *range(0, 18, 3))
    exact = chance_to_pass(N, 6, 150)
    rng, passed = torch.Generator().manual_seed(0), 0
    for _ in range(300):
        trusted = torch.full((N,), annotators.NOBODY)
        drawn = torch.randperm(N, generator=rng)[:150]
        trusted[drawn] = truth[drawn]
        passed += gate(x, y, judged(y), trusted=trusted).passed / 300
    assert 0.1 < exact < 0.9 and passed == pytest.approx(exact, abs=0.1)


def test_more_wrong_labels_pass_less_and_none_always_pass():
    chances = [chance_to_pass(1600, wrong, 200) for wrong in (0, 8, 16, 32, 64)]
    assert chances[0] == 1 and all(a > b for a, b in pairwise(chances))
    assert chance_to_pass(100, 0, 20) == 0, "too small a sample to show 3 %"


@pytest.mark.parametrize("n, wrong, checked", [(9, 10, 5), (9, -1, 5), (9, 1, 10)])
def test_a_sample_larger_than_its_set_is_refused(n, wrong, checked):
    with pytest.raises(ValueError, match=f"got {n}, {wrong}, {checked}"):
        chance_to_pass(n, wrong, checked)
