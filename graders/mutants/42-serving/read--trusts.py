"""Reads JSON and believes it.

says: You accept
"""

import json


def read(body):
    return json.loads(body)["images"]
