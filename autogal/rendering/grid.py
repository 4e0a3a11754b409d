"""The Fourier grid that stamps of one shape share."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Grid", "fast_length"]

# Fall of the transfer function of 3-px seeing at the Nyquist frequency, samples
_FALL = 3.0


def fast_length(n: int) -> int:
    """The smallest length >= `n` that is a multiple of 8 and has no prime factor above 5.

    FFTs of such lengths are fast, and they stay whole when pixels are binned by 2, 4 or 8.
    """
    length = 8 * math.ceil(n / 8)
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 8


@dataclass(frozen=True)
class Grid:
    """Frequencies on which a bucket of equal stamps is drawn.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns of the stamp, native pixels.
    period : (int, int)
        Rows and columns of the periodic FFT grid, native pixels; at least `shape`.
    oversample : int
        Sub-pixels a pixel at which the PSF is sampled; frequencies reach `oversample` times Nyquist and those
        above it are folded back, as sampling by pixels does.
    binning : int
        Pixels averaged along each axis in the image drawn; frequencies then end at the binned Nyquist.
    device : torch.device
    dtype : torch.dtype
        Real type of everything drawn on this grid.
    """

    shape: tuple[int, int]
    period: tuple[int, int]
    oversample: int = 1
    binning: int = 1
    device: torch.device = torch.device("cpu")
    dtype: torch.dtype = torch.float32

    def __post_init__(self):
        height, width = (p * self.oversample // self.binning for p in self.period)
        ky = torch.fft.fftfreq(height, device=self.device, dtype=torch.float64) * (
            2 * math.pi * self.oversample / self.binning
        )
        kx = torch.fft.rfftfreq(width, device=self.device, dtype=torch.float64) * (
            2 * math.pi * self.oversample / self.binning
        )
        put = lambda name, value: object.__setattr__(self, name, value)
        put("ky", ky)
        put("kx", kx)
        x, y = (
            torch.arange(-(-n // self.binning), device=self.device, dtype=self.dtype)
            for n in self.shape[::-1]
        )
        put("x", x * self.binning + (self.binning - 1) / 2)
        put("y", y * self.binning + (self.binning - 1) / 2)

    @property
    def complex_dtype(self) -> torch.dtype:
        return torch.complex128 if self.dtype == torch.float64 else torch.complex64

    def psf_transform(self, psf: Tensor, optical: bool, oversample: int | None = None) -> Tensor:
        """Transfer function of PSFs: PSF, pixel and binning together.

        Parameters
        ----------
        psf : Tensor, [N, K, K']
            Odd-sized, centred on the middle sample, unit sum.
        optical : bool
            Whether the pixel's own response is still missing and must be multiplied in.
        oversample : int, optional
            Samples of the PSF a pixel; the grid's own by default. A coarse grid may draw from a finer PSF.

        Returns
        -------
        Tensor, [N, Kx, Ky] complex
        """
        rows, columns = psf.shape[-2:]
        pitch = 1 / (oversample or self.oversample)
        y = (torch.arange(rows, device=self.device, dtype=torch.float64) - rows // 2) * pitch
        x = (torch.arange(columns, device=self.device, dtype=torch.float64) - columns // 2) * pitch
        # a PSF is small: two matrix products give its transform at any frequencies, wrapped by no grid
        left = torch.exp(-1j * self.kx[:, None] * x).to(self.complex_dtype)
        right = torch.exp(-1j * y[:, None] * self.ky).to(self.complex_dtype)
        axes = []
        for k in (self.kx, self.ky):
            factor = torch.sinc(k / (2 * math.pi)) if optical else torch.ones_like(k)
            if self.binning > 1:  # mean of `binning` pixels, seen from the first one's centre
                half = k / 2
                factor = factor * torch.where(
                    half == 0, 1.0, torch.sin(self.binning * half) / (self.binning * torch.sin(half))
                )
                # what turns at the last frequency cannot be told from what turns the other way: a real
                # transform takes it for half of either along x, and the complex one along y does not. Seen
                # without it, an image is that of its transpose
                inside = k.abs() < math.pi / self.binning * self.oversample * (1 - 1e-9)
                axes.append(torch.where(inside, factor, 0.0) * torch.exp(1j * k * (self.binning - 1) / 2))
            else:
                axes.append(factor.to(torch.complex128))
        left, right = left * axes[0][:, None].to(left.dtype), right * axes[1].to(right.dtype)
        return left @ (psf.to(self.device, self.complex_dtype).mT @ right)

    def phase(self, centre: Tensor, axis: str) -> tuple[Tensor, Tensor]:
        """Factors that shift a source to `centre` along one axis, and their derivatives by it.

        Parameters
        ----------
        centre : Tensor, [B]
            Native pixels.
        axis : {"x", "y"}

        Returns
        -------
        factor, slope : Tensor, [B, K] complex

        Notes
        -----
        A sampled PSF of amplitude P at the Nyquist frequency holds the frequencies beyond it folded on to
        those below, and each half must turn its own way when the source moves by a part of a pixel: turned as
        one they ring, by 1e-5 of the flux a pixel for a Moffat of 3 px. The halves are told apart by the
        exponential fall that all seeing has there, P(k) / (P(k) + P(2 pi - k)) = 1 / (1 + exp(-2 a (pi -
        |k|))).
        """
        k = self.kx if axis == "x" else self.ky
        centre = centre.double()[:, None]
        if self.binning > 1:  # drawn from a PSF that is sampled finer than the image: nothing is folded in it
            factor = torch.exp(-1j * centre * k)
            return factor.to(self.complex_dtype), (-1j * k * factor).to(self.complex_dtype)
        nyquist = math.pi * self.oversample
        folded = torch.sigmoid(-2 * _FALL / self.oversample * (nyquist - k.abs()))
        other = k - 2 * nyquist * torch.sign(k)
        own, alias = (1 - folded) * torch.exp(-1j * centre * k), folded * torch.exp(-1j * centre * other)
        slope = -1j * (k * own + other * alias)
        return (own + alias).to(self.complex_dtype), slope.to(self.complex_dtype)

    def to_images(self, spectra: Tensor) -> Tensor:
        """Images of half-plane spectra.

        Parameters
        ----------
        spectra : Tensor, [..., Kx, Ky] complex
            With ky last: the first of the two passes then runs through memory in order, which halves its
            time.

        Returns
        -------
        Tensor, [..., H, W]
            The stamp's corner of the periodic image. Rows that the stamp lacks are dropped between the two
            passes.
        """
        height, width = (p // self.binning for p in self.period)
        fold = self.oversample
        if fold > 1:  # frequencies above Nyquist alias on to those below it
            spectra = spectra.unflatten(-1, (fold, height)).sum(-2)
        rows = torch.fft.ifft(spectra, dim=-1)[..., : len(self.y)].mT
        if fold > 1:
            # the other half of every row's spectrum, so that the same folding works along x
            mirrored = rows[..., 1 : rows.shape[-1] - (1 - (width * fold) % 2)].flip(-1).conj()
            rows = (
                torch.cat([rows, mirrored], dim=-1)
                .unflatten(-1, (fold, width))
                .sum(-2)[..., : width // 2 + 1]
            )
        images = torch.fft.irfft(rows, n=width, dim=-1)[..., : len(self.x)]
        # a bin is a mean, which the transfer function already holds: only the FFT's own norm is left to put
        # right
        return images / self.binning**2 if self.binning > 1 else images
