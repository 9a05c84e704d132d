"""The commands of `facenhance`: each file adds its arguments with `add`, and its `run` does the work."""
