"""What an exception excuses today: its hook, its files, its days, and two people."""

import copy
import random
from datetime import date, timedelta


def check(stays):
    """The findings that stay: other files, other hooks, other days, one person alone.

    Files, hooks and days are drawn anew at each call.
    """
    rng = random.Random()
    now = date(2027, 1, 1) + timedelta(days=rng.randrange(300))
    name = f"weights/old-{rng.randrange(1000)}.pt"
    hook, other = rng.sample(["model-files", "secrets", "cluster", "workflows"], 2)
    found = {"hook": hook, "path": name}

    def day(offset):
        return (now + timedelta(days=offset)).isoformat()

    def waiver(first=-10, last=20, **more):
        people = {"owner": "Ada", "approved": "Grace"}
        days = {"granted": day(first), "expires": day(last)}
        return {"hook": hook, "paths": [name]} | people | days | more

    def ask(findings, waivers):
        given = copy.deepcopy((findings, waivers))
        left = stays(*given, now.isoformat())
        assert given == (findings, waivers), (
            "`stays` changed what it was given. Build a new list."
        )
        assert isinstance(left, list), f"Return a list of findings; came {left!r:.60}."
        return left

    def expect(wanted, says, findings, *waivers):
        left = ask(findings, list(waivers))
        assert left == wanted, f"{says} Expected {wanted}, came {left}."

    def one(excused, says, *waivers, finding=found):
        expect([] if excused else [finding], says, [finding], *waivers)

    expect([], "Nothing was found, so nothing stays.", [], waiver())
    one(False, "Without an exception the finding stays.")
    one(True, "An exception for exactly this file and hook excuses it.", waiver())
    one(False, "It is an exception of another hook.", waiver(hook=other))
    same = waiver(paths=["a.pt", name])
    one(True, "An exception may name several files.", same)
    long = {"hook": hook, "path": f"{name}.gz"}
    one(
        False, "A file whose name only begins alike is another.", waiver(), finding=long
    )
    short = waiver(paths=[f"new/{name}"])
    one(False, "A file of the same name in another folder is another.", short)
    base = name.partition("/")[2]
    for place in ("weights", "weights/"):
        inside = waiver(paths=[place])
        one(False, "A folder excuses no file in it: exceptions name files.", inside)
    end = waiver(paths=[base])
    one(False, "A file whose name only ends alike is another.", end)
    capital = waiver(paths=[f"Weights/{base}"])
    one(False, "Small and capital letters differ: it is another file.", capital)
    pattern = waiver(paths=["weights/*"])
    one(False, "A path is no pattern: exceptions name whole files.", pattern)

    one(True, "The last day still counts.", waiver(last=0))
    one(True, "The first day already counts.", waiver(first=0))
    one(False, "The last day has passed.", waiver(last=-1))
    one(False, "It is granted only from tomorrow on.", waiver(first=1))
    one(True, "It lasts 90 days, which is allowed.", waiver(-30, 60))
    one(False, "It lasts 91 days, and 90 are the most.", waiver(-31, 60))
    one(False, "Its owner approved it alone.", waiver(approved="Ada"))
    two = waiver(last=-1), waiver()
    one(True, "An exception that has ended takes nothing from one that has not.", *two)
    pair = waiver(paths=["a.pt"]), waiver(hook=other)
    one(False, "One exception has the hook, another the file: none has both.", *pair)

    long = {"hook": "secrets-history", "path": name}
    says = "A hook whose name only begins alike is another."
    one(False, says, waiver(hook="secrets"), finding=long)
    brief = {"hook": "secrets", "path": name}
    says = "A hook whose name is only a part of the other's is another."
    one(False, says, waiver(hook="secrets-history"), finding=brief)
    for owner, approved in (("ann lee", "ann"), ("ann", "ann lee")):
        people = waiver(owner=owner, approved=approved)
        one(True, "Two names that share a part are two people.", people)
    one(False, "Nobody approved it.", waiver(approved=""))

    second = {"hook": hook, "path": "b.pt"}
    both = waiver(), waiver(paths=["b.pt"])
    for finding in (found, second):
        says = "Two exceptions of one hook both count."
        one(True, says, *both, finding=finding)
    says = "Two findings side by side, each excused."
    expect([], says, [found, second], *both)
    says = "No finding uses an exception up: it excuses the next one, too."
    expect([], says, [found, found], waiver())

    rest = [{"hook": other, "path": name}, {"hook": hook, "path": "b.pt"}]
    says = "What is not excused stays, each finding by itself and in order."
    expect(rest, says, [rest[0], found, rest[1]], waiver())
    says = "Two findings alike are two: both stay."
    expect([rest[1]] * 2, says, [rest[1], rest[1]], waiver())
