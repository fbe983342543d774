"""Find the best convolutional network for your microcontroller, in a minute, without training."""

__version__ = "0.1.0"
