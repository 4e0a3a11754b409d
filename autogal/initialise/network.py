"""The network of starting values: a ResNet-50 that says how sure it is."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet50

from autogal.initialise.crops import CHANNELS, FEATURES, SIDE
from autogal.initialise.targets import TARGETS

__all__ = ["CARD", "StartNetwork", "gaussian_nll"]

_SIZE = len(TARGETS)
_HIDDEN = 512
_SHAPES = (("e1", "e2"), ("outer e1", "outer e2"), ("true e1", "true e2"), ("fitted e1", "fitted e2"))  # ellipticities, the surest last
_MEASURED = ("mean x", "mean y", "fitted ln flux", "fitted ln R", "fitted ln n")  # of the other targets
_GAINS = len(_SHAPES) + len(_MEASURED)
_FARTHEST = 6.0  # of a scaled feature; a crop unlike all others must not blow the numbers up
_WIDEST = 6.0  # |ln| of a diagonal element of the factor; keeps a wild crop from a wild covariance

# What a checkpoint's card must say for its weights to fit this network.
CARD = {"version": 4, "architecture": "resnet50", "channels": list(CHANNELS), "features": list(FEATURES),
        "targets": list(TARGETS), "side": SIDE}


class _Residual(nn.Module):
    """Two layers beside a path that leaves photometry as it is: much of what is asked is nearly linear in it."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(_HIDDEN), nn.Linear(_HIDDEN, _HIDDEN), nn.GELU(), nn.Linear(_HIDDEN, _HIDDEN))

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden + self.layers(hidden)


class StartNetwork(nn.Module):
    """Mean and precision of the seven targets of `autogal.initialise.targets`.

    torchvision's ResNet-50 without its pooling and classifier, then two layers: pooling would throw away where the
    light is. It corrects what a few layers make of the crop's photometry alone. The second output is the Cholesky factor
    of the inverse covariance, so that any output is a valid one.

    Attributes
    ----------
    feature_mean, feature_spread, target_mean, target_spread : Tensor
        Scalers of inputs and outputs, part of the state; see `fit_scalers`.
    """

    def __init__(self):
        super().__init__()
        self.body = resnet50(weights=None, zero_init_residual=True)
        self.body.conv1 = nn.Conv2d(len(CHANNELS), 64, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(self.body.conv1.weight, mode="fan_out", nonlinearity="relu")
        width = self.body.fc.in_features
        del self.body.fc, self.body.avgpool
        places = (SIDE // 32) ** 2
        self.first = nn.Conv2d(width + len(FEATURES), _HIDDEN, 1)
        self.last = nn.Linear(_HIDDEN * places, _SIZE + _SIZE * (_SIZE + 1) // 2)
        self.direct = nn.Sequential(nn.Linear(len(FEATURES), _HIDDEN), _Residual(), _Residual(), nn.LayerNorm(_HIDDEN),
                                    nn.Linear(_HIDDEN, self.last.out_features + _GAINS))
        for layer in (self.last, self.direct[-1]):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        with torch.no_grad():
            self.direct[-1].bias[-1 - len(_MEASURED) :] = 1.0  # what was measured, until there is more to say
        for name, length in (("feature", len(FEATURES)), ("target", _SIZE)):
            self.register_buffer(f"{name}_mean", torch.zeros(length))
            self.register_buffer(f"{name}_spread", torch.ones(length))
        self.register_buffer("_shapes", torch.tensor([[FEATURES.index(name) for name in shape] for shape in _SHAPES]), persistent=False)
        self.register_buffer("_measured", torch.tensor([FEATURES.index(name) for name in _MEASURED]), persistent=False)
        rows, columns = torch.tril_indices(_SIZE, _SIZE, -1)
        self.register_buffer("_rows", rows, persistent=False)
        self.register_buffer("_columns", columns, persistent=False)

    def forward(self, channels: Tensor, features: Tensor, look: bool = True) -> tuple[Tensor, Tensor]:
        """Standardised means [B, 7] and Cholesky factors L [B, 7, 7] of their precision L L^T.

        Parameters
        ----------
        channels : Tensor, [B, 4, SIDE, SIDE]
        features : Tensor, [B, len(FEATURES)]
        look : bool
            Without it, what the photometry alone says.
        """
        scaled = ((features - self.feature_mean) / self.feature_spread).clamp(-_FARTHEST, _FARTHEST)
        with torch.autocast(features.device.type, enabled=False):  # three digits are not enough for photometry
            out, gains = self.direct(scaled).split([self.last.out_features, _GAINS], 1)
        if look:
            out = out + self._correction(channels, scaled).float()
        mean, diagonal, rest = out.split([_SIZE, _SIZE, _SIZE * (_SIZE - 1) // 2], 1)
        # the rest is a correction of what was measured; seen through a PSF a galaxy points where it did
        stretch = (gains[:, : len(_SHAPES), None] * features[:, self._shapes].view(-1, *self._shapes.shape)).sum(1)
        measured = gains[:, len(_SHAPES) :] * (features[:, self._measured] - self.target_mean[:-2])
        mean = mean + torch.cat([measured, stretch], 1) / self.target_spread
        factor = torch.diag_embed(torch.exp(_WIDEST * torch.tanh(diagonal / _WIDEST)))
        factor[:, self._rows, self._columns] = rest
        return mean, factor

    def _correction(self, channels: Tensor, scaled: Tensor) -> Tensor:
        net = self.body
        maps = net.maxpool(net.relu(net.bn1(net.conv1(channels))))
        maps = net.layer4(net.layer3(net.layer2(net.layer1(maps))))
        maps = torch.cat([maps, scaled[:, :, None, None].to(maps.dtype).expand(-1, -1, *maps.shape[2:])], 1)
        # the layout in memory must not decide the order of the places
        return self.last(functional.gelu(self.first(maps)).contiguous().flatten(1))

    def standardise(self, targets: Tensor) -> Tensor:
        """Targets [B, 7] as the network predicts them."""
        return (targets - self.target_mean) / self.target_spread

    @torch.no_grad()
    def fit_scalers(self, features: Tensor, targets: Tensor) -> None:
        """Set the scalers from examples [N, len(FEATURES)] and [N, 7]: median, and half the span of the middle 68 %."""
        for name, values in (("feature", features), ("target", targets)):
            low, middle, high = torch.quantile(values.float(), torch.tensor([0.16, 0.5, 0.84], device=values.device), dim=0)
            getattr(self, f"{name}_mean").copy_(middle)
            getattr(self, f"{name}_spread").copy_(((high - low) / 2).clamp(min=1e-3))
        self.target_mean[-2:] = 0.0  # no direction is preferred

    def predict(self, channels: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Means [B, 7] and covariances [B, 7, 7] of the targets, float64."""
        mean, factor = self(channels, features)
        inverse = torch.linalg.solve_triangular(
            factor.double(), torch.eye(_SIZE, dtype=torch.float64, device=factor.device), upper=False)
        # (L L^T)^-1 = L^-T L^-1
        rows = inverse * self.target_spread.double()
        return (mean * self.target_spread + self.target_mean).double(), rows.mT @ rows


def gaussian_nll(mean: Tensor, factor: Tensor, truth: Tensor) -> Tensor:
    """Negative log-likelihood [B] per target, of truths [B, 7] under normal distributions of precision L L^T."""
    residual = (factor * (truth - mean)[:, :, None]).sum(1)  # L^T r, in full precision whatever autocast does to products
    log_determinant = torch.log(factor.diagonal(dim1=1, dim2=2)).sum(1)
    return (0.5 * residual.square().sum(1) - log_determinant) / mean.shape[1] + 0.5 * math.log(2 * math.pi)
