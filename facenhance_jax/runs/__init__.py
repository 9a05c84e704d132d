"""Files on disk: checkpoints, a run's folder, released models."""
