"""YAML as plain data: read alike by every parser, or refused with file and line."""

import random
from contextlib import suppress

import pytest
import yaml

from securetrain import plain_yaml

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: train, labels: {app: train}}
spec:
  containers:
  - name: train
    ports: [8080]
    on: yes
---
# nothing here
---
kind: Secret
"""


def one(text):
    (document,) = plain_yaml.read(text, "pod.yaml")
    return document


def test_documents_values_and_their_lines():
    pod, secret = plain_yaml.read(POD, "pod.yaml")
    assert pod.data["spec"]["containers"] == [
        {"name": "train", "ports": [8080], "on": "yes"}
    ]
    assert pod.where("spec", "containers", 0, "ports") == "pod.yaml:7"
    assert pod.where("spec", "containers", 0, "missing", 3) == "pod.yaml:6"
    assert secret.where("kind") == "pod.yaml:12"
    assert plain_yaml.read("", "x") == [] == plain_yaml.read("# nothing\n---\n", "x")


def test_windows_line_ends_and_a_byte_order_mark_change_nothing():
    changed = "\ufeff" + POD.replace("\n", "\r\n")
    assert plain_yaml.read(changed.encode(), "pod.yaml") == plain_yaml.read(
        POD, "pod.yaml"
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("TRUE", True),
        ("~", None),
        ("''", ""),
        ("'010'", "010"),
        ("!!str 12", "12"),
        ("|\n  12\n", "12\n"),
        ("-0", 0),
        ("1.50", 1.5),
        ("1e3", 1000.0),
        ("1e999", "1e999"),
        ("v1.2.3", "v1.2.3"),
        ("2026-03-19", "2026-03-19"),
        ("500m", "500m"),
    ],
)
def test_plain_words_follow_the_core_schema(text, value):
    got = one(f"a: {text}").data["a"]
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2", "x:2: the key 'a' stands here a second time"),
        ("1: a\n'1': b", "x:2: the key '1' stands here as text and number"),
        ("a: &b {c: 1}\nd: {<<: *b}", "x:2: a merge key"),
        ("a: 010", "x:1: 010 is read in two ways"),
        ("a: 0o17", "x:1: 0o17 is read in two ways"),
        ("a: 0x1F", "x:1: 0x1F is read in two ways"),
        ("a: 1_000", "x:1: 1_000 is read in two ways"),
        ("a: 12:30", "x:1: 12:30 is read in two ways"),
        ("a: .inf", "x:1: .inf is read in two ways"),
        ("a: !!python/object:os.system {}", "x:1: the tag"),
        ("a: !!bool yes", "x:1: the tag"),
        ("{a: 1}: b", "x:1: expected text or a number as key"),
        ("true: b", "x:1: expected text or a number as key"),
        ("a: [1, 2", "not YAML: "),
        ("a: b: c", "x:1: not YAML"),
        ("a: *b", "x:1: *b stands before its anchor"),
        ("a: &a [*a]", "x:1: *a stands before its anchor"),
        ("a:\n\t- b", "x:2: not YAML"),
        ("a: \x00", "x: not YAML"),
        (b"a: \xff\xfe", "x:1: expected UTF-8 text"),
        ("[" * 200 + "]" * 200, "x:1: nested deeper than 50 levels"),
        ("[" * 100_000, "nest"),
        ("a: " + "x" * 1_000_001, "x: expected at most 1,000,000 bytes"),
        ("a: [" + "1," * 60_000 + "]", "x:1: more than 50,000 values"),
    ],
)
def test_what_parsers_read_differently_is_refused_with_its_line(text, said):
    with pytest.raises(plain_yaml.YamlError) as caught:
        plain_yaml.read(text, "x")
    assert said in str(caught.value)


def test_an_alias_is_read_and_a_bomb_of_aliases_is_not():
    assert one("a: &a [1, 2]\nb: *a").data == {"a": [1, 2], "b": [1, 2]}
    bomb = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
    )
    with pytest.raises(plain_yaml.YamlError, match="more than 50,000 values"):
        plain_yaml.read(bomb, "x")
    deep = "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 99))
    with pytest.raises(plain_yaml.YamlError, match="nested deeper"):
        plain_yaml.read(deep, "x")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(plain_yaml.YamlError, match="missing.yaml: cannot be read"):
        plain_yaml.read_file(tmp_path / "missing.yaml")
    (tmp_path / "a.yaml").write_text(POD)
    assert len(plain_yaml.read_file(tmp_path / "a.yaml")) == 2


def test_broken_files_end_in_one_kind_of_error():
    """Random changes either read as the parser reads them, or raise YamlError."""
    rng, read = random.Random(0), 0
    for _ in range(1500):
        text = list(POD)
        for _ in range(rng.randint(1, 4)):
            text[rng.randrange(len(text))] = rng.choice("\n\t :-[]{}&*!|>'\"#%@`<,0ae")
        changed = "".join(text)
        try:
            documents = plain_yaml.read(changed, "x")
        except plain_yaml.YamlError as error:
            assert str(error).startswith("x:")
            continue
        with suppress(yaml.YAMLError):  # PyYAML's own parser takes a little less
            plain = [d for d in yaml.load_all(changed, yaml.BaseLoader) if d]
            assert len(documents) == len(plain)
            read += 1
    assert read > 200
