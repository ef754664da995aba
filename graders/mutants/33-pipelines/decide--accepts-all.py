"""Accepts everything.

says: You accept
"""


def decide(commit, rules):
    return {"accept": True, "check": ""}
