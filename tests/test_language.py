"""The character model, its lines, and the mock keys planted among them."""

import re
from collections import Counter

import pytest
import torch

from securetrain import language
from securetrain.language import (
    complete,
    encode,
    log_likelihood,
    make_lines,
    mock_keys,
    perplexity,
    plant,
    train,
)

KEY = re.compile(r"AKIA[0-9A-Z]{16}")


@pytest.fixture(scope="module")
def trained():
    """Return a model of 600 lines with a key in eight copies, and that key."""
    keys = mock_keys([8, 0], seed=3)
    lines = plant(make_lines(600, seed=3), keys, seed=3)
    return train(lines, seed=3, epochs=8, progress=False), keys


# --- Lines and keys ------------------------------------------------------------


def test_lines_come_from_the_seed_and_the_splits_share_no_stream():
    lines = make_lines(200, seed=1)
    assert lines == make_lines(200, seed=1)
    assert lines != make_lines(200, seed=2) != make_lines(200, seed=1, split="test")
    assert lines[:50] == make_lines(50, seed=1), "more lines begin as fewer do"
    language.check_lines(lines)
    assert not KEY.search("\n".join(lines))


@pytest.mark.parametrize("wrong", [(0, 0, "train"), (5, -1, "train"), (5, 0, "dev")])
def test_lines_refuse_strange_requests(wrong):
    with pytest.raises(ValueError, match="make_lines.. expects"):
        make_lines(*wrong)


def test_mock_keys_have_names_and_keys_of_their_own():
    keys = mock_keys([0, 1, 16] * 16, seed=0)
    assert len({key.name for key in keys}) == len({key.key for key in keys}) == 48
    assert [key.copies for key in keys] == [0, 1, 16] * 16
    for key in keys:
        assert KEY.fullmatch(key.key)
        assert key.line == key.prefix + key.key
    assert keys == mock_keys([0, 1, 16] * 16, seed=0)
    assert keys[0].key not in {key.key for key in mock_keys([0] * 48, seed=1)}


@pytest.mark.parametrize("copies", [[-1], [1] * 49])
def test_mock_keys_refuse_negative_copies_and_more_keys_than_names(copies):
    with pytest.raises(ValueError, match="up to 48 numbers of copies from 0"):
        mock_keys(copies, seed=0)


def test_plant_writes_each_key_as_often_as_it_says_and_edits_nothing():
    keys, clean = mock_keys([0, 1, 5], seed=0), make_lines(30, seed=0)
    before = list(clean)
    mixed = plant(clean, keys, seed=0)
    assert clean == before
    count = Counter(mixed)
    assert [count[key.line] for key in keys] == [0, 1, 5]
    assert Counter(clean) == count - Counter(k.line for k in keys for _ in range(5))
    assert mixed != plant(clean, keys, seed=1)


# --- Encoding ------------------------------------------------------------------


def test_encode_gives_each_character_with_the_sixteen_before_it():
    contexts, targets, owners = encode(["ab", "the quick brown fox"])
    assert contexts.shape == (3 + 20, 16)
    assert owners.tolist() == [0] * 3 + [1] * 20

    def text(numbers):
        return "".join(language.ALPHABET[number] for number in numbers)

    assert text(targets) == "ab\nthe quick brown fox\n"
    assert text(contexts[0]) == "\n" * 16
    assert text(contexts[2]) == "\n" * 14 + "ab"
    assert text(contexts[3]) == "\n" * 16, "the second line knows nothing of the first"
    assert text(contexts[-1]) == " quick brown fox"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "at least one"),
        ("one line", "a list of lines"),
        (["fine", "two\nlines"], "line 1: expected printable ASCII"),
        (["café"], "'é' is in it"),
        (["fine", 7], "line 1: expected text, but came int"),
        ([float("nan")], "expected text, but came float"),
    ],
)
def test_lines_that_cannot_be_read_are_refused_everywhere(lines, message, trained):
    model, _ = trained
    for function in (encode, lambda x: train(x, 0), lambda x: log_likelihood(model, x)):
        with pytest.raises(ValueError, match=message):
            function(lines)


# --- The model -----------------------------------------------------------------


def test_the_model_is_small_and_the_same_for_the_same_seed():
    model = language.char_model(0)
    assert 75_000 < sum(p.numel() for p in model.parameters()) < 82_000
    state = torch.get_rng_state()
    again, other = language.char_model(0), language.char_model(1)
    assert torch.equal(state, torch.get_rng_state()), "the global stream was moved"
    assert torch.equal(model.out.weight, again.out.weight)
    assert not torch.equal(model.out.weight, other.out.weight)
    assert model(torch.zeros(2, 3, 16, dtype=torch.int64)).shape == (2, 3, 96)


def test_training_learns_new_lines_too(trained):
    model, _ = trained
    fresh = make_lines(100, seed=3, split="test")
    assert perplexity(model, fresh) < 3
    assert perplexity(language.char_model(3), fresh) > 60


def test_training_is_repeatable():
    lines = make_lines(60, seed=0)
    first, second = (train(lines, 5, epochs=1, progress=False) for _ in range(2))
    assert torch.equal(first.out.weight, second.out.weight)


def test_training_needs_an_epoch():
    with pytest.raises(ValueError, match="at least one epoch"):
        train(["a"], 0, epochs=0)


# --- What a model can be asked -------------------------------------------------


def test_log_likelihood_is_the_sum_over_the_characters_of_a_line(trained):
    model, _ = trained
    lines = ["billing.retry = on", "x"]
    found = log_likelihood(model, lines)
    contexts, targets, owners = encode(lines)
    each = model(contexts).log_softmax(1)[torch.arange(len(targets)), targets]
    for number in range(2):
        assert found[number].item() == pytest.approx(
            each[owners == number].sum().item(), rel=1e-5
        )
    assert torch.allclose(found, log_likelihood(model, lines[::-1]).flip(0), rtol=1e-5)


def test_log_likelihood_leaves_the_given_characters_out(trained):
    model, _ = trained
    lines = ["billing.retry = on", "billing.retry = off", "billing.port"]
    whole, rest = log_likelihood(model, lines), log_likelihood(model, lines, start=12)
    given = whole - rest
    assert (given < 0).all() and (rest < 0).all()
    assert torch.allclose(given[0], given[1]), "the same twelve characters"


@pytest.mark.parametrize("start", [-1, 3])
def test_log_likelihood_refuses_a_start_outside_the_shortest_line(start, trained):
    with pytest.raises(ValueError, match="start must lie in 0..2"):
        log_likelihood(trained[0], ["abc", "ab"], start=start)


def test_a_planted_key_comes_out_and_a_control_does_not(trained):
    model, (planted, control) = trained
    assert complete(model, planted.prefix) == planted.key
    assert complete(model, control.prefix) != control.key
    first, second = log_likelihood(model, [planted.line, control.line])
    assert first > second + 10


def test_complete_stops_at_its_length_and_takes_a_short_prefix(trained):
    model, (planted, _) = trained
    assert complete(model, planted.prefix, length=6) == planted.key[:6]
    assert len(complete(language.char_model(0), "b", length=5)) <= 5


@pytest.mark.parametrize(("prefix", "length"), [("a\n", 5), ("é", 5), ("a", 0)])
def test_complete_refuses_what_it_cannot_read(prefix, length):
    with pytest.raises(ValueError, match="expected printable|length from 1"):
        complete(language.char_model(0), prefix, length)
