"""Looks only at the first exception that names hook and file.

says: An exception that has ended takes nothing
"""

from datetime import date


def stays(findings, waivers, today):
    def excused(one):
        for row in waivers:
            if row["hook"] == one["hook"] and one["path"] in row["paths"]:
                first, last = row["granted"], row["expires"]
                long = date.fromisoformat(last) - date.fromisoformat(first)
                people = row["approved"] not in ("", row["owner"])
                return first <= today <= last and long.days <= 90 and people
        return False

    return [one for one in findings if not excused(one)]
