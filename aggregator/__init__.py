"""Business Monkey News: polls feeds, keeps each story once, files it, republishes merged feeds.

Start reading at `types.py`, which holds the values that pass between the stages.
"""

__version__ = "0.1.0"
