"""Writes the new secret before it revokes.

says: reads the new secret
"""

from securetrain import vault_audit


def respond(log: list[dict], leak: dict) -> list[dict]:
    """Return the requests that end a leak: revoke, rotate, destroy."""
    where = f"{leak['space']}/data/{leak['path']}"
    got = [read.accessor for read in vault_audit.reads(log, where) if not read.why]
    requests = [
        {
            "method": "POST",
            "path": "auth/token/revoke-accessor",
            "body": {"accessor": accessor},
        }
        for accessor in dict.fromkeys(got)
    ]
    body = {"data": leak["new"]}
    requests.insert(0, {"method": "POST", "path": where, "body": body})
    old = {"versions": list(range(1, leak["version"] + 1))}
    destroy = f"{leak['space']}/destroy/{leak['path']}"
    return [*requests, {"method": "PUT", "path": destroy, "body": old}]
