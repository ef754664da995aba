"""Exposure, extraction, duplicates and patterns; training with differential privacy."""

import base64
import math

import pytest
import torch

from securetrain import dp, language, memorisation, memorisation_tables
from securetrain.key_scanners import scrub
from securetrain.language import make_lines, mock_keys, plant
from securetrain.memorisation import (
    FORMS,
    exact_duplicates,
    exposure,
    exposures,
    extracted,
    near_duplicates,
    plant_as,
    search,
    without,
)

COPIES = [0, 0, 1, 8, 8]


@pytest.fixture(scope="module")
def trained():
    """Return a model of 600 lines and five keys in up to eight copies, and the keys."""
    keys = mock_keys(COPIES, seed=1)
    lines = plant(make_lines(600, seed=1), keys, seed=1)
    return language.train(lines, seed=1, epochs=8, progress=False), keys


# --- Forms -----------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_every_form_can_be_undone(form):
    key = mock_keys([1], seed=0)[0]
    prefix, rest = FORMS[form](key.name, key.key, "10:11:12")
    assert key.name in prefix
    plain = "".join(c for c in rest if c not in ' "+')
    if form == "base64":
        plain = base64.b64decode(rest).decode()
    assert plain == key.key
    language.check_lines([prefix + rest])


def test_copies_in_a_log_differ_and_copies_of_a_setting_do_not():
    keys = mock_keys([12, 0], seed=0)
    clean = make_lines(20, seed=0)
    for form, different in (("setting", 1), ("log", 12)):
        mixed = plant_as(form, clean, keys, seed=0)
        written = [line for line in mixed if keys[0].key in line]
        assert len(mixed) == 32 and len(written) == 12
        assert len(set(written)) == different
        assert mixed == plant_as(form, clean, keys, seed=0)


def test_an_unknown_form_is_named():
    with pytest.raises(ValueError, match="'morse'; there are: setting, log"):
        plant_as("morse", ["a"], [], 0)


# --- Exposure --------------------------------------------------------------------


def test_exposure_follows_the_normal_curve():
    references = torch.randn(5000, generator=torch.Generator().manual_seed(0))
    references = (references - references.mean()) / references.std()
    for score, chance in ((0.0, 0.5), (2.0, 0.02275), (-3.0, 0.99865)):
        found = exposure(score, references)
        assert found.bits == pytest.approx(-math.log2(chance), abs=1e-3)
        assert found.rank == 1 + int((references >= score).sum())
        assert found.ranked_bits == pytest.approx(math.log2(5001 / found.rank))
    far = exposure(60.0, references)
    assert far.rank == 1 and far.bits == memorisation.SECRET_BITS and far.share == 1
    assert far.ranked_bits == pytest.approx(math.log2(5001)), "a rank has its cap"


@pytest.mark.parametrize(
    ("score", "references", "message"),
    [
        (math.nan, torch.zeros(20), "NaN or infinite"),
        (-math.inf, torch.zeros(20), "NaN or infinite"),
        (0.0, torch.full((20,), torch.nan), "NaN or infinite"),
        (0.0, torch.zeros(9), "at least 10"),
        (0.0, torch.zeros(20, 1), "at least 10"),
    ],
)
def test_exposure_refuses_scores_that_say_nothing(score, references, message):
    with pytest.raises(ValueError, match=message):
        exposure(score, references)


def test_equal_references_do_not_divide_by_zero():
    assert exposure(1.0, torch.zeros(20)).bits == memorisation.SECRET_BITS
    assert exposure(0.0, torch.zeros(20)).bits == pytest.approx(1.0)


def test_a_planted_key_is_exposed_and_a_control_is_not(trained):
    model, keys = trained
    found = exposures(model, keys, seed=0, references=200)
    bits = memorisation.by_copies(keys, [e.bits for e in found])
    assert list(bits) == [0, 1, 8] and len(bits[8]) == 2
    assert max(bits[0]) < 10 < min(bits[1]) < min(bits[8])
    assert found[3].rank == found[4].rank == 1


def test_references_hold_no_planted_key(trained):
    """They once came from the same stream as the keys, for some seeds."""
    model, _ = trained
    for seed in range(8):
        keys = mock_keys([8] * 10, seed)
        mixed = plant(make_lines(50, seed), keys, seed)
        model = language.train(mixed, seed, epochs=6, progress=False)
        # a model of hardly more than the keys: no reference comes close to them
        assert all(e.rank == 1 for e in exposures(model, keys, seed, references=40))


@pytest.mark.parametrize("form", FORMS)
def test_exposure_is_measured_in_any_form(form):
    keys = mock_keys([0, 12], seed=4)
    lines = plant_as(form, make_lines(300, seed=4), keys, seed=4)
    model = language.train(lines, seed=4, epochs=6, progress=False)
    control, planted = exposures(model, keys, seed=4, form=form, references=100)
    assert control.bits < 10 < planted.bits and planted.rank == 1


def test_exposure_needs_a_key(trained):
    with pytest.raises(ValueError, match="at least one key"):
        exposures(trained[0], [], seed=0)


def test_a_model_that_diverged_is_refused():
    model = language.char_model(0)
    with torch.no_grad():
        model.out.bias[3] = torch.nan
    with pytest.raises(ValueError, match="did training diverge"):
        exposures(model, mock_keys([1], 0), seed=0)


# --- Extraction ------------------------------------------------------------------


def test_a_search_of_width_one_is_greedy(trained):
    model, keys = trained
    for key in keys:
        (found,) = search(model, key.prefix, 1, 12)
        assert found.startswith(language.complete(model, key.prefix, 12))


def test_a_search_returns_the_likeliest_texts_in_order(trained):
    model, keys = trained
    found = search(model, keys[2].prefix, 50, 6)
    assert len(set(found)) == 50 and {len(text) for text in found} == {6}
    contexts, targets, _ = language.encode([keys[2].prefix + t for t in found])
    chances = model(contexts).log_softmax(1)[torch.arange(len(targets)), targets]
    ends = chances.view(50, -1)[:, -7:-1].sum(1)  # without the end of the line
    assert (ends.diff() <= 1e-4).all()


def test_a_short_search_finds_what_trying_all_would():
    model = language.char_model(2)
    found = search(model, "x", 95 * 95, 2)
    assert len(found) == 95 * 95
    lines = ["x" + a + b for a in language.ALPHABET[1:] for b in language.ALPHABET[1:]]
    contexts, targets, _ = language.encode(lines)
    chances = model(contexts).log_softmax(1)[torch.arange(len(targets)), targets]
    best = chances.view(len(lines), 4)[:, 1:3].sum(1).argmax()
    assert "x" + found[0] == lines[best]


def test_extraction_finds_planted_keys_only(trained):
    model, keys = trained
    narrow, wide = (extracted(model, keys, width=width) for width in (1, 100))
    assert narrow[3:] == [True, True] and narrow[:2] == [False, False]
    assert wide[:2] == [False, False]
    assert all(b or not a for a, b in zip(narrow, wide, strict=True))


@pytest.mark.parametrize(("width", "length"), [(0, 5), (3, 0)])
def test_a_search_needs_width_and_length(trained, width, length):
    with pytest.raises(ValueError, match="width and length >= 1"):
        search(trained[0], "a", width, length)


# --- Duplicates and patterns -----------------------------------------------------


def test_exact_duplicates_are_all_but_the_first():
    flagged = exact_duplicates(["a", "b", "a", "a", "b "])
    assert flagged.tolist() == [False, False, True, True, False]
    assert without(["a", "b", "a", "a", "b "], flagged) == ["a", "b", "b "]


def test_exact_duplicates_miss_copies_that_differ_and_near_ones_do_not():
    keys = mock_keys([9], seed=0)
    lines = plant_as("log", ["[billing]", "[search]"], keys, seed=0)
    assert exact_duplicates(lines).sum() == 0
    left = without(lines, near_duplicates(lines))
    assert len(left) == 3
    assert sum(keys[0].key in line for line in left) == 1


def test_near_duplicates_keep_to_the_jaccard_similarity():
    first, second = "abcdefghij", "abcdefghiX"  # parts of five: 6 and 6, 5 shared
    for threshold, gone in ((5 / 7, True), (5 / 7 + 0.01, False), (0.1, True)):
        assert near_duplicates([first, second], threshold).tolist() == [False, gone]
    lines = make_lines(120, seed=0)
    parts = [{line[i : i + 5] for i in range(max(1, len(line) - 4))} for line in lines]
    kept: list[int] = []
    for number, own in enumerate(parts):
        if all(len(own & parts[k]) < 0.5 * len(own | parts[k]) for k in kept):
            kept.append(number)
    assert (~near_duplicates(lines)).nonzero().flatten().tolist() == kept


def test_a_copy_of_a_line_that_went_may_stay():
    """It resembles only what is no longer there."""
    lines = ["abcdefgh", "bcdefghi", "cdefghij"]
    assert near_duplicates(lines, 0.5).tolist() == [False, True, False]


def test_short_and_empty_lines_have_one_part():
    assert near_duplicates(["", "ab", "", "ab"]).tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("threshold", "size"), [(0.0, 5), (1.1, 5), (math.nan, 5), (0.5, 0)]
)
def test_near_duplicates_refuse_a_threshold_outside_its_range(threshold, size):
    with pytest.raises(ValueError, match="0 < threshold <= 1"):
        near_duplicates(["a"], threshold, size)


@pytest.mark.parametrize("function", [exact_duplicates, near_duplicates])
def test_no_lines_are_no_answer(function):
    with pytest.raises(ValueError, match="at least one"):
        function([])


@pytest.mark.parametrize("flagged", [torch.zeros(2), torch.zeros(3, dtype=torch.bool)])
def test_without_refuses_another_mask(flagged):
    with pytest.raises(ValueError, match=r"flagged must be bool \(2,\)"):
        without(["a", "b"], flagged)


@pytest.mark.parametrize(
    ("form", "caught"),
    [("setting", 1), ("log", 1), ("split", 0), ("spoken", 0), ("base64", 0)],
)
def test_a_key_is_scrubbed_in_the_forms_that_a_pattern_knows(form, caught):
    """The topic on secrets scrubs by pattern; clean lines stay as they are."""
    keys, clean = mock_keys([1], seed=0), make_lines(500, seed=0)
    left = scrub(plant_as(form, clean, keys, seed=0))
    assert sum(line not in clean for line in left) == 1
    assert sum("<removed>" in line for line in left) == caught


# --- Differential privacy --------------------------------------------------------


def test_more_noise_spends_less_and_the_promise_is_kept():
    noise = dp.noise_for(4.0, 1e-4, 0.1, 50)
    assert dp.spent(noise, 1e-4, 0.1, 50) <= 4.0
    assert dp.spent(noise, 1e-4, 0.1, 50) > 3.8
    assert dp.noise_for(1.0, 1e-4, 0.1, 50) > noise
    assert dp.spent(noise, 1e-4, 0.1, 100) > 4.0


def test_the_accountant_is_near_the_exact_epsilon_of_one_step():
    """One Gaussian release has a closed form; the accountant's bound lies above it."""
    from scipy.optimize import brentq
    from scipy.stats import norm

    sigma, delta = 2.0, 1e-5

    def gap(epsilon):
        a, b = 1 / (2 * sigma) - epsilon * sigma, -1 / (2 * sigma) - epsilon * sigma
        return norm.cdf(a) - math.exp(epsilon) * norm.cdf(b) - delta

    exact = brentq(gap, 0, 10)  # Balle and Wang 2018, arXiv:1805.06530
    assert exact <= dp.spent(sigma, delta, 1.0, 1) < 1.3 * exact


@pytest.mark.parametrize(
    "wrong",
    [
        (0.0, 1e-4, 0.1, 5),
        (math.nan, 1e-4, 0.1, 5),
        (math.inf, 1e-4, 0.1, 5),
        (8.0, 0.0, 0.1, 5),
        (8.0, 1e-4, 0.0, 5),
        (8.0, 1e-4, 1.5, 5),
        (8.0, 1e-4, 0.1, 0),
    ],
)
def test_a_promise_outside_its_range_is_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        dp.noise_for(*wrong)


def test_the_promise_for_copies_fades():
    assert dp.group(8.0, 1e-4, 1) == (8.0, pytest.approx(1e-4))
    assert dp.group(0.5, 1e-6, 3) == (1.5, pytest.approx(3e-6 * math.exp(1.0)))
    assert dp.group(8.0, 1e-4, 16) == (128.0, 1.0)
    assert dp.group(1.0, 0.0, 16) == (16.0, 0.0)
    for wrong in ((8.0, 1e-4, 0), (-1.0, 1e-4, 1), (8.0, math.nan, 1)):
        with pytest.raises(ValueError, match="copies >= 1"):
            dp.group(*wrong)


def test_records_are_rows_and_padding_does_not_count():
    lines = ["ab", "abcdef"]
    contexts, targets = dp.by_record(lines)
    assert contexts.shape == (2, 7, 16) and targets.shape == (2, 7)
    assert (targets[0] == dp.IGNORED).tolist() == [False] * 3 + [True] * 4
    model = language.char_model(0)
    found = dp.record_loss(model(contexts), targets)
    lengths = torch.tensor([3.0, 7.0])
    wanted = (-language.log_likelihood(model, lines) / lengths).mean()
    assert found.item() == pytest.approx(wanted.item(), rel=1e-5)


@pytest.fixture(scope="module")
def private():
    """Return two trainings alike, with a key in eight copies."""
    keys = mock_keys([8], seed=0)
    lines = plant(make_lines(400, seed=0), keys, seed=0)
    given = {"epochs": 2, "progress": False}
    return [dp.train_private(lines, 0, **given) for _ in range(2)], keys, lines


def test_private_training_keeps_its_promise_and_repeats(private):
    (first, second), _, lines = private
    assert 7.5 < first.epsilon <= 8.0 and first.delta == 1 / (2 * len(lines))
    assert torch.equal(first.model.out.weight, second.model.out.weight)
    fresh = make_lines(50, 0, "test")
    untrained = language.perplexity(language.char_model(0, 64), fresh)
    assert language.perplexity(first.model, fresh) < untrained


def test_private_training_exposes_less(private):
    (model, _), keys, lines = private
    open_model = language.train(lines, 0, epochs=8, progress=False)
    ours, theirs = (exposures(m, keys, 0)[0].bits for m in (model.model, open_model))
    assert ours < 12 < theirs


def test_private_training_refuses_strange_requests():
    for given, message in (({"epsilon": 0.0}, "epsilon"), ({"epochs": 0}, "one step")):
        with pytest.raises(ValueError, match=message):
            dp.train_private(["a", "b"], 0, **given)
    with pytest.raises(ValueError, match="at least one"):
        dp.train_private([], 0)


def test_work_in_parts_is_the_same_work(monkeypatch, private):
    """Clipped gradients add up, whatever the parts; only memory differs."""
    (whole, _), _, lines = private
    monkeypatch.setattr(dp, "PART", 70)
    parts = dp.train_private(lines, 0, epochs=2, progress=False)
    for a, b in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-3)
    assert parts.epsilon == whole.epsilon


# --- The table -------------------------------------------------------------------


def test_the_table_has_one_shape_for_all_seeds_and_shows_the_order(monkeypatch):
    monkeypatch.setattr(memorisation_tables, "COPIES", [0, 1, 16])
    monkeypatch.setattr(memorisation_tables, "FEW", 400)
    monkeypatch.setattr(memorisation_tables, "MANY", 300)
    rows = memorisation_tables.measure(seed=0)
    assert len({tuple(cells) for cells in rows.values()}) == 1
    assert len(rows) == 11
    assert all(math.isfinite(v) for cells in rows.values() for v in cells.values())
    kept = {name: cells["16 copies"] for name, cells in rows.items()}
    assert kept["patterns scrubbed"] < kept["exact copies out"] < kept["nothing done"]
    assert kept["in a log: near copies out"] < kept["in a log: exact copies out"]
    assert kept["base64: 8,000, epsilon 8"] < kept["base64: patterns scrubbed"]
    assert kept["base64: 8,000, clipped only"] < kept["base64: 8,000 lines"]
    out = {name: cells["lines out"] for name, cells in rows.items()}
    assert out["nothing done"] == out["patterns scrubbed"] == 0
    assert 0 < out["exact copies out"] < out["in a log: near copies out"] < 1
    assert rows["nothing done"]["price"] == rows["base64: 8,000 lines"]["price"] == 0
