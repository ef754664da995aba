"""What takes seconds to import, and nobody asks, is left out; nothing else is."""

import sys

import pytest

from securetrain import slow_imports

NAME = "rfc3987_syntax"


def test_the_grammar_is_hidden_and_comes_back(monkeypatch):
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    with slow_imports.without_iris(), pytest.raises(ImportError):
        __import__(NAME)
    assert NAME not in sys.modules


def test_who_has_it_already_keeps_it(monkeypatch):
    monkeypatch.setitem(sys.modules, NAME, sys)
    with slow_imports.without_iris():
        assert __import__(NAME) is sys
    assert sys.modules[NAME] is sys
