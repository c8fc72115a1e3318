"""Puts the bridges, which apps copy beside their own files, on the path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "deploy/bridges"))
