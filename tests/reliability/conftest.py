"""What the tests of resuming share, importable by name; two processes run the same file as a program."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
