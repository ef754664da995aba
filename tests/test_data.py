"""Data sets: what the loaders return, and what they say of bad input."""

import hashlib
import io
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import CIFAR10

from securetrain import data, signs


def test_signs_are_images_and_labels_of_the_promised_form():
    x, y = data.signs(130, seed=0)
    assert x.shape == (130, 3, 32, 32) and x.dtype == torch.float32
    assert y.shape == (130,) and y.dtype == torch.int64
    assert x.min() >= 0 and x.max() <= 1
    assert y.bincount().tolist() == [13] * 10


def test_the_same_seed_gives_the_same_signs_and_another_seed_others():
    first, again, other = (data.signs(40, seed=s) for s in (3, 3, 4))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_training_and_test_signs_never_share_a_stream():
    streams = [
        data.signs(20, seed=seed, split=split)[0]
        for seed in range(4)
        for split in ("train", "test")
    ]
    for i, one in enumerate(streams):
        assert all(not torch.equal(one, other) for other in streams[i + 1 :])


def test_signs_leave_the_global_generator_alone():
    before = torch.random.get_rng_state()
    data.signs(20, seed=0)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_signs_of_more_than_one_chunk_are_all_different():
    x, _ = data.signs(data.CHUNK + 50, seed=0)
    assert len(x.flatten(1).sum(1).unique()) > data.CHUNK


@pytest.mark.parametrize("n", [1, 7, 99, 1000])
def test_class_shares_are_exact_to_less_than_one_image(n):
    weights = [27, 20, 15, 10, 8, 7, 5, 4, 2, 2]
    _, y = data.signs(n, seed=1, class_weights=weights)
    expected = n * torch.tensor(weights) / sum(weights)
    assert ((y.bincount(minlength=10) - expected).abs() <= 1).all()
    assert len(y) == n


def test_a_class_of_weight_zero_does_not_occur():
    _, y = data.signs(500, seed=0, class_weights=[0, 1, 0, 1, 1, 1, 1, 1, 1, 0])
    assert not {0, 2, 9} & set(y.tolist())


def test_harder_signs_are_further_from_the_mean_of_their_class():
    def spread(hard):
        x, y = data.signs(300, seed=0, hard=hard)
        # The clutter behind a sign varies at any hardness; its centre must not.
        x = x[:, :, 12:20, 12:20]
        return torch.stack([x[y == k].std(0).mean() for k in range(10)]).mean()

    assert spread(0.0) < 0.5 * spread(0.6) < 0.6 * spread(1.0)


def test_no_two_classes_share_a_template():
    found = signs.templates()
    assert found.shape == (30, 4, 48, 48) and found.min() >= 0 and found.max() <= 1
    sets = [{t.numpy().tobytes() for t in part} for part in found.split(3)]
    assert len(set().union(*sets)) == sum(map(len, sets))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"n": 0}, "n >= 1"),
        ({"seed": -1}, "seed >= 0"),
        ({"hard": 1.5}, "hard in [0, 1]"),
        ({"hard": float("nan")}, "nan"),
        ({"split": "validation"}, "'train' or 'test', got 'validation'"),
        ({"class_weights": [1.0] * 9}, "10 weights"),
        ({"class_weights": [1.0] * 9 + [-1.0]}, "weights >= 0"),
        ({"class_weights": [1.0] * 9 + [float("nan")]}, "weights >= 0"),
        ({"class_weights": [0.0] * 10}, "not all zero"),
    ],
)
def test_signs_say_what_they_expected(arguments, says):
    with pytest.raises(ValueError) as error:
        data.signs(**{"n": 10, "seed": 0} | arguments)
    assert says in str(error.value)


GOOD = torch.full((4, 3, 8, 8), 0.5)


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (GOOD[0], "(N, C, H, W), got (3, 8, 8)"),
        (GOOD.numpy(), "must be a tensor (N, C, H, W), got (4, 3, 8, 8)"),
        ([1, 2], "got list"),
        ((GOOD * 255).byte(), "torch.uint8; divide by 255"),
        (GOOD[:0], "holds no images"),
        (GOOD * 4, "[0, 1], got 2 to 2"),
        (GOOD - 1, "[0, 1], got -0.5 to -0.5"),
        (GOOD.index_fill(0, torch.tensor(2), float("nan")), "got nan"),
        (GOOD.index_fill(0, torch.tensor(2), float("inf")), "to inf"),
    ],
)
def test_check_images_names_what_it_expected_and_what_came(x, says):
    with pytest.raises(ValueError) as error:
        data.check_images(x, "trusted")
    assert says in str(error.value) and str(error.value).startswith("trusted ")


def test_check_images_accepts_the_ends_of_the_range():
    data.check_images(torch.tensor([0.0, 1.0]).view(2, 1, 1, 1))


@pytest.mark.parametrize(
    ("y", "says"),
    [
        ([0, 1, 2], "(3,), one label an image; got list"),
        (torch.zeros(2).long(), "(3,), one label an image; got (2,)"),
        (torch.zeros(3, 1).long(), "got (3, 1)"),
        (torch.zeros(3), "int64, got torch.float32"),
        (torch.zeros(3).int(), "int64, got torch.int32"),
        (torch.tensor([0, 1, 5]), "0..4, got 0 to 5"),
        (torch.tensor([-1, 1, 4]), "0..4, got -1 to 4"),
    ],
)
def test_check_labels_names_what_it_expected_and_what_came(y, says):
    with pytest.raises(ValueError) as error:
        data.check_labels(y, 3, 5)
    assert says in str(error.value)


def test_check_labels_accepts_the_first_and_the_last_class():
    data.check_labels(torch.tensor([0, 4]), 2, 5)


def test_digits_are_the_bundled_ones():
    x, y = data.digits()
    data.check_images(x)
    data.check_labels(y, 1797, 10)
    assert x.shape == (1797, 1, 8, 8) and x.max() == 1 and len(y.unique()) == 10


# --- Files as their authors publish them ------------------------------------


@pytest.fixture
def cifar_folder(tmp_path, monkeypatch):
    """Write six batches of two images as CIFAR-10 does, with their checksums."""
    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()

    def write(name, content):
        raw = pickle.dumps(content, protocol=2)
        (folder / name).write_bytes(raw)
        return [name, hashlib.md5(raw).hexdigest()]

    def batch(number):
        rows = np.zeros((2, 3072), dtype=np.uint8)
        rows[0, :1024] = 10 * number  # the first third of a row is the red channel
        rows[1, 1024 + 33] = 255  # green, second line, second column
        return {"data": rows, "labels": [number, 9]}

    train = [write(f"data_batch_{i}", batch(i)) for i in range(1, 6)]
    meta = write("batches.meta", {"label_names": ["a"] * 10})
    monkeypatch.setattr(CIFAR10, "train_list", train)
    monkeypatch.setattr(CIFAR10, "test_list", [write("test_batch", batch(7))])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": meta[1]})
    return tmp_path


def test_cifar10_reads_the_published_batches(cifar_folder):
    x, y = data.cifar10(cifar_folder)
    data.check_images(x)
    assert x.shape == (10, 3, 32, 32) and x.is_contiguous()
    assert y.tolist() == [1, 9, 2, 9, 3, 9, 4, 9, 5, 9] and y.dtype == torch.int64
    assert torch.allclose(x[4, 0], torch.tensor(30 / 255)) and not x[4, 1:].any()
    assert x[1].nonzero().tolist() == [[1, 1, 1]] and x[1, 1, 1, 1] == 1


def test_cifar10_keeps_training_and_test_apart(cifar_folder):
    x, y = data.cifar10(cifar_folder, train=False)
    assert x.shape == (2, 3, 32, 32) and y.tolist() == [7, 9]


def test_cifar10_refuses_a_batch_that_was_changed(cifar_folder):
    path = cifar_folder / CIFAR10.base_folder / "data_batch_3"
    path.write_bytes(path.read_bytes() + b".")
    with pytest.raises(FileNotFoundError, match=r"No whole copy of CIFAR-10"):
        data.cifar10(cifar_folder)


@pytest.fixture
def gtsrb_folder(tmp_path):
    """Write a few signs as GTSRB's archives unpack: PPM folders and a table."""

    def picture(path, grey, size):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (grey, grey, 0)).save(path)

    base = tmp_path / "gtsrb"
    for label in range(3):
        folder = base / "GTSRB" / "Training" / f"{label:05d}"
        for i in range(2):
            picture(folder / f"0000{i}_00000.ppm", 50 * label, (29 + i, 30))
        (folder / f"GT-{label:05d}.csv").write_text("Filename;ClassId\n")
    with open(base / "GT-final_test.csv", "w") as file:
        file.write("Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\n")
        for i, label in enumerate((16, 42)):
            name = f"{i:05d}.ppm"
            picture(base / "GTSRB" / "Final_Test" / "Images" / name, 255, (53, 54))
            file.write(f"{name};53;54;6;5;48;49;{label}\n")
    return tmp_path


def test_gtsrb_reads_folders_as_labels_and_resizes(gtsrb_folder):
    x, y = data.gtsrb(gtsrb_folder)
    data.check_images(x)
    assert x.shape == (6, 3, 32, 32) and y.tolist() == [0, 0, 1, 1, 2, 2]
    assert torch.allclose(x[4, :2], torch.tensor(100 / 255)) and not x[4, 2].any()


def test_gtsrb_reads_the_test_labels_from_the_csv_file(gtsrb_folder):
    x, y = data.gtsrb(gtsrb_folder, train=False)
    assert x.shape == (2, 3, 32, 32) and y.tolist() == [16, 42]
    assert y.dtype == torch.int64 and x.max() == 1


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("load", [data.cifar10, data.gtsrb])
def test_an_absent_data_set_says_what_to_do(load, train, tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        load(tmp_path / "empty", train=train)
    for word in (str(tmp_path), "download=True", "data.signs()"):
        assert word in str(error.value)
    assert not (tmp_path / "empty").exists(), "asking must not make folders"


# --- Files ---------------------------------------------------------------------


def npy(array):
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


def test_a_data_set_comes_back_from_its_files():
    x, y = data.signs(50, seed=0)
    files = data.to_files(x, y, shards=3)
    assert sorted(files) == [f"images/{i}.npy" for i in range(3)] + ["labels.npy"]
    again, labels = data.from_files(dict(reversed(files.items())))
    assert torch.equal(labels, y) and (again - x).abs().max() <= 1 / 509
    assert data.to_files(again, labels, shards=3) == files


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"labels.npy": None}, "expected images"),
        ({"labels.npy": b""}, "labels.npy: no array"),
        ({"labels.npy": npy(np.array([None]))}, "no array that can be read.*allow_pi"),
        ({"labels.npy": npy(np.zeros(9, np.int64))}, "expected bytes with 1 sides"),
        ({"labels.npy": npy(np.zeros(9, np.uint8))}, "one label an image"),
        ({"images/0.npy": npy(np.zeros((5, 5), np.uint8))}, "with 4 sides"),
        ({"images/0.npy": pickle.dumps(1)}, "images/0.npy: no array"),
    ],
)
def test_a_strange_file_is_named(change, says):
    files = data.to_files(*data.signs(10, seed=0)) | change
    with pytest.raises(ValueError, match=says):
        data.from_files({k: v for k, v in files.items() if v is not None})


@pytest.mark.parametrize("size", [16, 8, 32])
def test_smaller_signs_are_the_same_signs(size):
    x, y = data.signs(600, 3, "test")
    small, labels = data.signs(600, 3, "test", size=size)
    assert torch.equal(small, torch.nn.functional.avg_pool2d(x, 32 // size))
    assert torch.equal(labels, y)


@pytest.mark.parametrize("size", [0, 33, 12, -16])
def test_a_size_that_no_pixels_add_up_to_is_refused(size):
    with pytest.raises(ValueError, match="size must divide 32"):
        data.signs(10, 0, size=size)
