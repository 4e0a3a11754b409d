"""A survey of one's own, in Python; in YAML it is the file survey/deep.yaml of a folder that --config-dir
names."""

deep = {
    "band": "i",
    "pixel_scale": 0.2,
    "zeropoint": 27.0,
    "psf_fwhm": 0.6,
    "psf_beta": 3.0,
    "gain": 5000,
    "sky_sigma": 0.05,
    "magnitude": [18, 24],
}
