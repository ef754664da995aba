"""Folders and archives that nobody vouches for: what is read, what is refused."""

import gzip
import io
import os
import random
import socket
import tarfile
import tracemalloc

import pytest

from securetrain import archives, manifests
from securetrain.archives import Refused

HONEST = {
    "labels.csv": b"0,1\n",
    "empty": b"",
    ".hidden": b"1",
    "-rf": b"2",
    "a b/c d.txt": b"3",
    "a..b/...": b"4",
    "größe/é": "ü".encode(),
    "日本/データ": b"5",
    "emoji \U0001f469\u200d\U0001f52c": b"6",
    "deep/" * 30 + "file": b"7",
    "n" * 200: b"8",
    "x;y&z'\"$(1)*?": b"9",
    "C/D": b"10",
    "at 10:30": b"11",
}
BAD = {
    "../up": "leads out",
    "a/../b": "leads out",
    "..": "leads out",
    "/etc/passwd": "absolute",
    "//host/share": "absolute",
    "C:/windows": "absolute",
    "c:x": "absolute",
    "a\\..\\b": "backslash",
    "\\\\host": "backslash",
    "": "empty part",
    "a//b": "empty part",
    "a/": "empty part",
    "./a": "empty part",
    "a/./b": "empty part",
    "a\nb": "control",
    "a\0b": "control",
    "a\x7f": "control",
    "\udcff": "no UTF-8",
}
SAME = [
    ("a", "a"),
    ("Train.csv", "train.CSV"),
    ("caf\u00e9", "cafe\u0301"),
    ("STRASSE", "straße"),
    ("a/b", "A"),
    ("x/y/z", "x/y"),
    ("\u00c5", "\u212b"),
]


def folder_of(files, folder):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def tar_of(*members, **settings):
    """Return a tar archive of (name, content) or of TarInfo objects, as they come."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", **settings) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            archive.addfile(info, io.BytesIO(member[1]))
    return out.getvalue()


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def refused(data, says, check="names"):
    with pytest.raises(Refused, match=says) as caught:
        archives.read(data)
    assert caught.value.check == check


# --- Names ---------------------------------------------------------------------


def test_unusual_but_legal_names_are_read_from_folder_and_archive(tmp_path):
    archives.check_names(HONEST)
    assert archives.read(folder_of(HONEST, tmp_path)) == HONEST
    assert archives.read(archives.pack(HONEST)) == HONEST
    assert archives.read(tar_of(*HONEST.items(), format=tarfile.GNU_FORMAT)) == HONEST


@pytest.mark.parametrize("name", BAD)
def test_a_name_that_leads_elsewhere_is_refused(name):
    with pytest.raises(Refused, match=BAD[name]) as caught:
        archives.check_names(["fine", name])
    assert caught.value.check == "names" and str(caught.value).isprintable()


@pytest.mark.parametrize(("one", "two"), SAME)
def test_two_names_for_one_file_are_refused(one, two):
    for pair in ((one, two), (two, one)):
        with pytest.raises(Refused, match="stands twice|is also|is a file"):
            archives.check_names(pair)
        with pytest.raises(Refused, match="stands twice|is also|is a file"):
            archives.read(tar_of(*((name, b"x") for name in pair)))


def test_packing_gives_the_same_bytes_for_the_same_files():
    backwards = dict(reversed(HONEST.items()))
    assert archives.pack(HONEST) == archives.pack(backwards)
    with pytest.raises(Refused, match="leads out"):
        archives.pack({"../x": b""})


# --- Archives ------------------------------------------------------------------


def test_folders_and_a_leading_dot_in_an_archive_are_harmless():
    members = [special(name, tarfile.DIRTYPE) for name in (".", "./a", "./a/b")]
    data = tar_of(*members, ("./a/b/c", b"1"), ("./d", b"2"))
    assert archives.read(data) == {"a/b/c": b"1", "d": b"2"}
    refused(tar_of(("./a", b"1"), ("a", b"2")), "stands twice")


# tar ends a name at a zero byte, and writes a folder as "a/", a file as "./a".
@pytest.mark.parametrize("name", sorted(BAD.keys() - {"", "a\0b", "a/", "./a"}))
def test_a_bad_name_in_an_archive_is_refused(name):
    refused(tar_of(("fine", b"1"), (name, b"2")), BAD[name])


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a device"),
        (tarfile.GNUTYPE_SPARSE, "a device or special"),
        (b"Z", "a device or special|broken"),
    ],
)
@pytest.mark.parametrize("target", ["fine", "/etc/passwd", "../up", ""])
def test_what_is_no_file_is_refused(kind, says, target):
    with pytest.raises(Refused):
        archives.read(tar_of(("fine", b"1"), special("x", kind, target)))
    if kind != b"Z":
        refused(tar_of(("fine", b"1"), special("x", kind, target)), says)


def test_a_bad_folder_in_an_archive_is_refused():
    refused(tar_of(special("../up", tarfile.DIRTYPE), ("a", b"1")), "leads out")


def test_a_compressed_archive_is_refused():
    packed = gzip.compress(tar_of(("a", b"1")))
    refused(packed, "uncompressed tar", "reading")


@pytest.mark.parametrize("data", [b"", b"x", b"PK\3\4" * 300, bytes(100)])
def test_what_is_no_archive_is_refused(data):
    refused(data, "uncompressed tar", "reading")


def test_an_archive_of_nothing_holds_nothing():
    assert archives.read(tar_of()) == {}


def test_an_archive_cut_off_anywhere_is_refused_or_whole():
    files = {"a": b"1" * 700, "b": b"2", "c": b"3" * 512}
    whole = tar_of(*files.items())
    end = len(whole.rstrip(b"\0"))
    caught = 0
    for cut in range(0, len(whole), 64):
        try:
            assert archives.read(whole[:cut]) == files and cut > end
        except Refused as refusal:
            caught += 1
            assert refusal.check == "reading"
    assert caught >= end // 64


def test_a_second_archive_behind_the_first_is_refused():
    two = tar_of(("a", b"1")) + tar_of(("b", b"2"))
    refused(two, "data after the archive's end", "reading")
    refused(tar_of(("a", b"1")) + b"x", "data after the archive's end", "reading")


def test_a_broken_header_ends_no_archive_early():
    whole = bytearray(tar_of(("a", b"1"), ("b", b"2"), ("c", b"3")))
    whole[1024 + 3] ^= 1  # the name of b: its checksum is wrong now
    with pytest.raises(Refused):
        archives.read(bytes(whole))


def test_damaged_archives_never_break_anything_else():
    rng, whole = random.Random(5), archives.pack(HONEST)
    for _ in range(500):
        damaged = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        try:
            found = archives.read(bytes(damaged))
        except Refused:
            continue
        archives.check_names(found)
        assert sum(map(len, found.values())) <= len(whole)


def test_a_size_below_zero_is_refused():
    whole = bytearray(tar_of(("a", b"1"), ("b", b"2")))
    whole[124:136] = b"\xff" * 12  # the size of a, as a negative number
    whole[148:156] = b" " * 8
    whole[148:156] = b"%06o\0 " % sum(whole[:512])
    with pytest.raises(Refused):
        archives.read(bytes(whole))


# --- Folders -------------------------------------------------------------------


def test_links_pipes_and_sockets_in_a_folder_are_refused(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"1")

    def link(folder, name, target):
        (folder / name).symlink_to(target)

    def bind(folder, name, target):
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(folder / name))

    ways = {
        "a symbolic link": (link, outside / "secret"),
        "x: a symbolic link|'x': a symbolic link": (link, outside),
        "'x': a symbolic": (link, "nowhere"),
        "a hard link": (lambda f, n, t: os.link(t, f / n), outside / "secret"),
        "a named pipe": (lambda f, n, t: os.mkfifo(f / n), None),
        "a socket": (bind, None),
    }
    for number, (says, (make, target)) in enumerate(ways.items()):
        folder = folder_of({"a/fine": b"1"}, tmp_path / str(number))
        make(folder, "x", target)
        refused(folder, says)


def test_a_link_deep_in_a_folder_is_refused(tmp_path):
    folder = folder_of({"a/b/c": b"1"}, tmp_path)
    (folder / "a" / "b" / "d").symlink_to("/")
    refused(folder, "'a/b/d': a symbolic link")


def test_two_names_in_a_folder_that_are_one_elsewhere_are_refused(tmp_path):
    folder = folder_of({"a/Data": b"1", "a/data": b"2"}, tmp_path)
    if len(os.listdir(folder / "a")) < 2:
        pytest.skip("this file system ignores case")
    refused(folder, "'a/data': is also 'a/Data'")


def test_a_name_that_is_no_text_is_refused(tmp_path):
    (tmp_path / os.fsdecode(b"\xff")).write_bytes(b"1")
    refused(tmp_path, "no UTF-8")


@pytest.mark.parametrize("swapped", ["a/b", "a"])
def test_a_link_put_in_after_the_listing_is_not_followed(
    tmp_path, monkeypatch, swapped
):
    folder = folder_of({"a/b": b"1"}, tmp_path / "data")
    elsewhere = folder_of({"b": b"the attacker's"}, tmp_path / "elsewhere")
    listed = archives._listed

    def late(top):
        yield from list(listed(top))
        (folder / swapped).rename(tmp_path / "gone")
        target = elsewhere / "b" if swapped == "a/b" else elsewhere
        (folder / swapped).symlink_to(target)

    monkeypatch.setattr(archives, "_listed", late)
    refused(folder, "cannot be read", "reading")


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path):
    folder = folder_of({"a": b"1", "b": b"2"}, tmp_path)
    with pytest.raises(Refused, match="'a': changed while being read"):
        for entry in archives.entries(folder):
            (folder / entry.name).write_bytes(b"longer than before")


@pytest.mark.parametrize("what", ["a file", "a folder"])
def test_what_cannot_be_read_is_refused_not_left_out(tmp_path, monkeypatch, what):
    folder = folder_of({"a/b": b"1", "c": b"2"}, tmp_path)
    real = os.open
    name = "b" if what == "a file" else "a"

    def locked(path, flags, *args, **kwargs):
        if path == name:
            raise PermissionError(13, "Permission denied", path)
        return real(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", locked)
    refused(folder, "cannot be read: Permission denied", "reading")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a folder of data or a tar"):
        archives.read(tmp_path / "none")


def test_an_archive_on_disk_is_read_like_its_bytes(tmp_path):
    path = tmp_path / "data.tar"
    path.write_bytes(archives.pack(HONEST))
    assert archives.read(path) == HONEST
    (tmp_path / "text").write_bytes(b"no archive")
    refused(tmp_path / "text", "uncompressed tar", "reading")


def test_many_files(tmp_path):
    files = {f"{i % 10}/{i}": bytes([i % 256]) for i in range(1500)}
    assert archives.read(archives.pack(files)) == files
    assert archives.read(folder_of(files, tmp_path)) == files


def test_a_huge_file_is_hashed_in_pieces(tmp_path):
    with open(tmp_path / "huge", "wb") as file:
        file.truncate(200 << 20)
    tracemalloc.start()
    found = manifests.describe(tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found["huge"].size == 200 << 20
    assert peak < 8 << 20
    with pytest.raises(Refused, match="exceeds the limit"):
        archives.read(tmp_path, limit=1000)
