"""Puts a dot for every space of a name.

says: a name in three parts
"""

# ruff: noqa: F821, F401

import pickletools  # noqa: F401


def imports(data: bytes) -> list[str]:
    names, stack, memo, end = [], [], {}, 0
    try:
        for opcode, argument, place in pickletools.genops(data):
            end = place + 1
            if opcode.name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
                key = len(memo) if opcode.name == "MEMOIZE" else argument
                memo[key] = stack[-1]
            elif opcode.name in ("BINGET", "LONG_BINGET"):
                stack.append(memo[argument])
            elif opcode.name in ("GLOBAL", "STACK_GLOBAL"):
                if opcode.name == "GLOBAL":
                    names.append(argument.replace(" ", "."))
                else:
                    parts = stack[-2:]
                    del stack[-2:]
                    if len(parts) != 2 or not all(isinstance(p, str) for p in parts):
                        raise ValueError("a name that is not two texts")
                    names.append(".".join(parts))
                stack.append(OTHER)
            else:
                others(stack, opcode, argument)
    except (IndexError, KeyError) as error:
        raise ValueError("a value or a memo is missing") from error
    if end != len(data):
        raise ValueError("bytes follow the end")
    return names
