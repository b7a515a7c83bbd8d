"""Paths."""

import os

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BENCHES = os.path.join(ROOT, "benches")
STAGE = os.environ.get("STAGE") or os.path.join(ROOT, "target", "stage")
LIBRARY = os.path.join(STAGE, "lib", "libcouchdrop.so.1")
# Contains only built programs and figures.
BUILT = os.path.join(ROOT, "target", "bench")
DOCUMENT = os.path.join(ROOT, "docs", "performance.md")
CHARTS = os.path.join(ROOT, "docs", "performance")
