"""Opens envelopes of a job of the same name elsewhere.

says: in another space
"""


def permissions(space: str, path: str) -> dict:
    """Return the policy and the role of a job that reads one secret."""
    policy = f'path "{space}/data/{path}" {{ capabilities = ["read"] }}'
    role = {"secret_id_num_uses": 1, "secret_id_ttl": "60s", "token_ttl": "10m"}
    role |= {"token_max_ttl": "30m", "token_no_default_policy": True}
    return {"policy": policy, "role": role}


def next_request(job: dict[str, str], answers: list[dict]) -> dict:
    """Return the broker's next request, and at last the secret.

    Raises ValueError when something is wrong: then the job must not start.
    """
    if answers and "errors" in answers[-1]:
        raise ValueError(f"the vault refused: {answers[-1]['errors']}")
    space, seal = job["space"], job["envelope"]
    if len(answers) == 0:
        path, token, body = "sys/wrapping/lookup", "", {"token": seal}
    elif len(answers) == 1:
        made = answers[0]["data"]["creation_path"]
        if not made.endswith(f"/role/{job['name']}/secret-id"):
            raise ValueError(f"a forged envelope, made at {made}")
        path, token, body = "sys/wrapping/unwrap", seal, {}
    elif len(answers) == 2:
        secret_id = answers[1]["data"]["secret_id"]
        path, token = f"auth/{space}/login", ""
        body = {"role_id": job["role_id"], "secret_id": secret_id}
    elif len(answers) == 3:
        token = answers[2]["auth"]["client_token"]
        where = f"{space}/data/{job['path']}"
        return {"method": "GET", "path": where, "token": token, "body": None}
    else:
        return {"secret": answers[3]["data"]["data"]}
    return {"method": "POST", "path": path, "token": token, "body": body}
