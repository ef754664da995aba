"""Wrong labels: flips, confident learning, and cleanlab asked about the same."""

import pytest
import torch

from securetrain import data, label_peers, labels


def judged(y, classes=3, sure=0.9, seed=0):
    """Return probabilities (N, K) of a judge that gives each label of `y`, roughly."""
    rng = torch.Generator().manual_seed(seed)
    p = torch.rand(len(y), classes, generator=rng) * 0.1
    p[torch.arange(len(y)), y] += sure
    return p / p.sum(1, keepdim=True)


@pytest.fixture
def truth():
    """Return 300 true labels of three classes."""
    return torch.arange(300) % 3


# --- Flips ------------------------------------------------------------------

FLIPS = {
    "random": lambda y, share, seed: labels.flip_random(y, share, 3, seed),
    "targeted": lambda y, share, seed: labels.flip_targeted(y, 0, 2, share, seed),
    "borderline": lambda y, share, seed: labels.flip_borderline(
        y, judged(y, seed=seed), share
    ),
}


@pytest.mark.parametrize("name", FLIPS)
def test_flips_change_a_copy_and_as_many_labels_as_asked(name, truth):
    before = truth.clone()
    found = FLIPS[name](truth, 0.2, 0)
    assert torch.equal(truth, before), "the input was edited"
    count = 20 if name == "targeted" else 60
    assert (found != truth).sum() == count and found.dtype == torch.int64
    assert found.min() >= 0 and found.max() <= 2


@pytest.mark.parametrize("name", FLIPS)
def test_flips_repeat_their_seed_and_no_other(name, truth):
    first, again, other = (FLIPS[name](truth, 0.2, seed) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_random_flips_reach_every_other_class(truth):
    found = labels.flip_random(truth, 0.9, 3, seed=0)
    pairs = {(a, b) for a, b in zip(truth.tolist(), found.tolist(), strict=True)}
    assert pairs == {(a, b) for a in range(3) for b in range(3)}


def test_targeted_flips_touch_their_class_only(truth):
    found = labels.flip_targeted(truth, 0, 2, 1.0, seed=0)
    assert (found[truth == 0] == 2).all()
    assert torch.equal(found[truth != 0], truth[truth != 0])


def test_borderline_flips_go_where_the_model_doubts_to_what_it_thinks():
    y = torch.tensor([0, 1, 2, 0])
    p = torch.tensor(
        [[0.5, 0.4, 0.1], [0.0, 0.9, 0.1], [0.3, 0.2, 0.5], [0.9, 0.0, 0.1]]
    )
    found = labels.flip_borderline(y, p, 0.5)
    assert found.tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize("share", [0, -0.1, 1.1, float("nan"), 0.0001])
@pytest.mark.parametrize("name", FLIPS)
def test_a_share_that_flips_nothing_or_too_much_is_refused(name, share, truth):
    with pytest.raises(ValueError, match=rf"share in \(0, 1\].*got {share}"):
        FLIPS[name](truth, share, 0)


@pytest.mark.parametrize("source, target", [(1, 1), (-1, 2), (0, -1)])
def test_targeted_flips_need_two_classes(source, target, truth):
    with pytest.raises(ValueError, match=f"got {source} and {target}"):
        labels.flip_targeted(truth, source, target, 0.5, seed=0)


def test_a_class_that_is_not_there_cannot_be_flipped(truth):
    with pytest.raises(ValueError, match="at least one of 0 labels"):
        labels.flip_targeted(truth, 7, 2, 0.5, seed=0)


@pytest.mark.parametrize(
    ("y", "says"),
    [
        (torch.zeros(0).long(), "one label or more, got (0,)"),
        (torch.zeros(3, 1).long(), "got (3, 1)"),
        ([0, 1], "got list"),
        (torch.zeros(3), "int64, got torch.float32"),
        (torch.tensor([0, -1]), "got -1 to 0"),
    ],
)
def test_targeted_flips_say_which_labels_they_need(y, says):
    with pytest.raises(ValueError) as error:
        labels.flip_targeted(y, 0, 1, 0.5, seed=0)
    assert says in str(error.value)


def test_random_flips_refuse_labels_out_of_range(truth):
    with pytest.raises(ValueError, match=r"0\.\.1, got 0 to 2"):
        labels.flip_random(truth, 0.1, 2, seed=0)


# --- Out of fold --------------------------------------------------------------


def test_no_image_is_judged_by_a_model_that_learned_from_it(truth):
    x, seen = torch.arange(300.0)[:, None], []

    def judge(x, y, x_held):
        assert torch.equal(y, truth[x[:, 0].long()]), "labels lost their images"
        seen.append((set(x[:, 0].tolist()), set(x_held[:, 0].tolist())))
        return torch.full((len(x_held), 3), 1 / 3)

    labels.out_of_fold(x, truth, judge, seed=0, folds=3)
    assert len(seen) == 3
    assert all(not learned & held for learned, held in seen)
    assert set().union(*(held for _, held in seen)) == set(range(300))
    for _, held in seen:
        assert (
            truth[torch.tensor(sorted(held)).long()].bincount().tolist()
            == [pytest.approx(33.3, abs=1)] * 3
        )


def test_each_row_of_the_answer_belongs_to_its_image(truth):
    x = torch.nn.functional.one_hot(truth, 3).float()
    found = labels.out_of_fold(x, truth, lambda x, y, held: held, seed=0)
    assert torch.equal(found, x)


def test_folds_repeat_their_seed_and_no_other(truth):
    def judge(x, y, x_held):
        return torch.tensor([x.sum(), 1, 1]).softmax(0).expand(len(x_held), 3)

    x = torch.linspace(0, 0.01, 300)[:, None]
    first, again, other = (labels.out_of_fold(x, truth, judge, s) for s in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("folds", [-1, 0, 1, 101])
def test_too_few_or_too_many_folds_are_refused(folds, truth):
    with pytest.raises(ValueError, match=rf"class 0: 100\), got {folds}"):
        labels.out_of_fold(truth[:, None], truth, lambda x, y, h: h, 0, folds)


def test_a_class_without_an_image_cannot_be_held_out():
    y = torch.tensor([0, 0, 2, 2])
    with pytest.raises(ValueError, match=r"class 1: 0\), got 2"):
        labels.out_of_fold(y[:, None], y, lambda x, y, h: h, 0)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda n: torch.full((n, 2), 0.5), "must give (150, 3) probabilities"),
        (lambda n: torch.full((n - 1, 3), 1 / 3), "got (149, 3)"),
        (lambda n: torch.full((n, 3), 1.0), "the judge's probabilities must be >= 0"),
        (lambda n: torch.full((n, 3), torch.nan), "NaN or infinity"),
        (lambda n: torch.ones(n, 3).long(), "hold floats"),
    ],
)
def test_a_judge_that_answers_badly_is_named(answer, says, truth):
    with pytest.raises(ValueError) as error:
        labels.out_of_fold(
            truth[:, None], truth, lambda x, y, held: answer(len(held)), seed=0
        )
    assert says in str(error.value)


def test_images_and_labels_must_be_as_many(truth):
    with pytest.raises(ValueError, match="one label an image, got 299 and 300"):
        labels.out_of_fold(truth[:299, None], truth, lambda x, y, h: h, 0)


def test_the_network_and_logistic_regression_are_judges():
    x, y = data.signs(300, seed=0, hard=0.2)
    net = labels.network(seed=0, epochs=6, progress=False)
    found = [labels.out_of_fold(x, y, net, 0) for _ in range(2)]
    assert torch.equal(*found), "the same seed, another answer"
    assert (found[0].argmax(1) == y).float().mean() > 0.6
    images, digits = data.digits()
    rows = images.flatten(1)
    strong = labels.out_of_fold(rows, digits, labels.logistic(len(digits)), 0)
    weak = labels.out_of_fold(rows, digits, labels.logistic(60), 0)
    right = [(p.argmax(1) == digits).float().mean() for p in (weak, strong)]
    assert right[0] + 0.1 < right[1] and right[1] > 0.9


# --- Confident learning ---------------------------------------------------------


def test_confident_learning_by_hand():
    y = torch.tensor([0, 0, 0, 1, 1, 1])
    p = torch.tensor([0.9, 0.8, 0.1, 0.2, 0.1, 0.45])
    p = torch.stack([p, 1 - p], 1)  # thresholds 0.6 and 0.75
    assert labels.suggest(y, p).tolist() == [0, 0, 1, 1, 1, 1]


def test_an_image_that_reaches_no_threshold_keeps_its_label():
    y = torch.tensor([0, 0, 1, 1])
    p = torch.tensor([[1.0, 0.0], [0.45, 0.55], [0.0, 1.0], [0.0, 1.0]])
    assert labels.suggest(y, p).tolist() == [0, 0, 1, 1]


def test_it_finds_flips_that_a_judge_sees_and_spares_the_rest(truth):
    y, p = labels.flip_random(truth, 0.2, 3, seed=0), judged(truth)
    before = y.clone()
    found = labels.suggest(y, p)
    assert torch.equal(y, before)
    assert torch.equal(found[y != truth], truth[y != truth])
    assert torch.equal(found, truth)


def test_an_honest_set_with_good_judges_is_left_alone(truth):
    assert torch.equal(labels.suggest(truth, judged(truth)), truth)


BAD = [
    ([[0.5, 0.5]], [0, 1], "tensor (N, K), got list"),
    (torch.full((2, 2, 1), 0.5), [0, 1], "tensor (N, K), got torch.Size([2, 2, 1])"),
    (torch.zeros(0, 2), [], "one row an image"),
    (torch.ones(2, 2).long(), [0, 1], "floats"),
    (torch.tensor([[0.5, torch.nan], [0.5, 0.5]]), [0, 1], "NaN or infinity"),
    (torch.tensor([[2.0, -1.0], [0.5, 0.5]]), [0, 1], "minimum of -1"),
    (torch.tensor([[0.5, 0.6], [0.5, 0.5]]), [0, 1], "logits need softmax first"),
    (torch.full((2, 2), 0.5), [0, 2], "0..1, got 0 to 2"),
    (torch.full((2, 2), 0.5), [0, -1], "got -1 to 0"),
    (torch.full((2, 2), 0.5), [0, 1, 1], "(2,), one label an image; got (3,)"),
    (torch.full((2, 2), 0.5), [0, 0], "no image is labelled [1], of 2 classes"),
]


@pytest.mark.parametrize(("p", "y", "says"), BAD, ids=[says for *_, says in BAD])
@pytest.mark.parametrize(
    "use",
    [
        lambda y, p: labels.suggest(y, p),
        lambda y, p: labels.flip_borderline(y, p, 0.5),
        lambda y, p: label_peers.flags(y, p),
    ],
    ids=["suggest", "borderline", "cleanlab"],
)
def test_probabilities_that_are_none_are_refused(use, p, y, says):
    with pytest.raises(ValueError) as error:
        use(torch.tensor(y).long(), p)
    assert says in str(error.value)


# --- cleanlab, a real run --------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [60, 250, 1797])
def test_cleanlab_flags_the_same_labels(n, seed):
    x, truth = data.digits()
    y = labels.flip_random(truth, 0.1, 10, seed)
    p = labels.out_of_fold(x.flatten(1), y, labels.logistic(n), seed)
    ours = labels.suggest(y, p) != y
    theirs = label_peers.flags(y, p)
    likeliest = p.argmax(1) == y  # spared by cleanlab beyond the paper's rule
    assert torch.equal(ours & ~likeliest, theirs)
    assert ours.sum() > 50


def test_cleanlab_spares_what_most_judges_believe():
    y = torch.tensor([0] * 10 + [1] * 20)  # half of class 1 is really 0
    p = torch.tensor([0.45] * 10 + [0.45] * 10 + [0.01] * 10)
    p = torch.stack([p, 1 - p], 1)
    assert (labels.suggest(y, p) != y).nonzero().flatten().tolist() == list(
        range(10, 20)
    )
    assert not label_peers.flags(y, p).any()


def test_cleanlab_says_its_version_or_that_it_is_absent(monkeypatch, capsys):
    from importlib.metadata import PackageNotFoundError, version

    assert label_peers.cleanlab() is True
    assert f"cleanlab {version('cleanlab')} answers" in capsys.readouterr().out

    def gone(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(label_peers, "version", gone)
    assert label_peers.cleanlab() is False
    assert capsys.readouterr().out.startswith("SKIPPED: cleanlab is not installed")
