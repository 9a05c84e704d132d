"""The metrics, each a plain function of frames."""
