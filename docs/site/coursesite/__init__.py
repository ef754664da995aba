"""The course as one static site: `make site` writes build/site/.

`sources` writes pages for Sphinx from the catalogue, the notebooks, the documents and
the library; `checks` reads the pages that Sphinx made. What is wrong stops the build.
"""


class Problem(Exception):
    """What stops the build; each line names a file and what is wrong with it."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
