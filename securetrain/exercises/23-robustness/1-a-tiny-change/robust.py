"""The honest number: an image counts when it survives every attack."""

import copy
import random


def check(robust):
    """The share of images that survive all attacks, and errors where there is none.

    Answers are drawn anew at each call.
    """
    rng = random.Random()

    def ask(right):
        kept = copy.deepcopy(right)
        found = robust(right)
        assert right == kept, "`robust` changed the answers. Read them only."
        assert isinstance(found, int | float), (
            f"Return a number from 0 to 1; came {found!r}."
        )
        return found

    def expect(wanted, says, right):
        found = ask(right)
        assert abs(found - wanted) < 1e-9, (
            f"{says} Expected {wanted:.3f}, came {found:.3f}."
        )

    def refuse(says, right):
        try:
            found = robust(copy.deepcopy(right))
        except ValueError:
            return
        except NotImplementedError:
            raise
        except Exception as error:
            text = f"{says} Expected a ValueError, came {error!r}."
            raise AssertionError(text) from None
        raise AssertionError(f"{says} Expected a ValueError, came {found!r}.")

    yes, no = True, False
    expect(1, "Every image survives everything.", {"no attack": [yes] * 4})
    says = "Without any attack, accuracy is what is left."
    expect(0.75, says, {"no attack": [yes, yes, no, yes]})
    says = "An image that is misread without an attack has not survived one."
    expect(0.5, says, {"no attack": [yes, no], "pgd": [yes, yes]})
    says = "Attacks that break different images break all of them together."
    apart = {"no attack": [yes] * 4, "pgd": [no, yes, yes, yes]}
    expect(0.5, says, apart | {"square": [yes, no, yes, yes]})
    says = "The worst case can be far below the strongest attack."
    third = {"a": [no, no, yes, yes, yes, yes], "b": [yes, yes, no, no, yes, yes]}
    third |= {"c": [yes, yes, yes, yes, no, no]}
    expect(0, says, {"no attack": [yes] * 6} | third)
    says = "The order of the attacks says nothing."
    expect(0.5, says, {"pgd": [no, yes], "fgsm": [yes, yes], "no attack": [yes, yes]})
    says = "An attack with another name counts, too."
    expect(0.5, says, {"no attack": [yes, yes], "my own": [no, yes]})
    length = rng.randrange(20, 40)
    names = ["no attack", "fgsm", "pgd", "square"]
    drawn = {name: [rng.random() < 0.8 for _ in range(length)] for name in names}
    wanted = sum(all(drawn[name][i] for name in names) for i in range(length)) / length
    expect(wanted, "An image counts once, if it survives all.", drawn)
    says = "Attacks saw different numbers of images."
    refuse(says, {"no attack": [yes, yes], "pgd": [yes]})
    refuse(says, {"no attack": [yes], "pgd": [yes, yes]})
    refuse(says, {"no attack": [yes, yes], "pgd": []})
    refuse(says, {"no attack": [yes] * 2, "a": [yes] * 2, "b": [yes]})
    refuse(says, {"no attack": [yes] * 2, "a": [yes], "b": [yes] * 2})
    says = "There are no images, so there is no share."
    refuse(says, {"no attack": []})
    refuse(says, {"no attack": [], "pgd": []})
    says = "Nobody knows what is read right without an attack."
    refuse(says, {"pgd": [yes, no]})
    refuse(says, {})
