"""The tests find each other by plain name, from wherever unittest discovers them."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
