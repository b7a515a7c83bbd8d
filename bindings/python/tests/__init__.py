"""Lets the test modules import each other by plain name, from any directory of unittest discovery."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
