"""`securetrain cluster`: judge Kubernetes manifests before a cluster sees them.

    securetrain cluster check FOLDER
    securetrain cluster check --level baseline FILE …
    securetrain cluster who read secrets -n training FOLDER
    securetrain cluster who create pods/exec -n training FOLDER --except "Group ops"

`check` reads all manifests below a folder, as `kubectl apply -R -f` would, and says
what they give an attacker: pods beyond the Pod Security Standards, volumes that are
folders of the node, pods that no network policy holds, service accounts that get at
secrets or at what holds their pods, webhooks outside, namespaces without a quota. `who`
answers who may do something, and how: roles, groups, and the roads round them. VERB is
as in a role, or `read` for get, list and watch.

Exit status: 0 nothing found, nobody can; 1 something was found or cannot be read, or
somebody can; 2 wrong use, or a tool is missing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from securetrain import (
    cluster_check,
    cluster_files,
    cluster_schemas,
    escalation,
    netpol,
    pod_security,
    rbac,
    terminals,
)
from securetrain.cluster_files import ClusterError, Manifest
from securetrain.cluster_schemas import NoTool


def check(options: argparse.Namespace) -> int:
    """Print what the manifests give an attacker."""
    manifests = _read(options.paths)
    found = cluster_check.findings(manifests, options.level)
    for one in found:
        print(terminals.lines(str(one)), file=sys.stderr)
    print(f"{cluster_schemas.tool()}, {pod_security.tool()}")
    policies = len(netpol.policies(manifests))
    print(f"{len(manifests)} objects, {policies} network policies, {len(found)} found")
    return int(bool(found))


def who(options: argparse.Namespace) -> int:
    """Print who can do what is asked, and how."""
    asked = rbac.request(options.verb, options.resource)
    manifests = _read(options.paths)
    known = sorted(netpol.namespaces(manifests))
    if options.namespace not in known:
        here = f"no manifest is in {options.namespace!r}"
        raise ValueError(f"{here}; known: {', '.join(known) or 'none'}")
    ways = escalation.who(manifests, options.namespace, asked)
    known = {str(way.subject) for way in ways}
    if strangers := set(options.but) - known:
        print(f"--except names who cannot anyway: {', '.join(sorted(strangers))}")
    ways = [way for way in ways if str(way.subject) not in options.but]
    for way in ways:
        print(f"{'' if way.direct else 'by a detour: '}{way}")
    what = f"{options.verb} {options.resource} in {options.namespace}"
    print(f"{len(ways)} can {what}, besides the cluster's own control plane")
    print(f"roads not followed: {escalation.NOT_FOLLOWED}")
    return int(bool(ways))


def _read(paths: list[Path]) -> list[Manifest]:
    """Return the manifests. Raises ValueError for a path that must be mistyped."""
    for path in paths:
        if not path.exists():
            raise ValueError(f"{path}: expected a file or folder, found none")
    places = [path.resolve() for path in paths]
    for number, place in enumerate(places):
        if place in places[:number]:
            raise ValueError(f"{paths[number]}: named twice; name each path once")
    return cluster_files.read(paths)


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    whole = argparse.ArgumentParser(
        prog="securetrain cluster",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = whole.add_subparsers(required=True, metavar="check | who")
    one = parts.add_parser("check", help="say what manifests give an attacker")
    one.add_argument("--level", choices=pod_security.LEVELS[1:], default="restricted")
    one.add_argument("paths", type=Path, nargs="+", metavar="FOLDER")
    one.set_defaults(do=check)
    one = parts.add_parser("who", help="say who may do something, and how")
    one.add_argument("verb")
    one.add_argument("resource")
    one.add_argument("-n", "--namespace", required=True)
    one.add_argument(
        "--except", dest="but", action="append", default=[], metavar="SUBJECT"
    )
    one.add_argument("paths", type=Path, nargs="+", metavar="FOLDER")
    one.set_defaults(do=who)
    return whole


def main(argv: list[str]) -> int:
    """Run the command; 1 for a find, 2 where nothing was judged."""
    options = parser().parse_args(argv)
    try:
        return options.do(options)
    except NoTool as error:
        print(f"not judged: {error}", file=sys.stderr)
        return 2
    except ClusterError as error:
        print(terminals.lines(str(error)), file=sys.stderr)
        count = len(error.problems)
        what = f"{count} problem{'s' if count > 1 else ''}"
        print(f"{what}: nothing was judged", file=sys.stderr)
        return 1
