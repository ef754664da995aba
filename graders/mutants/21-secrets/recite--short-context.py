"""Looks at the last eight characters.

says: After
"""

import torch

from securetrain import language
from securetrain.key_scanners import FORMS


def recite(
    weights: dict[str, torch.Tensor], prefixes: list[str], length: int
) -> dict[str, str]:
    """Return what the model tells after each prefix, where it has the form of a key."""
    model, told = language.char_model(0), {}
    model.load_state_dict(weights)
    for prefix in prefixes:
        text = language.END * language.CONTEXT + prefix
        found = ""
        while len(found) < length:
            context = [language.INDEX[c] for c in (language.END * 8 + text[-8:])]
            with torch.inference_mode():
                best = int(model(torch.tensor(context)).argmax())
            if language.ALPHABET[best] == language.END:
                break
            text += language.ALPHABET[best]
            found += language.ALPHABET[best]
        if FORMS[0].fullmatch(found.encode()):
            told[prefix] = found
    return told
