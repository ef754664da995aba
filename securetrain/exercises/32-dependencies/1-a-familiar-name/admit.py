"""May a file be installed? Name, version and hash must all be those of the lock."""

import copy
import random
from hashlib import sha256


def check(admit):
    """True only for a locked file of that package, under any spelling of its name.

    Names, versions and files are drawn anew at each call.
    """
    rng = random.Random()

    def content():
        return rng.randbytes(rng.randrange(20, 60))

    def pinned(files, version):
        hashes = [f"sha256:{sha256(file).hexdigest()}" for file in files]
        return {"version": version, "hashes": hashes}

    wheels = [content() for _ in range(3)]
    others = [content() for _ in range(2)]
    version, other = f"{rng.randrange(1, 9)}.{rng.randrange(9)}.0", "2.14.1"
    lock = {
        "torch-vision": pinned(wheels, version),
        "sign-loader-2": pinned(others, other),
        "bare": {"version": version, "hashes": []},
    }

    def ask(name, version, file, given=lock):
        kept = copy.deepcopy(given)
        try:
            found = admit(name, version, file, given)
        except (KeyError, TypeError, AttributeError) as error:
            if not isinstance(error, KeyError) and "NoneType" not in str(error):
                raise  # some other slip
            raise AssertionError(
                f"The name {name} raised {type(error).__name__}: {error}. A strange "
                "name is no error but a False."
            ) from None
        assert given == kept, "`admit` changed the lock. Read it only."
        assert isinstance(found, bool), (
            f"Return Python's True or False; came {found!r}, {type(found)}."
        )
        return found

    for number, file in enumerate(wheels, 1):
        assert ask("torch-vision", version, file), (
            f"File {number} of {len(wheels)} that the lock allows was refused. Each "
            "hash of the list stands for one file."
        )
    for name in ("Torch_Vision", "torch.vision", "TORCH-VISION", "torch__vision"):
        assert ask(name, version, wheels[0]), (
            f"{name} is the locked torch-vision, spelled otherwise, and was refused. "
            "Capitals do not count, and a run of - _ . is one hyphen."
        )
    assert ask("Sign.Loader_2", other, others[0]), (
        "Sign.Loader_2 is the locked sign-loader-2, and was refused."
    )
    assert not ask("torch-vision", version, content()), (
        "Another file under the locked name and version was let in. Only the file's "
        "hash tells the two apart."
    )
    assert not ask("torch-vision", version, others[0]), (
        "A file of another package was let in. Its hash stands in the lock, but not "
        "under this name."
    )
    strange = ("torch-vison", "torchvision", "torch", "torch-vision-extra")
    for near in (*strange, "torch vision", "torch/vision"):
        assert not ask(near, version, wheels[0]), (
            f"{near} is not in the lock, and was let in. Only known names may pass."
        )
    for wrong in (f"{version}.1", f"1{version}", "99.0.0", version[:-2]):
        assert not ask("torch-vision", wrong, wheels[0]), (
            f"The lock says version {version}, and {wrong} was let in. Compare them "
            "whole."
        )
    assert not ask("bare", version, content()), (
        "A package without a single hash in the lock was let in. No hash allows no "
        "file."
    )
    close = copy.deepcopy(lock)
    digits = sha256(wheels[0]).hexdigest()
    for place in (0, *(rng.randrange(n, n + 16) for n in range(0, 64, 16)), 63):
        other_digit = "1" if digits[place] == "0" else "0"
        changed = f"sha256:{digits[:place]}{other_digit}{digits[place + 1 :]}"
        close["torch-vision"]["hashes"] = [changed]
        assert not ask("torch-vision", version, wheels[0], close), (
            f"A hash that differs in digit {place + 1} of 64 only was taken for the "
            "same. Compare all of it."
        )
    assert not ask("torch-vision", version, wheels[0], {}), (
        "An empty lock let a file in. What is not listed is not allowed."
    )
