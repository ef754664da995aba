"""Training: it learns, it repeats itself, and its parts do what they say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from securetrain import data, models, training
from securetrain.metrics import accuracy


@pytest.fixture(scope="module")
def trained():
    """Return a model of 1,000 signs, and copies of what it was trained on."""
    x, y = data.signs(1000, seed=0)
    before = x.clone(), y.clone()
    model = training.train(x, y, seed=0, epochs=4, progress=False)
    assert torch.equal(x, before[0]) and torch.equal(y, before[1]), "input was edited"
    return model


def test_a_small_training_reads_new_signs(trained):
    x, y = data.signs(500, seed=0, split="test")
    assert accuracy(trained, x, y) > 0.9


def test_wrong_labels_are_learned_as_well_as_right_ones():
    x, y = data.signs(500, seed=0, hard=0.2)
    model = training.train(x, (y + 1) % 10, seed=0, epochs=4, progress=False)
    x, y = data.signs(300, seed=0, split="test", hard=0.2)
    assert accuracy(model, x, (y + 1) % 10) > 0.9 and accuracy(model, x, y) < 0.1


def test_the_same_seed_trains_the_same_model():
    x, y = data.signs(128, seed=0)
    before = torch.random.get_rng_state()
    first, again, other = (
        training.train(x, y, seed=s, epochs=2, progress=False).state_dict()
        for s in (1, 1, 2)
    )
    assert torch.equal(torch.random.get_rng_state(), before), "global generator moved"
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_the_model_comes_back_ready_to_predict(trained):
    assert not trained.training
    x, _ = data.signs(20, seed=5)
    assert torch.equal(models.predict(trained, x[:1]), models.predict(trained, x)[:1])


def test_train_takes_other_channels_and_class_counts():
    x = torch.rand(64, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    y = torch.arange(64) % 3
    model = training.train(x, y, seed=0, epochs=1, classes=3, progress=False)
    assert model(x[:5]).shape == (5, 3)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"x": torch.zeros(64, 32, 32)}, "(N, C, H, W), got (64, 32, 32)"),
        ({"x": torch.zeros(64, 3, 32, 32).byte()}, "uint8; divide by 255"),
        ({"x": torch.full((64, 3, 32, 32), torch.nan)}, "[0, 1], got nan"),
        ({"x": torch.full((64, 3, 32, 32), 255.0)}, "[0, 1], got 255"),
        ({"y": torch.zeros(63).long()}, "(64,), one label an image; got (63,)"),
        ({"y": torch.zeros(64)}, "int64, got torch.float32"),
        ({"y": torch.full((64,), 10)}, "0..9, got 10 to 10"),
        ({"classes": 2, "y": torch.full((64,), 2)}, "0..1, got 2 to 2"),
        ({"epochs": 0}, "64 images and 1 epoch, got 64 and 0"),
        (
            {"x": torch.zeros(63, 3, 32, 32), "y": torch.zeros(63).long()},
            "64 images and 1 epoch, got 63 and 3",
        ),
    ],
)
def test_train_says_what_it_expected_and_what_came(change, says):
    good = {"x": torch.zeros(64, 3, 32, 32), "y": torch.zeros(64).long()}
    with pytest.raises(ValueError) as error:
        training.train(**good | change, seed=0, progress=False)
    assert says in str(error.value)


def test_progress_is_shown_on_request_only(capsys):
    x, y = data.signs(64, seed=0)
    training.train(x, y, seed=0, epochs=1, progress=False)
    assert capsys.readouterr().err == ""
    training.train(x, y, seed=0, epochs=1)
    assert "training" in capsys.readouterr().err


def test_the_learning_rate_rises_over_a_fifth_then_falls_to_zero():
    assert training.ramp(0) == 0 and training.ramp(0.2) == 1
    assert training.ramp(0.1) == pytest.approx(0.5) == training.ramp(0.6)
    assert training.ramp(1) == 0


def test_every_weight_has_exactly_one_optimiser():
    model = models.small_resnet(seed=0)
    kernels, others = (
        {id(p) for group in o.param_groups for p in group["params"]}
        for o in training.make_optimisers(model)
    )
    assert not kernels & others
    assert kernels | others == {id(p) for p in model.parameters()}
    assert kernels == {id(p) for p in model.parameters() if p.ndim == 4}


@pytest.mark.parametrize("shape", [(16, 75), (64, 32)])
def test_orthogonalise_keeps_directions_and_evens_their_lengths(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
    found = training.orthogonalise(matrix)
    inside = u.T @ found @ vh.T
    assert torch.allclose(u @ inside @ vh, found, atol=1e-4)
    assert torch.allclose(inside, inside.diagonal().diag(), atol=1e-4)
    assert inside.diagonal().min() > 0.5 and inside.diagonal().max() < 1.3


@pytest.mark.parametrize("seed", range(3))
def test_adamw_is_torchs_bit_for_bit(seed):
    rng = torch.Generator().manual_seed(seed)
    weights = [torch.randn(5, 7, generator=rng), torch.randn(3, generator=rng)]
    both = []
    for kind in (training.AdamW, torch.optim.AdamW):
        own = [one.clone().requires_grad_() for one in weights]
        idle = torch.ones(2, requires_grad=True)
        both.append((own, idle, kind([{"params": [*own, idle]}], weight_decay=1e-3)))
    for step in range(40):
        grads = [torch.randn(one.shape, generator=rng) for one in weights]
        for own, idle, optimiser in both:
            optimiser.zero_grad()
            assert all(p.grad is None for p in own)
            for p, grad in zip(own, grads, strict=True):
                p.grad = grad * 10.0 ** (step % 5 - 2)
            optimiser.param_groups[0]["lr"] = 5e-3 * training.ramp(step / 40)
            optimiser.step()
            assert torch.equal(idle, torch.ones(2)), "it has no gradient"
        (mine, *_), (theirs, *_) = both
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_training_does_not_load_torchs_compiler():
    """It would be 140 MB and seconds more in every lesson."""
    code = """
import sys
from securetrain import data, training
training.train(*data.signs(64, 0), 0, epochs=1, progress=False)
assert "torch._dynamo" not in sys.modules
"""
    root = str(Path(training.__file__).parents[1])
    env = os.environ | {"PYTHONPATH": root}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)


def test_muon_moves_against_the_gradient_and_holds_the_norm():
    kernel = torch.randn(8, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    kernel = kernel.requires_grad_()
    target = torch.randn(8, 3, 3, 3, generator=torch.Generator().manual_seed(1))
    optimiser = training.Muon([kernel], lr=0.05)
    losses = []
    for _ in range(30):
        loss = 1 - F.cosine_similarity(kernel.flatten(), target.flatten(), dim=0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        # Eight rows: the norm is set to √8 before a step of at most 0.05 x 1.3 x √8.
        assert kernel.norm().item() == pytest.approx(8**0.5, rel=0.07)
    assert losses[-1] < 0.3 * losses[0]


def test_small_resnet_repeats_its_seed_and_no_other():
    first, again, other = (models.small_resnet(s).stem.weight for s in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_features_are_the_maxima_of_the_last_maps(trained):
    x, _ = data.signs(models.BATCH + 30, seed=7)  # more than one batch
    found = models.features(trained, x)
    with torch.no_grad():
        maps = trained.maps(x[-40:])
    assert found.shape == (len(x), 64) and maps.shape == (40, 64, 4, 4)
    assert torch.allclose(found[-40:], maps.flatten(2).max(2).values, atol=1e-4)


def test_predict_names_the_largest_output(trained):
    x, _ = data.signs(40, seed=8)
    with torch.no_grad():
        assert torch.equal(models.predict(trained, x), trained(x).max(1).indices)


def test_probabilities_are_those_of_one_pass(trained):
    x, _ = data.signs(models.BATCH + 30, seed=7)
    found = models.probabilities(trained, x)
    with torch.inference_mode():
        expected = F.softmax(trained(x), 1)
    assert found.shape == (len(x), 10) and torch.allclose(found, expected, atol=1e-5)
    assert torch.equal(found.argmax(1), models.predict(trained, x))
