"""The metrics: plain functions of frames, of landmarks, or of a network's features."""
