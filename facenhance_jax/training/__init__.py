"""Training: an experiment, its loss and step, the loop, many devices, the log."""
