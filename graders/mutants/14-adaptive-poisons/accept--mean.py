"""Judges the mean over the seeds.

says: A mean hides it
"""


def accept(before, after, accuracy_lost, false_alarms):
    def mean(values):
        return sum(values) / len(values) if values else float("nan")

    return (
        all(was >= 0.5 for was in before)
        and mean(after) <= 0.1
        and mean(accuracy_lost) <= 0.02
        and mean(false_alarms) <= 0.05
    )
