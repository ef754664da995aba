"""The small networks of the course, and the features that detectors look at."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BATCH = 100  # images a forward pass outside training


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut.

    Source: Deep Residual Learning, He et al. 2016, arXiv:1512.03385
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(h)) + self.shortcut(x))


class SmallResNet(nn.Module):
    """A residual network of seven convolutions for 32 x 32 images."""

    def __init__(self, classes: int = 10, channels: int = 3, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 5, stride=2, padding=2, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.blocks = nn.Sequential(
            Block(width, width, 1),
            Block(width, 2 * width, 2),
            Block(2 * width, 4 * width, 2),
        )
        self.head = nn.Linear(4 * width, classes)

    def maps(self, x: Tensor) -> Tensor:
        """Return the last feature maps, (N, 64, 4, 4) for 32 x 32 images."""
        return self.blocks(F.relu(self.norm(self.stem(x))))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.maps(x).mean((2, 3)))  # (N, classes)


def small_resnet(seed: int, classes: int = 10, channels: int = 3) -> SmallResNet:
    """Return a fresh network; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = SmallResNet(classes, channels)
    return model.to(memory_format=torch.channels_last)


@torch.inference_mode()
def predict(model: nn.Module, x: Tensor) -> Tensor:
    """Return the class of each image, (N,) int64."""
    model.eval()
    return torch.cat([model(part).argmax(1) for part in x.split(BATCH)])


@torch.inference_mode()
def probabilities(model: nn.Module, x: Tensor) -> Tensor:
    """Return the probability of each class, (N, classes); each row sums to 1."""
    model.eval()
    return torch.cat([model(part).softmax(1) for part in x.split(BATCH)])


@torch.inference_mode()
def features(model: SmallResNet, x: Tensor) -> Tensor:
    """Return what the last layer sees of each image, (N, 64).

    The maximum of each feature map, not the mean that the classifier uses: a small
    trigger lights up few places, and the mean would dilute it.
    """
    model.eval()
    return torch.cat([model.maps(part).amax((2, 3)) for part in x.split(BATCH)])
