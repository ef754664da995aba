"""Attacks on the training of small models, and the defences against them."""

__version__ = "0.1.0"
