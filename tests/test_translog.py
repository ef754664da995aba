"""The log's tree against Certificate Transparency's own vectors, and every damage."""

import random

import pytest

from securetrain import manifests, translog
from securetrain.archives import Refused

# Entries, roots and proofs of Certificate Transparency's reference implementation,
# merkle_tree_test.cc; the published vectors for RFC 6962.
ENTRIES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
ENTRIES += ["606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
A = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
B = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
C = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
D = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
E = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
F = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
LEAVES = [translog.leaf_hash(bytes.fromhex(entry)) for entry in ENTRIES]
INCLUSION = [(0, 1, []), (0, 8, [A, B, C]), (5, 8, [D, E, ROOTS[4]])]
INCLUSION += [(2, 3, [ROOTS[2]]), (1, 5, [ROOTS[1], B, D])]
CONSISTENCY = [(1, 1, []), (1, 8, [A, B, C]), (6, 8, [F, E, ROOTS[4]]), (2, 5, [B, D])]


def many(n, salt=b""):
    return [translog.leaf_hash(salt + bytes([i])) for i in range(n)]


@pytest.mark.parametrize("n", range(9))
def test_roots_are_the_published_ones(n):
    assert translog.root(LEAVES[:n]).hex() == ROOTS[n]


@pytest.mark.parametrize(("index", "n", "proof"), INCLUSION)
def test_inclusion_proofs_are_the_published_ones(index, n, proof):
    found = translog.inclusion(LEAVES[:n], index)
    assert [one.hex() for one in found] == proof
    translog.check_inclusion(LEAVES[index], index, n, found, bytes.fromhex(ROOTS[n]))


@pytest.mark.parametrize(("old", "new", "proof"), CONSISTENCY)
def test_consistency_proofs_are_the_published_ones(old, new, proof):
    found = translog.consistency(LEAVES[:new], old)
    assert [one.hex() for one in found] == proof
    tops = [bytes.fromhex(ROOTS[size]) for size in (old, new)]
    translog.check_consistency(old, tops[0], new, tops[1], found)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 31, 33, 64, 65])
def test_every_proof_of_a_log_holds(n):
    leaves = many(n)
    top = translog.root(leaves)
    for index in range(n):
        proof = translog.inclusion(leaves, index)
        assert len(proof) <= (n - 1).bit_length()
        translog.check_inclusion(leaves[index], index, n, proof, top)
        old, start = index + 1, translog.root(leaves[: index + 1])
        proof = translog.consistency(leaves, old)
        translog.check_consistency(old, start, n, top, proof)


def test_no_entry_passes_for_a_node():
    one, two = LEAVES[:2]
    assert translog.leaf_hash(one + two) != translog.node_hash(one, two)


def damaged(proof, rng):
    """Yield proofs that are not this one."""
    yield [*proof, bytes(32)]
    if proof:
        place = rng.randrange(len(proof))
        flipped = bytes([proof[place][0] ^ 1]) + proof[place][1:]
        yield [*proof[:place], flipped, *proof[place + 1 :]]
        yield proof[:place] + proof[place + 1 :]
        yield [*proof[:place], proof[place][:31], *proof[place + 1 :]]


@pytest.mark.parametrize("n", [1, 2, 5, 8, 13])
def test_a_damaged_inclusion_proof_is_refused(n):
    rng, leaves = random.Random(n), many(n)
    top = translog.root(leaves)
    for index in range(n):
        proof = translog.inclusion(leaves, index)
        wrong = [(leaves[index], index, n, bad, top) for bad in damaged(proof, rng)]
        wrong.append((translog.leaf_hash(b"other"), index, n, proof, top))
        wrong.append((leaves[index], index, n, proof, bytes(32)))
        wrong += [(leaves[index], i, n, proof, top) for i in range(-1, n + 1)]
        wrong.remove((leaves[index], index, n, proof, top))
        for case in wrong:
            with pytest.raises(Refused) as caught:
                translog.check_inclusion(*case)
            assert caught.value.check == "log"


@pytest.mark.parametrize("n", [2, 3, 8, 13])
def test_a_log_that_forgot_or_changed_an_entry_is_refused(n):
    rng, leaves = random.Random(n), many(n)
    top = translog.root(leaves)
    for old in range(1, n):
        proof, start = translog.consistency(leaves, old), translog.root(leaves[:old])
        wrong = [(old, start, n, top, bad) for bad in damaged(proof, rng)]
        for place in range(old):
            other = [*leaves[:place], bytes(32), *leaves[place + 1 :]]
            again = translog.consistency(other, old)
            wrong.append((old, start, n, translog.root(other), again))
        fewer = leaves[1:]
        if old <= len(fewer):
            again = translog.consistency(fewer, old)
            wrong.append((old, start, n - 1, translog.root(fewer), again))
        wrong.append((n, top, old, start, proof))
        wrong.append((0, start, n, top, proof))
        for case in wrong:
            with pytest.raises(Refused):
                translog.check_consistency(*case)


@pytest.mark.parametrize(("old", "new", "claimed"), [(1, 2, 3), (2, 3, 5), (3, 4, 8)])
def test_a_proof_that_ends_below_the_claimed_top_is_refused(old, new, claimed):
    leaves = many(new)
    proof = translog.consistency(leaves, old)
    tops = translog.root(leaves[:old]), translog.root(leaves)
    translog.check_consistency(old, tops[0], new, tops[1], proof)
    with pytest.raises(Refused, match="does not continue"):
        translog.check_consistency(old, tops[0], claimed, tops[1], proof)


def test_two_logs_of_one_size_are_not_one():
    one, two = translog.root(many(4)), translog.root(many(4, b"x"))
    with pytest.raises(Refused, match="does not continue"):
        translog.check_consistency(4, one, 4, two, [])


def test_a_head_is_its_operators():
    private, public = manifests.new_key()
    head = translog.sign_head(LEAVES, private)
    translog.check_head(head, public)
    _, stranger = manifests.new_key()
    wrong = [
        (head, stranger),
        (translog.Head(7, head.root, head.signature), public),
        (translog.Head(8, bytes(32), head.signature), public),
        (translog.Head(8, head.root), public),
        (translog.Head(8, head.root, manifests.sign(head.root, private)), public),
        (translog.Head(0, head.root, head.signature), public),
        (translog.Head(8, head.root[:31], head.signature), public),
    ]
    for case in wrong:
        with pytest.raises(Refused):
            translog.check_head(*case)


@pytest.mark.parametrize("size", [0, 9, -1])
def test_a_proof_of_what_is_not_there_is_an_error(size):
    with pytest.raises(ValueError, match="expected an old size from 1 to 8"):
        translog.consistency(LEAVES, size)
    with pytest.raises(ValueError, match="expected an index from 0 to 7"):
        translog.inclusion(LEAVES, size or 8)
