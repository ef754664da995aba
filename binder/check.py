"""Refuse a class's JupyterHub while its values leave a door open.

    python binder/check.py binder/jupyterhub.yaml private.yaml

Lays the files over each other as helm does and says what is wrong. It knows the faults
below and no others. Exit status: 0 none found, 1 some, 2 a file cannot be read.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import reduce
from typing import Any

from securetrain import plain_yaml

OPEN = ("dummy", "null", "tmp")  # let everyone in; the chart's own default is dummy
EGRESS = ("cloudMetadataServer", "nonPrivateIPs", "privateIPs")  # open by default


def merge(below: Any, above: Any) -> Any:
    """Return values with others laid over them, as helm does."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    both = {key: merge(below[key], above[key]) for key in below.keys() & above.keys()}
    return {**below, **above, **both}


def get(values: Any, path: str) -> Any:
    """Return what stands at a path such as `singleuser.image.tag`, None for nothing."""
    for key in path.split("."):
        values = values.get(key) if isinstance(values, dict) else None
    return values


def _parts(values: Any) -> list[Any]:
    """Return the values and the parts of them that `faults` looks into."""
    if not isinstance(values, dict):
        return [values]
    return [
        values,
        *(values.get(name) or {} for name in ("hub", "proxy", "singleuser")),
    ]


def faults(values: dict[str, Any]) -> Iterator[str]:
    """Yield what a class must not begin with."""
    name, tag = (str(get(values, f"singleuser.image.{k}")) for k in ("name", "tag"))
    pinned = name.endswith("@sha256") and re.fullmatch("[0-9a-f]{64}", tag)
    if not pinned or "FILL-IN" in name:
        yield "singleuser.image: fill in your image, `…@sha256`, and its digest as tag"
    kind = str(get(values, "hub.config.JupyterHub.authenticator_class") or "dummy")
    if kind in OPEN:
        yield f"hub.config.JupyterHub.authenticator_class is {kind}: anyone is let in"
    if get(values, "hub.config.Authenticator.allow_all"):
        yield "hub.config.Authenticator.allow_all: anyone with an account is let in"
    if not get(values, "proxy.https.enabled"):
        yield "proxy.https.enabled: without it passwords and cookies travel in clear"
    if get(values, "hub.config.JupyterHub.admin_access"):
        yield "hub.config.JupyterHub.admin_access: an admin opens learners' servers"
    yield from _learner(values.get("singleuser") or {})


def _learner(values: dict[str, Any]) -> Iterator[str]:
    for what in ("cpu", "memory"):
        if not get(values, f"{what}.limit"):
            yield f"singleuser.{what}.limit: one learner can take a whole node"
    uid = get(values, "uid")
    if not isinstance(uid, int) or uid == 0:
        yield "singleuser.uid: expected the image's user, 1000"
    if get(values, "allowPrivilegeEscalation") is not False:
        yield "singleuser.allowPrivilegeEscalation: expected false"
    if get(values, "extraPodConfig.automountServiceAccountToken") is not False:
        yield "singleuser.extraPodConfig.automountServiceAccountToken: expected false"
    if get(values, "networkPolicy.enabled") is not True:
        yield "singleuser.networkPolicy.enabled: expected true"
    for rule in EGRESS:
        if get(values, f"networkPolicy.egressAllowRules.{rule}") is not False:
            yield f"singleuser.networkPolicy.egressAllowRules.{rule}: expected false"
    if get(values, "networkPolicy.egress"):
        yield "singleuser.networkPolicy.egress: the course needs none"
    volumes = _listed(get(values, "storage.extraVolumes"))
    own = {one.get("name") for one in volumes if "emptyDir" in one}
    for mount in _listed(get(values, "storage.extraVolumeMounts")):
        shared = mount.get("name") not in own
        if shared and "username}" not in str(mount.get("subPath")):
            where = mount.get("mountPath")
            yield f"{where}: all learners, one user id, share it; add a subPath"


def _listed(values: Any) -> list[dict[str, Any]]:
    """Return volumes or mounts, which the chart takes as a list or by name."""
    return list(values.values()) if isinstance(values, dict) else values or []


def main(paths: list[str]) -> int:
    """Check the values in these files; 1 for a fault, 2 where none can be read."""
    if not paths:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        every = [one for path in paths for one in plain_yaml.read_file(path)]
        for one in every:
            if not all(isinstance(part, dict) for part in _parts(one.data)):
                raise ValueError(f"{one.source}: expected a chart's values, by name")
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    found = list(faults(reduce(merge, (one.data for one in every), {})))
    print(*found or ["nothing found"], sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
