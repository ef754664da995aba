"""Network policies added one by one; who reaches whom by Kubernetes' own rules."""

from securetrain import cluster_attacks, cluster_check, cluster_files, netpol
from securetrain.film import part
from securetrain.pod_security import pods

UNIT = "31-infrastructure/1-a-job-that-needs-less"
TITLE = "Three policies close the ways of a thief"
ALT = (
    "A training job, a notebook, a stranger's pod, a store, a name server and the "
    "internet. Policies are added, and ways close until only two of the job are left."
)
ORDER = ("train-reaches-store", "deny-all", "store-serves-train")
PLACES = {
    "job": (210, 520),
    "notebook": (210, 265),
    "store": (680, 388),
    "stranger": (680, 265),
    "names": (680, 520),
    "internet": (1095, 520),
    "metadata": (1095, 412),
}
NAMES = {"names": "name server", "metadata": "cloud metadata", "stranger": "stranger"}
WAYS = {
    ("job", "store"): (9000, "TCP"),
    ("job", "names"): (53, "UDP"),
    ("job", "internet"): (443, "TCP"),
    ("job", "metadata"): (80, "TCP"),
    ("job", "stranger"): (9000, "TCP"),
    ("notebook", "job"): (22, "TCP"),
    ("notebook", "store"): (9000, "TCP"),
    ("stranger", "store"): (9000, "TCP"),
}
NEEDED = {("job", "store"), ("job", "names")}


def facts():
    manifests = cluster_files.read(cluster_attacks.HARDENED)
    known = {p.manifest.name: netpol.endpoint(p) for p in pods(manifests)}
    ends = {
        "job": known["train"],
        "store": known["store"],
        "names": netpol.Endpoint("dns", "kube-system", {"k8s-app": "kube-dns"}),
        "internet": cluster_check.OUTSIDE,
        "metadata": cluster_check.METADATA,
        "stranger": netpol.Endpoint("fake", "shared", {"app": "store"}),
        "notebook": netpol.Endpoint("other", "training", {"app": "notebook"}),
    }
    rules = {rule.name: rule for rule in netpol.policies(manifests)}
    spaces, steps = netpol.namespaces(manifests), []
    for count in range(len(ORDER) + 1):
        active = [rules[name] for name in ORDER[:count]]
        steps.append(
            {
                way: netpol.allowed(active, spaces, ends[way[0]], ends[way[1]], *port)
                for way, port in WAYS.items()
            }
        )
    return {"steps": steps, "rules": len(rules)}


def holds(f):
    counts = [sum(step.values()) for step in f["steps"]]
    left = {way for way, open_ in f["steps"][-1].items() if open_}
    falls = all(a > b for a, b in zip(counts, counts[1:], strict=False))
    return left == NEEDED and falls and counts[0] == len(WAYS) and f["rules"] == 3


def scenes(f):
    return [
        "A training job needs two things: its store, and a name server.",
        "In the same cluster there is more: notebooks, pods of strangers.",
        ("Without a policy every pod reaches all: eight ways are open.", 3.0),
        "A thief in the job walks out to the internet.",
        ("First policy: the job may reach its store and the name server.", 3.0),
        ("Second: nothing else in its namespace may talk at all.", 3.0),
        ("Third: the store answers the job, and nobody else.", 3.0),
        "Two ways stay open, for the job and for the thief inside it.",
    ]


def draw(stage, f, at):
    for name, place in PLACES.items():
        mine = name in ("job", "store", "names")
        role = "clean" if mine else "plain"
        shown = at(0) if mine else at(1)
        stage.box(*place, 240, 66, NAMES.get(name, name), role, shown, 28)
    share = at(2)
    for number, way in enumerate(WAYS):
        closed = next((n for n, s in enumerate(f["steps"]) if not s[way]), None)
        grown = at(0) if way in NEEDED else part(share, number - 2, len(WAYS) - 2)
        gone = 0.0 if closed is None else at(3 + closed)
        connect(stage, way, grown, gone, closed)
    thief(stage, at)
    counts = [sum(step.values()) for step in f["steps"]]
    step = sum(at(k) > 0.5 for k in (4, 5, 6))
    stage.text(60, 612, f"open ways: {counts[step]}", 30, at(2), ha="left",
               weight="bold")  # fmt: skip
    for number, name in enumerate(ORDER):
        stage.box(1060, 322 - 54 * number, 340, 46, name, "defended",
                  at(4 + number), 24)  # fmt: skip
    text = f"{counts[0]} ways before, {counts[-1]} after: those that the job needs"
    stage.finding(text, at(7))


def ends(way):
    """Return where the arrow of a way begins and ends, at the boxes' edges."""
    (x0, y0), (x1, y1) = PLACES[way[0]], PLACES[way[1]]
    if x0 == x1:
        side = 36 if y1 > y0 else -36
        return (x0, y0 + side), (x1, y1 - side)
    start, end = (x0 + 124, y0), (x1 - 126, y1)
    if way == ("job", "internet"):
        return (x0 + 60, y0 + 36), (x1 - 60, y1 + 36)
    return start, end


def connect(stage, way, grown, gone, closed):
    """Draw a way that grows, and is crossed out where a policy closes it."""
    start, end = ends(way)
    needed = way in NEEDED
    if gone < 0.98:
        how = {"alpha": 1 - gone}
        if way == ("job", "internet"):
            how["connectionstyle"] = "arc3,rad=-0.12"
            grown = float(grown > 0.5)
        stage.arrow(start, end, grown, "defended" if needed else "attacked", **how)
    if gone > 0.02:
        how = {"ls": (0, (1, 2)), "color": "#999999", "lw": 2.5, "arrowstyle": "-"}
        if way == ("job", "internet"):
            how["connectionstyle"] = "arc3,rad=-0.12"
        stage.arrow(start, end, 1, "clean", alpha=gone, **how)
        middle = [(a + b) / 2 for a, b in zip(start, end, strict=True)]
        if way == ("job", "internet"):
            middle[1] += 46
        stage.ax.plot(*middle, "x", ms=20, mew=5, color="black", alpha=gone, zorder=4)


def thief(stage, at):
    """Let a thief walk from the job to the internet."""
    come = at(3) * (1 - at(4))
    if come < 0.02:
        return
    (x0, y0), (x1, y1) = ends(("job", "internet"))
    share = at(3)
    x, y = x0 + (x1 - x0) * share, y0 + 95 * 4 * share * (1 - share) * 0.55
    stage.ax.plot(x, y, "^", ms=30, color="#d55e00", mec="black", alpha=come, zorder=8)
    stage.text(x, y + 34 if share < 0.9 else y + 34, "key", 24, come, weight="bold")
