"""Returns a safe pod that does nothing of the job's work.

says: is gone
"""


def harden(spec):
    context = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}
    context["capabilities"] = {"drop": ["ALL"]}
    one = {"name": "train", "image": "pause", "securityContext": context}
    profile = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "automountServiceAccountToken": False,
        "securityContext": profile,
        "containers": [one],
    }
