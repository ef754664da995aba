"""Looks for a list of dangerous words.

says: You miss step
"""


def find(workflow):
    (job,) = workflow["jobs"].values()
    words = (".title", ".body", "head_ref")
    return [
        number
        for number, step in enumerate(job["steps"])
        if any(word in step.get("run", "") for word in words)
    ]
