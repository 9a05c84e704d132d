"""What is kept on disk: checkpoints, a run's folder, released models."""
