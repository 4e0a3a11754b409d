"""The names of the parameters of galaxies, without anything that computes with them."""

__all__ = ["HIGHEST_MODE", "SINGLE"]

#: The highest Fourier mode of isophotes
HIGHEST_MODE = 10

#: What one Sersic profile says of a galaxy, in the order of every array of such; of a point source only the first three
SINGLE = ("x", "y", "mag", "r_eff", "n", "q", "pa")
