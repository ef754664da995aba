"""Revokes by the token's hash.

says: no accessor in the log
"""


def respond(log: list[dict], leak: dict) -> list[dict]:
    """Return the requests that end a leak: revoke, rotate, destroy."""
    where = f"{leak['space']}/data/{leak['path']}"
    got = [
        e["auth"]["client_token"]
        for e in log
        if e["request"]["path"] == where and "client_token" in e.get("auth", {})
    ]
    requests = [
        {
            "method": "POST",
            "path": "auth/token/revoke-accessor",
            "body": {"accessor": accessor},
        }
        for accessor in dict.fromkeys(got)
    ]
    body = {"data": leak["new"]}
    requests.append({"method": "POST", "path": where, "body": body})
    old = {"versions": list(range(1, leak["version"] + 1))}
    destroy = f"{leak['space']}/destroy/{leak['path']}"
    return [*requests, {"method": "PUT", "path": destroy, "body": old}]
