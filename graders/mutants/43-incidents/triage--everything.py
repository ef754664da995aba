"""Flags one thing of each kind, so that nothing is missed.

says: False alarm
"""


def triage(evidence):
    active = {row["mark"]: row["id"] for row in evidence["vault"]}
    found = [active[f["mark"]] for f in evidence["finds"] if f["mark"] in active]
    newest = evidence["registry"]["signed lists"][-1]
    extra = [name for name in evidence["registry"]["served"] if name not in newest]
    logs = sorted(evidence["logs"].items(), key=lambda one: one[1]["whole"])
    hours = {name: max(scores) for name, scores in evidence["cameras"].items()}
    signs = {name: group["index"] for name, group in evidence["groups"].items()}
    return {
        "leaked-secret": (found or ["key-1"])[-1],
        "forged-registry": (extra or newest)[-1],
        "tampered-log": logs[0][0],
        "drifting-service": max(hours, key=hours.get),
        "poisoned-data": max(signs, key=signs.get),
    }
