"""Is content with a key somewhere in the text.

says: as a whole has not
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
            context = [language.INDEX[c] for c in text[-language.CONTEXT :]]
            with torch.inference_mode():
                best = int(model(torch.tensor(context)).argmax())
            if language.ALPHABET[best] == language.END:
                break
            text += language.ALPHABET[best]
            found += language.ALPHABET[best]
        if FORMS[0].search(found.encode()):
            told[prefix] = found
    return told
