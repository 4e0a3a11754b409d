"""The network of starting values: a ResNet-50 that says how sure it is."""

from __future__ import annotations

import math
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet50

from autogal.initialise.network.crops import CHANNELS, FEATURES, SIDE
from autogal.initialise.network.targets import TARGETS

__all__ = ["CARD", "StartNetwork", "catalogue_axes", "coverage_loss", "pinball", "sized", "student_nll"]

_SIZE = len(TARGETS)
_HIDDEN = 512
_SHAPES = (
    ("e1", "e2"),
    ("outer e1", "outer e2"),
    ("true e1", "true e2"),
    ("fitted e1", "fitted e2"),
)  # ellipticities, the surest last
_MEASURED = ("mean x", "mean y", "fitted ln flux", "fitted ln R", "fitted ln n")  # of the other targets
_GAINS = len(_SHAPES) + len(_MEASURED)
_FARTHEST = 6.0  # of a scaled feature; a crop unlike all others must not blow the numbers up
_WIDEST = 6.0  # |ln| of a diagonal element of the factor; keeps a wild crop from a wild covariance
_UNDIRECTED = [
    i for i, name in enumerate(FEATURES) if not name.endswith((" x", " y", "e1", "e2"))
]  # no flip or turn changes them
_SCALED = [0, 0, 1, 2, 3, 4, 5]  # which factor each error has: x and y one
# degrees of the Student-t distribution of errors: some crops mislead in ways that nothing in them tells
_FREEDOM = 4.0
_INSIDE = 0.6827  # part of the truths that 1 sigma is to hold
_ONE_SIGMA = (
    1.1417  # half the interval that holds them, of a Student-t distribution of that freedom and unit scale
)

# What a checkpoint's card must say for its weights to fit this network.
CARD = {
    "version": 6,
    "architecture": "resnet50",
    "channels": list(CHANNELS),
    "features": list(FEATURES),
    "targets": list(TARGETS),
    "side": SIDE,
}


class _Residual(nn.Module):
    """Two layers beside a path that leaves photometry as it is: much of what is asked is nearly linear in
    it."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(_HIDDEN), nn.Linear(_HIDDEN, _HIDDEN), nn.GELU(), nn.Linear(_HIDDEN, _HIDDEN)
        )

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden + self.layers(hidden)


class StartNetwork(nn.Module):
    """Mean and precision of the seven targets of `autogal.initialise.network.targets`.

    torchvision's ResNet-50 without its pooling and classifier, then two layers: pooling would throw away
    where the light is. It corrects what a few layers make of the crop's photometry alone. The second output
    is the Cholesky factor of the inverse covariance, so that any output is a valid one; its errors are those
    that hold 68 % of the truths.

    Attributes
    ----------
    feature_mean, feature_spread, target_mean, target_spread : Tensor
        Scalers of inputs and outputs, part of the state; see `fit_scalers`.
    errors : nn.Linear
        Logarithms of factors on the errors along `catalogue_axes`; see
        `autogal.training.initialiser.calibrate`.
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
        self.direct = nn.Sequential(
            nn.Linear(len(FEATURES), _HIDDEN),
            _Residual(),
            _Residual(),
            nn.LayerNorm(_HIDDEN),
            nn.Linear(_HIDDEN, self.last.out_features + _GAINS),
        )
        self.errors = nn.Linear(len(_UNDIRECTED) + 1, max(_SCALED) + 1)
        for layer in (self.last, self.direct[-1], self.errors):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        with torch.no_grad():
            self.direct[-1].bias[-1 - len(_MEASURED) :] = 1.0  # what was measured, until there is more to say
        for name, length in (("feature", len(FEATURES)), ("target", _SIZE)):
            self.register_buffer(f"{name}_mean", torch.zeros(length))
            self.register_buffer(f"{name}_spread", torch.ones(length))
        self.register_buffer(
            "_shapes",
            torch.tensor([[FEATURES.index(name) for name in shape] for shape in _SHAPES]),
            persistent=False,
        )
        self.register_buffer(
            "_measured", torch.tensor([FEATURES.index(name) for name in _MEASURED]), persistent=False
        )
        rows, columns = torch.tril_indices(_SIZE, _SIZE, -1)
        self.register_buffer("_rows", rows, persistent=False)
        self.register_buffer("_columns", columns, persistent=False)

    def forward(
        self, channels: Tensor, features: Tensor, use_pixels: bool = True, learn: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Standardised means [B, 7] and Cholesky factors L [B, 7, 7] of their precision L L^T.

        Parameters
        ----------
        channels : Tensor, [B, 4, SIDE, SIDE]
        features : Tensor, [B, len(FEATURES)]
        use_pixels : bool
            Without it, what the photometry alone says.
        learn : bool
            Without it, the convolutions have no gradients.
        """
        scaled = self.scaled(features)
        with torch.autocast(
            features.device.type, enabled=False
        ):  # three digits are not enough for photometry
            out, gains = self.direct(scaled).split([self.last.out_features, _GAINS], 1)
        if use_pixels:
            out = out + self._correction(channels, scaled, learn).float()
        mean, diagonal, rest = out.split([_SIZE, _SIZE, _SIZE * (_SIZE - 1) // 2], 1)
        # the rest is a correction of what was measured; seen through a PSF a galaxy points where it did
        stretch = (
            gains[:, : len(_SHAPES), None] * features[:, self._shapes].view(-1, *self._shapes.shape)
        ).sum(1)
        measured = gains[:, len(_SHAPES) :] * (features[:, self._measured] - self.target_mean[:-2])
        mean = mean + torch.cat([measured, stretch], 1) / self.target_spread
        factor = torch.diag_embed(torch.exp(_WIDEST * torch.tanh(diagonal / _WIDEST)))
        factor[:, self._rows, self._columns] = rest
        return mean, factor

    def _correction(self, channels: Tensor, scaled: Tensor, learn: bool) -> Tensor:
        net = self.body
        with nullcontext() if learn else torch.no_grad():
            maps = net.maxpool(net.relu(net.bn1(net.conv1(channels))))
            maps = net.layer4(net.layer3(net.layer2(net.layer1(maps))))
        maps = torch.cat([maps, scaled[:, :, None, None].to(maps.dtype).expand(-1, -1, *maps.shape[2:])], 1)
        # the layout in memory must not decide the order of the places
        return self.last(functional.gelu(self.first(maps)).contiguous().flatten(1))

    def scaled(self, features: Tensor) -> Tensor:
        """Features [B, len(FEATURES)] as the layers see them."""
        return ((features - self.feature_mean) / self.feature_spread).clamp(-_FARTHEST, _FARTHEST)

    def standardise(self, targets: Tensor) -> Tensor:
        """Targets [B, 7] as the network predicts them.

        Parameters
        ----------
        targets : Tensor, [B, 7]

        Returns
        -------
        Tensor, [B, 7]
        """
        return (targets - self.target_mean) / self.target_spread

    @torch.no_grad()
    def fit_scalers(self, features: Tensor, targets: Tensor) -> None:
        """Set the scalers from examples [N, len(FEATURES)] and [N, 7]: median, and half the span of the
        middle 68 %.

        Of features that are mostly the same, as what is hidden of a target, a quarter of the span of the
        middle 95 %.
        """
        for name, values in (("feature", features), ("target", targets)):
            lowest, low, middle, high, highest = torch.quantile(
                values.float(), torch.tensor([0.025, 0.16, 0.5, 0.84, 0.975], device=values.device), dim=0
            )
            spread = (high - low) / 2
            spread = torch.maximum(spread, (highest - lowest) / 4) if name == "feature" else spread
            getattr(self, f"{name}_mean").copy_(middle)
            getattr(self, f"{name}_spread").copy_(spread.clamp(min=1e-3))
        self.target_mean[-2:] = 0.0  # no direction is preferred

    def predict(self, channels: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Means [B, 7] and covariances [B, 7, 7] of the targets, float64.

        Parameters
        ----------
        channels : Tensor, [B, 4, SIDE, SIDE]
        features : Tensor, [B, len(FEATURES)]

        Returns
        -------
        mean : Tensor, [B, 7]
        covariance : Tensor, [B, 7, 7]
        """
        return self.described(*self(channels, features), features)

    def described(self, mean: Tensor, factor: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """What `forward` found, as `predict` says it.

        Parameters
        ----------
        mean : Tensor, [B, 7]
            Standardised.
        factor : Tensor, [B, 7, 7]
            Cholesky factors of the precision.
        features : Tensor, [B, len(FEATURES)]

        Returns
        -------
        mean : Tensor, [B, 7]
        covariance : Tensor, [B, 7, 7]
        """
        inverse = torch.linalg.solve_triangular(
            factor.double(), torch.eye(_SIZE, dtype=torch.float64, device=factor.device), upper=False
        )
        # (L L^T)^-1 = L^-T L^-1
        rows = inverse * self.target_spread.double()
        mean = (mean * self.target_spread + self.target_mean).double()
        axes = catalogue_axes(mean)
        larger = torch.exp(self.ln_factors(self.calibration_features(features, mean)).double())
        rows = rows @ torch.linalg.solve(axes, larger[:, :, None] * axes).mT
        return mean, rows.mT @ rows

    def ln_factors(self, features: Tensor) -> Tensor:
        """Logarithms of the factors [B, 7] on the errors along `catalogue_axes`.

        Parameters
        ----------
        features : Tensor, [B, F]
            From `calibration_features`.

        Returns
        -------
        Tensor, [B, 7]
        """
        return self.errors(features)[:, _SCALED]

    def calibration_features(self, features: Tensor, mean: Tensor) -> Tensor:
        """What `errors` sees: the features [B, len(FEATURES)] without direction, and the ellipticity of means
        [B, 7] of the targets.

        Parameters
        ----------
        features : Tensor, [B, len(FEATURES)]
        mean : Tensor, [B, 7]

        Returns
        -------
        Tensor, [B, F]
        """
        return torch.cat(
            [self.scaled(features)[:, _UNDIRECTED], mean[:, -2:].norm(dim=1, keepdim=True).float()], 1
        )


def catalogue_axes(mean: Tensor) -> Tensor:
    """Rows [B, 7, 7] that make of small changes of the targets those of x, y, ln flux, ln r_eff, ln n, ln q
    and the position angle.

    The last two up to sign and unit: along the ellipticity of `mean` [B, 7] and across it.

    Parameters
    ----------
    mean : Tensor, [B, 7]
        Targets, not standardised.

    Returns
    -------
    Tensor, [B, 7, 7]
    """
    e1, e2 = torch.nn.functional.normalize(mean[:, -2:] + 1e-9, dim=1).unbind(1)
    axes = torch.eye(_SIZE, dtype=mean.dtype, device=mean.device).repeat(len(mean), 1, 1)
    axes[:, 3, -2:] = torch.stack([e1, e2], 1) / 2  # r_eff is the semi-major axis: ln R - ln q / 2
    axes[:, -2:, -2:] = torch.stack([e1, e2, -e2, e1], 1).view(-1, 2, 2)
    return axes


def sized(factor: Tensor) -> Tensor:
    """The same factors [B, 7, 7], through which a loss reaches the correlations but not the 1-sigma
    errors."""
    error = _ln_errors(factor)
    return torch.exp(error - error.detach())[:, :, None] * factor


def _ln_errors(factor: Tensor) -> Tensor:
    """Logarithms of the 1-sigma errors [B, 7] of precisions L L^T."""
    inverse = torch.linalg.solve_triangular(
        factor, torch.eye(_SIZE, device=factor.device).expand_as(factor), upper=False
    )
    return 0.5 * torch.log(inverse.square().sum(1))  # the diagonal of L^-T L^-1


def student_nll(mean: Tensor, factor: Tensor, truth: Tensor) -> Tensor:
    """Negative log-likelihood [B] per target, of truths [B, 7] under Student-t distributions whose 68 % are
    those of precision L L^T.

    Errors of starting values have wide wings, which a normal likelihood would pay for with too large errors
    for all others.

    Parameters
    ----------
    mean, truth : Tensor, [B, 7]
        Standardised.
    factor : Tensor, [B, 7, 7]
        Lower triangles L.

    Returns
    -------
    Tensor, [B]
        Nats a target.
    """
    size = mean.shape[1]
    residual = (factor * (truth - mean)[:, :, None]).sum(
        1
    )  # L^T r, in full precision whatever autocast does to products
    log_determinant = torch.log(factor.diagonal(dim1=1, dim2=2)).sum(1) + size * math.log(_ONE_SIGMA)
    wings = 0.5 * (_FREEDOM + size) * torch.log1p(_ONE_SIGMA**2 * residual.square().sum(1) / _FREEDOM)
    constant = (
        math.lgamma(0.5 * _FREEDOM)
        - math.lgamma(0.5 * (_FREEDOM + size))
        + 0.5 * size * math.log(math.pi * _FREEDOM)
    )
    return (wings - log_determinant + constant) / size


def coverage_loss(mean: Tensor, factor: Tensor, truth: Tensor) -> Tensor:
    """Least [B] where each 1-sigma error of precision L L^T holds 68 % of the truths [B, 7]; it moves no
    mean.

    Of logarithms, so that large errors count as much as small ones.

    Parameters
    ----------
    mean, truth : Tensor, [B, 7]
        Standardised.
    factor : Tensor, [B, 7, 7]

    Returns
    -------
    Tensor, [B]
    """
    over = torch.log((truth - mean).detach().abs().clamp(min=1e-6)) - _ln_errors(factor)
    return pinball(over).mean(1)


def pinball(values: Tensor) -> Tensor:
    """Quantile loss (Koenker & Bassett 1978), least in the mean where 68 % of the values are negative.

    Parameters
    ----------
    values : Tensor

    Returns
    -------
    Tensor
        Like `values`.
    """
    return torch.maximum(_INSIDE * values, (_INSIDE - 1) * values)
