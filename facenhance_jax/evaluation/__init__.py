"""Measures how good enhanced clips are: the clips, the methods, the metrics, the results, and how they are shown."""
