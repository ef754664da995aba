"""Judges by brightness, which a thief keeps.

says: You accuse
"""


def accuse(questions, payers, known, usual):
    accused = set()
    for name, images in questions.items():
        if len(images) and abs(images.mean() - known.mean()) > 0.1:
            accused.add(payers[name])
    return sorted(accused)
