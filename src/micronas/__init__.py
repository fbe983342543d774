"""Find the best convolutional network for your microcontroller, in a minute, without training."""
