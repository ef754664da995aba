"""People who label: who is asked, who lies, and how far they agree."""

import pytest
import torch
from sklearn.metrics import cohen_kappa_score

from securetrain import annotators, label_peers
from securetrain.annotators import annotate, ask, lie, majority

NOBODY = annotators.NOBODY


@pytest.fixture
def truth():
    """Return 600 true labels of three classes."""
    return torch.arange(600) % 3


@pytest.fixture
def votes(truth):
    """Return honest votes: five people, three of them for each image."""
    return annotate(truth, ask(600, 5, 3, seed=0), 3, error_rate=0.02, seed=0)


# --- Votes ------------------------------------------------------------------


@pytest.mark.parametrize("each", [1, 3, 5])
def test_each_image_is_seen_by_as_many_as_asked_and_work_is_shared(each):
    asked = ask(1000, 5, each, seed=0)
    assert asked.shape == (1000, 5) and asked.dtype == torch.bool
    assert (asked.sum(1) == each).all()
    assert (asked.float().mean(0) - each / 5).abs().max() < 0.06
    assert torch.equal(asked, ask(1000, 5, each, seed=0))
    assert each == 5 or not torch.equal(asked, ask(1000, 5, each, seed=1))


@pytest.mark.parametrize("n, people, each", [(0, 3, 1), (5, 3, 0), (5, 3, 4)])
def test_nobody_can_be_asked_about_nothing_or_twice(n, people, each):
    with pytest.raises(ValueError, match=f"got {n}, {each}, {people}"):
        ask(n, people, each, seed=0)


def test_honest_people_err_as_often_as_said_and_only_where_asked(truth):
    asked = ask(600, 5, 3, seed=0)
    for rate in (0.0, 0.1, 1.0):
        votes = annotate(truth, asked, 3, rate, seed=0)
        assert torch.equal(votes != NOBODY, asked)
        wrong = (votes != truth[:, None])[asked].float().mean().item()
        assert wrong == pytest.approx(rate, abs=0.03)
        assert votes.max() <= 2 and votes.min() == NOBODY
    assert torch.equal(votes, annotate(truth, asked, 3, 1.0, seed=0))
    assert not torch.equal(votes, annotate(truth, asked, 3, 1.0, seed=1))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"y": torch.tensor([0, 3])}, "0..2, got 0 to 3"),
        ({"asked": torch.ones(2, 2)}, "bool (2, A), got torch.float32"),
        ({"asked": torch.ones(3, 2).bool()}, "bool (2, A)"),
        ({"error_rate": 1.1}, "error_rate must lie in [0, 1], got 1.1"),
        ({"error_rate": float("nan")}, "got nan"),
    ],
)
def test_annotate_says_what_it_expected(change, says):
    good = {"y": torch.tensor([0, 1]), "asked": torch.ones(2, 2).bool()}
    good |= {"classes": 3, "error_rate": 0.1, "seed": 0}
    with pytest.raises(ValueError) as error:
        annotate(**good | change)
    assert says in str(error.value)


def test_liars_lie_where_they_were_asked_and_nowhere_else(truth, votes):
    where, before = truth == 0, votes.clone()
    told = lie(votes, [1, 4], where, 2)
    assert torch.equal(votes, before), "the input was edited"
    assert torch.equal(told[~where], votes[~where])
    assert torch.equal(told[:, [0, 2, 3]], votes[:, [0, 2, 3]])
    theirs = told[where][:, [1, 4]]
    assert torch.equal(theirs == NOBODY, votes[where][:, [1, 4]] == NOBODY)
    assert (theirs[theirs != NOBODY] == 2).all()


@pytest.mark.parametrize(
    ("liars", "where", "said", "says"),
    [
        ([5], torch.ones(600).bool(), 2, "liars in 0..4"),
        ([-1], torch.ones(600).bool(), 2, "got [-1]"),
        ([0], torch.ones(600).bool(), -1, "said >= 0"),
        ([0], torch.ones(600), 2, "where must be bool (600,)"),
        ([0], torch.ones(9).bool(), 2, "(9,)"),
    ],
)
def test_lie_says_what_it_expected(votes, liars, where, said, says):
    with pytest.raises(ValueError) as error:
        lie(votes, liars, where, said)
    assert says in str(error.value)


# --- Agreement -----------------------------------------------------------------


def test_majority_by_hand():
    votes = torch.tensor([[1, 1, 0], [2, -1, -1], [2, 0, -1], [0, 1, 2]])
    assert majority(votes).tolist() == [1, 2, 0, 0]


def test_an_image_without_a_vote_has_no_majority():
    with pytest.raises(ValueError, match="1 images have no vote"):
        majority(torch.tensor([[1, 1], [-1, -1]]))


def test_others_by_hand():
    votes = torch.tensor([[1, 1, 0], [2, 2, 2], [0, -1, 1], [1, -1, -1], [0, 1, 1]])
    assert annotators.others(votes).tolist() == [
        [-1, -1, 1],  # of the first two, each sees one 1 and one 0: a tie
        [2, 2, 2],
        [1, -1, 0],
        [-1, -1, -1],  # nobody else
        [1, -1, -1],
    ]


def test_contested_and_outvoted_by_hand():
    votes = torch.tensor([[1, 1, 0], [2, -1, -1], [2, 2, -1], [-1, -1, -1]])
    assert annotators.contested(votes).tolist() == [True, False, False, False]
    y = torch.tensor([0, 2, 1, 1])
    assert annotators.outvoted(y, votes).tolist() == [True, False, True, False]
    tie = torch.tensor([[0, 1], [0, 1]])
    assert not annotators.outvoted(torch.tensor([0, 1]), tie).any()
    assert annotators.outvoted(torch.tensor([7, 1]), tie).tolist() == [True, False]


def test_kappa_is_scikit_learns_of_two_people():
    rng = torch.Generator().manual_seed(0)
    votes = torch.randint(0, 3, (200, 2), generator=rng)
    votes[:150, 1] = votes[:150, 0]
    expected = cohen_kappa_score(votes[:, 0], votes[:, 1])
    found = annotators.kappas(votes)
    assert found.tolist() == pytest.approx([expected, expected])
    assert 0.5 < expected < 0.9


def test_kappa_is_nan_for_one_who_shares_no_image():
    votes = torch.tensor([[0, 0, -1], [1, 1, -1], [-1, -1, 1]])
    found = annotators.kappas(votes)
    assert found[:2].tolist() == [1, 1] and found[2].isnan()


def test_one_liar_is_outvoted_and_named_by_class_not_by_kappa(truth, votes):
    told = lie(votes, [4], truth == 0, 2)
    assert (majority(told) != truth).float().mean() < 0.02
    shares = annotators.disagreement(told, annotators.others(told), 3)
    assert shares[4, 0] == 1 and shares[:4].nan_to_num(0).max() < 0.2
    assert annotators.kappas(told).argmin() == 4
    quality = label_peers.quality(told, torch.full((600, 3), 1 / 3))
    assert quality.shape == (5,) and quality.argmin() == 4


def test_a_majority_of_liars_makes_honest_people_look_bad(truth, votes):
    told = lie(votes, [2, 3, 4], truth == 0, 2)
    assert 0.5 < (majority(told) != truth)[truth == 0].float().mean() < 0.9
    assert annotators.kappas(told).argmin() < 2
    trusted = torch.where(torch.arange(600) % 5 == 0, truth, NOBODY)
    shares = annotators.disagreement(told, trusted, 3)[:, 0]
    assert (shares[:2] < 0.2).all() and (shares[2:] == 1).all()


def test_few_images_say_nothing_about_a_person():
    votes = torch.zeros(4, 2).long()
    assert annotators.disagreement(votes, votes, 2).isnan().all()
    votes = torch.zeros(5, 2).long()
    assert annotators.disagreement(votes, votes, 2)[:, 0].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        (torch.zeros(599).long(), "must fit votes (600, 5)"),
        (torch.zeros(600, 4).long(), "got (600, 4)"),
        (torch.full((600,), 3), "classes below 3"),
    ],
)
def test_a_reference_that_does_not_fit_is_refused(votes, reference, says):
    with pytest.raises(ValueError) as error:
        annotators.disagreement(votes, reference, 3)
    assert says in str(error.value)


USES = {
    "majority": annotators.majority,
    "others": annotators.others,
    "kappas": annotators.kappas,
    "contested": annotators.contested,
    "outvoted": lambda v: annotators.outvoted(torch.zeros(4).long(), v),
    "disagreement": lambda v: annotators.disagreement(v, v, 3),
    "lie": lambda v: lie(v, [0], torch.ones(4).bool(), 1),
    "cleanlab": lambda v: label_peers.quality(v, torch.full((4, 3), 1 / 3)),
}


@pytest.mark.parametrize(
    ("votes", "says"),
    [
        ([[0, 1]], "tensor (N, A) of 2 people or more: list"),
        (torch.zeros(4).long(), "torch.Size([4])"),
        (torch.zeros(4, 1).long(), "torch.Size([4, 1])"),
        (torch.zeros(0, 2).long(), "torch.Size([0, 2])"),
        (torch.zeros(4, 2), "got torch.float32"),
        (torch.full((4, 2), -2), "from -2"),
        (torch.full((4, 2), -1), "to -1"),
    ],
)
@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_votes_that_are_none_are_refused(use, votes, says):
    with pytest.raises(ValueError) as error:
        use(votes)
    assert says in str(error.value)


def test_outvoted_needs_a_vote_for_each_label(votes):
    with pytest.raises(ValueError, match="one row a label: 600 for 599"):
        annotators.outvoted(torch.zeros(599).long(), votes)
