"""Takes the last two texts for the name.

says: The loader fetches
"""

# ruff: noqa: F821, F401

import pickletools  # noqa: F401


def imports(data):
    names, texts, end = [], [], 0
    for opcode, argument, place in pickletools.genops(data):
        end = place + 1
        if opcode.name == "GLOBAL":
            names.append(argument.replace(" ", "."))
        elif opcode.name == "STACK_GLOBAL":
            names.append(".".join(texts[-2:]))
        elif isinstance(argument, str):
            texts.append(argument)
    if end != len(data):
        raise ValueError("more")
    return names
