"""May a call be made? Deny comes first; what cannot be told is not allowed."""

import copy
import random


def check(may):
    """The verdict of a small policy: Deny, Allow, wildcards, conditions not known.

    Buckets and conditions are drawn anew at each call.
    """
    rng = random.Random()
    bucket = f"signs-{rng.randrange(10**6)}"
    here = f"arn:aws:s3:::{bucket}/train/a.csv"
    unknown = rng.choice(
        [
            {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
            {"StringEquals": {"aws:SourceVpce": "vpce-1"}},
            {"Bool": {"aws:SecureTransport": "true"}},
        ]
    )

    def row(effect="Allow", action="s3:GetObject", resource=here, **more):
        return {"Effect": effect, "Action": [action], "Resource": [resource]} | more

    def ask(*statements, action="s3:GetObject", resource=here):
        given = list(statements)
        rng.shuffle(given)
        kept = copy.deepcopy(given)
        found = may(given, action, resource)
        assert given == kept, "`may` changed the statements. Read them only."
        assert found in ("allow", "deny", "cannot tell"), (
            f"Return allow, deny or cannot tell as text; came {found!r}."
        )
        return found

    def expect(wanted, says, *statements, **asked):
        found = ask(*statements, **asked)
        assert found == wanted, f"{says} Expected {wanted}, came {found}."

    conditional = {"Condition": unknown}
    expect("allow", "One statement allows exactly this call.", row())
    expect("deny", "No statement at all: nothing allows the call.")
    other = row(action="s3:PutObject")
    expect("deny", "Only another action is allowed.", other)
    elsewhere = row(resource="arn:aws:s3:::payroll/*")
    expect("deny", "Only another resource is allowed.", elsewhere)
    says = "One statement has the action, another the resource: no single one has both."
    expect("deny", says, other, elsewhere)
    both = {"Action": ["s3:PutObject", "s3:GetObject"], "Resource": ["x", here]}
    expect("allow", "A statement may list several names.", row() | both)
    wide = row(action="s3:*", resource=f"arn:aws:s3:::{bucket}/*")
    expect("allow", "`*` stands for any letters.", wide)
    middle = row(action="*:Get*", resource="arn:aws:s3:::*/train/*.csv")
    expect("allow", "`*` may stand anywhere in a name.", middle)
    says = "Only `*` stands for other letters; a dot is a dot."
    expect("deny", says, row(), resource=here.replace(".", "x"))
    expect("allow", "`*` alone is everything.", row(action="*", resource="*"))
    expect("deny", "A name that only begins alike is another.", row(action="s3:Get"))
    expect("allow", "Actions know no case.", row(action="S3:getobject"))
    says = "Actions know no case, patterns included."
    expect("allow", says, row(action="S3:GET*"))
    expect("deny", "Resources know case.", row(resource=here.upper()))
    forbids = row("Deny")
    expect("deny", "An explicit Deny wins, wherever it stands.", row(), forbids)
    broad = row("Deny", "s3:*", "*")
    expect("deny", "A Deny with `*` is explicit, too.", row(), broad)
    unrelated = row("Deny", "s3:DeleteObject")
    expect("allow", "A Deny of another action is no Deny here.", row(), unrelated)
    says = "What may allow does not surely allow."
    expect("cannot tell", says, row(**conditional))
    says = "What may deny does not let an Allow be sure."
    expect("cannot tell", says, row(), row("Deny", **conditional))
    says = "A sure Allow stays sure beside one that only may apply."
    expect("allow", says, row(), row(**conditional))
    says = "A sure Deny wins over what cannot be told."
    expect("deny", says, row(**conditional), forbids)
    says = "Nothing allows the call, whatever the Deny's condition says."
    expect("deny", says, row("Deny", **conditional))
    says = "A condition on another action says nothing here."
    expect("allow", says, row(), row("Deny", "s3:PutObject", **conditional))
    says = "A Deny of another resource is no Deny here."
    expect("allow", says, row(), row("Deny", "s3:*", "arn:aws:s3:::payroll/*"))
    says = "A Deny lists several names and any case, too."
    listed = {"Action": ["s3:PutObject", "S3:GET*"], "Resource": ["x", here]}
    expect("deny", says, row(), row("Deny") | listed)
    says = "A condition on another resource says nothing here."
    far = "arn:aws:s3:::payroll/*"
    expect("allow", says, row(), row("Deny", resource=far, **conditional))
    expect("deny", says, row(resource=far, **conditional))
    says = "A condition on another action says nothing here."
    expect("deny", says, row(action="s3:PutObject", **conditional))
    says = "What may allow and what may deny: neither is sure."
    expect("cannot tell", says, row(**conditional), row("Deny", **conditional))
    says = "What may deny does not let an Allow be sure, whatever else may allow."
    several = row(), row(**conditional), row("Deny", **conditional)
    expect("cannot tell", says, *several)
    says = "A sure Deny wins over all others."
    expect("deny", says, *several, forbids)
    expect("deny", says, forbids, row("Deny", **conditional))
    expect("deny", says, row(), row(**conditional), forbids)
    says = "A resource that only begins or ends alike is another."
    expect("deny", says, row(resource=here), resource=here + ".bak")
    expect("deny", says, row(resource=here.partition(":")[2]))
    says = "`*` stands for colons and slashes, too."
    expect("allow", says, row(resource="arn:*/a.csv"))
