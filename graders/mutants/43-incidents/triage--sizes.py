"""Reads no evidence: goes by counts, numbers and names alone.

says: You miss
"""


def triage(evidence):
    served = evidence["registry"]["served"]
    logs = {name: log["lines"] for name, log in evidence["logs"].items()}
    accounts = [row["account"] for row in evidence["relabelled"]]
    marks = [find["mark"] for find in evidence["finds"]]
    twice = [row["id"] for row in evidence["vault"] if marks.count(row["mark"]) > 1]
    found = {"leaked-secret": twice[0]} if twice else {}
    if len(served) > 2:
        found["forged-registry"] = max(served)
    if min(logs.values()) < 25:
        found["tampered-log"] = min(logs, key=logs.get)
    if accounts.count("night shift") > 24:
        rows = [r["is"] for r in evidence["relabelled"] if r["account"] != "quality"]
        found["poisoned-data"] = max(rows, key=rows.count)
    return found
