"""A Merkle proof: real hashes of eight entries, by the course's own log."""

from securetrain import translog
from securetrain.archives import refusal
from securetrain.film import part

UNIT = "11-provenance/1-swapped-data"
TITLE = "Three hashes prove one entry of eight"
ALT = (
    "A tree of eight leaves. Leaf 5 and three neighbours' hashes lead to the signed "
    "top; once leaf 2 is changed, another top comes out and the proof is refused."
)
SIZE, LEAF, CHANGED = 8, 5, 2
XS = [110 + 150 * n for n in range(SIZE)]
YS = [272, 375, 475, 575]


def tree(entries):
    """Return the hashes of each level, leaves first."""
    levels = [[translog.leaf_hash(e) for e in entries]]
    while len(levels[-1]) > 1:
        row = levels[-1]
        pairs = zip(row[::2], row[1::2], strict=True)
        levels.append([translog.node_hash(*pair) for pair in pairs])
    return levels


def facts():
    entries = [f"release {n}".encode() for n in range(1, SIZE + 1)]
    before = tree(entries)
    proof, top = translog.inclusion(before[0], LEAF), translog.root(before[0])
    assert before[-1] == [top]
    entries[CHANGED] += b", rewritten"
    after = tree(entries)
    ask = translog.check_inclusion
    asked = before[0][LEAF], LEAF, SIZE
    return {
        "before": [[h.hex()[:4] for h in row] for row in before],
        "after": [[h.hex()[:4] for h in row] for row in after],
        "proof": len(proof),
        "thousand": len(translog.inclusion([top] * 1000, LEAF)),
        "good": refusal(ask, *asked, proof, top),
        "bad": refusal(ask, *asked, translog.inclusion(after[0], LEAF), top),
    }


def holds(f):
    same = f["before"][0][LEAF] == f["after"][0][LEAF]
    sizes = (f["proof"], f["thousand"]) == (3, 10)
    return sizes and same and f["bad"] and not f["good"]


def scenes(f):
    return [
        "A log of eight releases. Each leaf is the hash of one entry.",
        ("Each node is the hash of the two below it, up to one top.", 3.0),
        "The log's owner signs the top, and readers keep it.",
        "Is entry 5 in the log? The reader has only that entry.",
        "The log sends three hashes: one neighbour on each level.",
        ("The reader works out the rest, and compares the top. It fits.", 3.0),
        "Now somebody rewrites entry 2, far from ours.",
        ("Every hash above it changes, and so does the top.", 2.4),
        "The same question again: the proof leads to another top. Refused.",
        "A log of a thousand entries needs ten hashes, not a thousand.",
    ]


def place(level, number):
    """Return where a node stands."""
    width = 2**level
    return sum(XS[number * width : (number + 1) * width]) / width, YS[level]


def draw(stage, f, at):
    grown, ours = at(1), at(5) * (1 - at(6)) + at(8)
    for level in range(4):
        rise = 1.0 if level == 0 else part(grown, level - 1, 3)
        for number in range(SIZE >> level):
            node(stage, f, at, level, number, at(0) if level == 0 else rise)
            if level and rise > 0.02:
                for child in (2 * number, 2 * number + 1):
                    below = place(level - 1, child)
                    way = child == LEAF >> (level - 1) and ours > 0.5
                    stage.line(below, place(level, number), alpha=rise,
                               colour="black" if way else "#999999",
                               lw=6 if way else 3)  # fmt: skip
    for number, x in enumerate(XS):
        changed = number == CHANGED and at(6) > 0.5
        stage.text(x, 226, f"entry {number}" + ("*" if changed else ""), 24, at(0))
    stage.text(850, 575, "signed and kept: " + f["before"][-1][0], 26, at(2), ha="left")
    stage.verdict(775, 575, True, at(5) * (1 - at(6)))
    stage.verdict(775, 575, False, at(8))
    key(stage, at)
    stage.finding("8 entries: 3 hashes; 1,000 entries: 10 hashes", at(9))


def node(stage, f, at, level, number, alpha):
    """Draw one node with its hash, in the role that it has now."""
    above = number == CHANGED >> level
    turned = above and (at(6) if level == 0 else part(at(7), level - 1, 3)) > 0.5
    text = f["after" if turned else "before"][level][number]
    role = "attacked" if turned else "clean"
    sibling = number == (LEAF >> level) ^ 1 and level < 3
    if (at(4) > 0.5 or at(8) > 0.5) and sibling:
        role = "attacked" if turned and at(7) > 0 else "defended"
    mine = number == LEAF >> level
    if mine and level == 0 and at(3) > 0.5:
        role = "plain"
    if mine and level and part(at(5), level - 1, 3) > 0.5 and not turned:
        role = "plain"
    stage.box(*place(level, number), 112, 56, text, role, alpha, 26, mono=True)


def key(stage, at):
    """Say what the three kinds of boxes are."""
    if at(3) > 0.02:
        stage.box(90, 600, 30, 30, "", "plain", at(3))
        stage.text(120, 600, "the reader's own", 24, at(3), ha="left")
    if at(4) > 0.02:
        stage.box(90, 555, 30, 30, "", "defended", at(4))
        stage.text(120, 555, "sent as proof", 24, at(4), ha="left")
    if at(6) > 0.02:
        stage.box(90, 510, 30, 30, "", "attacked", at(6))
        stage.text(120, 510, "changed", 24, at(6), ha="left")
