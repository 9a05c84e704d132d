"""Puts the checkout on sys.path: the configs are in no package, and ours may not be installed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
