from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from finwave.ml import data
from finwave.ml.data import augmented, epoch_batches, load_crops, near_duplicates
from tests.finwave.ml.tiny_crops import write_items

CPU = torch.device("cpu")


def picture(seed: int = 0, size: int = 37) -> np.ndarray:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return np.array(Image.fromarray(small).resize((size, size)))


def augment(images: np.ndarray, *, epoch: int = 1, **changes) -> np.ndarray:
    options = {
        "keys": [(1, data.AUGMENTATION, epoch, i) for i in range(len(images))],
        "image_size_px": 32,
        "strength": 1.0,
        "hflip": False,
        "mean": (0.0, 0.0, 0.0),
        "std": (1.0, 1.0, 1.0),
        "device": CPU,
        **changes,
    }
    return augmented(images, **options).numpy()


def load(paths: list[Path], folder: Path, **changes) -> data.CropStore | None:
    options = {
        "image_size_px": 32,
        "folder": folder,
        "threads": 2,
        "should_stop": lambda: False,
        **changes,
    }
    return load_crops(paths, **options)


def test_augmentation_depends_on_nothing_but_its_key():
    images = np.stack([picture(0), picture(1), picture(2)])

    first = augment(images)

    assert np.array_equal(first, augment(images))
    assert not np.array_equal(first, augment(images, epoch=2))
    # The same crop in another batch is the same picture.
    alone = augment(images[2:], keys=[(1, data.AUGMENTATION, 1, 2)])
    assert np.allclose(first[2], alone[0], atol=1e-6)


def test_strength_zero_is_the_plain_picture():
    images = picture()[None]

    plain = augment(images, strength=0.0)

    scaled = (
        np.asarray(
            Image.fromarray(images[0]).resize((32, 32), Image.Resampling.BILINEAR)
        )
        / 255
    )
    assert np.abs(plain[0].transpose(1, 2, 0) - scaled).mean() < 0.02


def test_strength_makes_the_difference_larger_and_values_stay_in_range():
    images = np.stack([picture(i) for i in range(16)])
    plain = augment(images, strength=0.0)

    weak, strong = (np.abs(augment(images, strength=s) - plain) for s in (0.3, 1.0))

    assert 0 < weak.mean() < strong.mean()
    assert augment(images).min() >= 0
    assert augment(images).max() <= 1


def test_mirrors_only_when_asked():
    ramp = np.broadcast_to(np.linspace(0, 255, 37), (37, 37))
    images = np.repeat(ramp[..., None], 3, axis=2).astype(np.uint8)[None].repeat(24, 0)

    def n_mirrored(hflip: bool) -> int:
        batch = augment(images, hflip=hflip)
        return int(
            (batch[..., :8].mean((1, 2, 3)) > batch[..., -8:].mean((1, 2, 3))).sum()
        )

    assert n_mirrored(False) == 0
    assert 4 < n_mirrored(True) < 20


def test_each_epoch_shows_every_crop_once_in_another_order():
    labels = np.arange(23) % 4
    options = {"batch_size": 5, "seed": 1, "balanced": False}

    first, second = (epoch_batches(labels, epoch=epoch, **options) for epoch in (1, 2))

    assert [len(batch) for batch in first] == [5, 5, 5, 5, 3]
    assert sorted(np.concatenate(first)) == list(range(23))
    assert np.concatenate(first).tolist() != np.concatenate(second).tolist()
    again = epoch_batches(labels, epoch=1, **options)
    assert np.concatenate(first).tolist() == np.concatenate(again).tolist()


@pytest.mark.parametrize(
    ("n", "sizes"), [(11, [5, 6]), (6, [6]), (5, [5]), (2, [2]), (10, [5, 5])]
)
def test_no_batch_of_one(n, sizes):
    batches = epoch_batches(
        np.zeros(n, int), batch_size=5, seed=1, epoch=1, balanced=False
    )

    assert [len(batch) for batch in batches] == sizes


def test_balanced_order_shows_rare_individuals_as_often():
    labels = np.array([0] * 90 + [1] * 9 + [2])

    batches = epoch_batches(labels, batch_size=10, seed=1, epoch=1, balanced=True)

    counts = np.bincount(labels[np.concatenate(batches)])
    assert counts.sum() == 100
    assert counts.max() - counts.min() <= 1
    # The many crops of the common one are used in turn, none twice.
    common = [i for i in np.concatenate(batches) if labels[i] == 0]
    assert len(set(common)) == len(common)


def test_unreadable_crops_are_left_out_and_named(tmp_path):
    paths = [Path(str(item["crop"])) for item in write_items(tmp_path)][:4]
    paths[1].write_bytes(b"no picture")
    paths.insert(3, tmp_path / "gone.jpg")

    store = load(paths, tmp_path)

    assert store.kept.tolist() == [0, 2, 4]
    assert [index for index, _ in store.unreadable] == [1, 3]
    assert all(reason for _, reason in store.unreadable)
    expected = load([paths[0], paths[2], paths[4]], tmp_path)
    assert np.array_equal(store.exact, expected.exact)
    assert np.array_equal(store.roomy, expected.roomy)


def test_a_large_set_is_paged_to_an_unnamed_file(tmp_path, monkeypatch):
    paths = [Path(str(item["crop"])) for item in write_items(tmp_path / "crops")][:3]
    in_memory = load(paths, tmp_path)
    monkeypatch.setattr(data, "IN_MEMORY_BYTES", 0)

    paged = load(paths, tmp_path)

    assert np.array_equal(paged.exact, in_memory.exact)
    assert [path.name for path in tmp_path.iterdir()] == ["crops"]


def test_reading_can_be_stopped(tmp_path):
    assert load([], tmp_path, should_stop=lambda: True).kept.tolist() == []
    paths = [Path(str(item["crop"])) for item in write_items(tmp_path)]
    assert load(paths, tmp_path, should_stop=lambda: True) is None


def test_near_duplicates_are_the_same_picture_saved_again(tmp_path):
    original, other = picture(0, 64), picture(1, 64)
    Image.fromarray(original).save(tmp_path / "again.jpg", quality=60)
    with Image.open(tmp_path / "again.jpg") as file:
        again = np.asarray(file)
    darker = (original * 0.8).astype(np.uint8)

    pairs = near_duplicates(np.stack([original, other, again, darker]))

    assert set(pairs) == {(0, 2), (0, 3), (2, 3)}


def test_flat_pictures_are_no_duplicates():
    assert near_duplicates(np.full((3, 20, 20, 3), 9, np.uint8)) == []
