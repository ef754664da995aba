"""May a defence be installed? Every seed must say so."""

import copy
import math
import random


def check(accept):
    """True only where each seed's attack worked, is gone, and nothing else is broken.

    Numbers are drawn anew at each call; every refusal is one bad number in a list of
    good ones.
    """
    rng = random.Random()
    good = {
        "before": [rng.uniform(0.8, 1) for _ in range(5)],
        "after": [rng.uniform(0, 0.06) for _ in range(5)],
        "accuracy_lost": [rng.uniform(-0.01, 0.01) for _ in range(5)],
        "false_alarms": [rng.uniform(0, 0.03) for _ in range(5)],
    }

    def ask(**changes):
        given = good | changes
        kept = copy.deepcopy(given)
        found = accept(**given)
        assert given == kept, (
            "`accept` changed one of the lists it was given. Read them only."
        )
        assert isinstance(found, bool), (
            f"Return Python's True or False; came {found!r}, {type(found)}."
        )
        return found

    def with_one(name, value):
        values = list(good[name])
        values[rng.randrange(5)] = value
        return {name: values}

    assert ask(), (
        "A defence that stops the attack on every seed and costs nothing was refused."
    )
    limits = {"before": 0.5, "after": 0.1, "accuracy_lost": 0.02, "false_alarms": 0.05}
    for name, limit in limits.items():
        assert ask(**with_one(name, limit)), (
            f"{limit} in `{name}` is at the limit, which still counts as good."
        )
    assert ask(**with_one("accuracy_lost", -0.04)), (
        "A defence that gains accuracy on a seed was refused. Only a loss is a cost."
    )
    assert not ask(before=[0.01] * 5), (
        "The attack never worked, so nothing was defended against. Look at `before`."
    )
    bad = {"before": 0.4, "after": 0.2, "accuracy_lost": 0.06, "false_alarms": 0.2}
    says = {
        "before": "On one seed the attack did not work. That seed proves nothing.",
        "after": "On one seed the trigger still works. A mean hides it; look at each.",
        "accuracy_lost": "On one seed the model lost too much accuracy on clean data.",
        "false_alarms": "On one seed too much clean data is flagged.",
    }
    for name, value in bad.items():
        for place in range(5):
            values = list(good[name])
            values[place] = value
            assert not ask(**{name: values}), says[name]
        assert not ask(**with_one(name, math.nan)), (
            f"NaN in `{name}` is no evidence. Ask whether a number is good, not "
            "whether it is bad: both are false for NaN."
        )
    assert not ask(**{name: [] for name in good}), (
        "Without a single seed there is no evidence. `all` of an empty list is True."
    )
