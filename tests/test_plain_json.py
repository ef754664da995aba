"""JSON is read where every reader would say the same, and refused where not."""

import pytest

from securetrain import plain_json


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"[NaN]", "NaN and Infinity"),
        (b'{"a": -Infinity}', "NaN and Infinity"),
        (b'{"a": 1, "a": 1}', "a key stands twice"),
        (b'{"a": 1, "\\u0061": 2}', "a key stands twice"),
        (b'[{"b": {"a": 1, "a": 2}}]', "a key stands twice"),
        (b"[" * 100_000, "nested too deeply"),
        (b"", "not JSON"),
        (b"[1] [2]", "not JSON"),
        ("[1]".encode("utf-16"), "not JSON"),
        (b'"\xff"', "not JSON"),
    ],
)
def test_what_readers_take_differently_is_refused(data, says):
    with pytest.raises(ValueError, match=says):
        plain_json.read(data)


def test_the_rest_is_read():
    data = '{"größe": [1, 2.5, true, null, {"größe": ""}]}'.encode()
    assert plain_json.read(data) == {"größe": [1, 2.5, True, None, {"größe": ""}]}
