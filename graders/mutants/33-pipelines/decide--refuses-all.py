"""Refuses everything.

says: Honest commits pass
"""


def decide(commit, rules):
    return {"accept": False, "check": "data"}
