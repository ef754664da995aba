"""What runs text as a program: interpreters, options, calls.

Lists of names, and so never whole: a program that is not here counts as one that takes
words as data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from securetrain.shell_words import Command, Word, bare

PRINTS = re.compile(  # commands that print what strangers wrote
    r"(?:\S*/)?(?:git\s(?:.*\s)?(?:log|show|diff|branch|shortlog)\b"
    r"|gh (?:pr|issue|api)\b|printenv\b|env$|export -p|declare -p)"
)
COUNTS = re.compile(r"wc\b|grep -\w*[cq]")  # a number carries no words
ALWAYS = re.compile(r"[\d*@_]|reply|mapfile|bash_rematch|optarg")
SHELLS = {"sh", "bash", "dash", "zsh", "ksh"}
CODE = dict.fromkeys(SHELLS, "oO") | {"python": "WX", "python3": "WX", "node": "r"}
CODE |= dict.fromkeys(("awk", "gawk", "mawk"), "vF") | dict.fromkeys(
    (
        "perl",
        "ruby",
        "php",
        "lua",
        "sed",
        "pwsh",
        ".",
        "source",
        "trap",
        "parallel",
        "npx",
        "flock",
        "script",
    ),
    "",
)  # what takes a program, and its options that take a word of data
WHOLE = {"eval", "ssh", "make", "su", "alias", "watch"}  # all that follows is code
WRAPS = {"sudo", "env", "command", "builtin", "exec", "nohup", "timeout", "xargs"}
WRAPS |= {"nice", "time"}
SAYS = {"echo", "printf", "grep"}
CLOSES = {"}", "done", "fi", "esac", ")"}
SETS = {"declare", "typeset", "local", "export", "readonly", "read", "unset", "let"}
PROGRAM = re.compile(r"-[A-Za-z]*[ceEpf]|--(?:eval|print|command|expression)\b.*")
SUM = {"-eq", "-ne", "-lt", "-le", "-gt", "-ge"}
ASSIGNS = re.compile(r"(\w+)(?:\[[^]]*\])?\+?=")
RUN_VARIABLES = {"bash_env", "path", "ld_preload", "node_options", "pythonstartup"}
RUN_VARIABLES |= {"git_ssh_command", "prompt_command"}
GIVES = re.compile(r"github_output|set-output", re.I)
SETS_ENV = re.compile(r"github_(?:env|path)\b|set-env|add-path|exportVariable", re.I)
CONSTANT = r"""(?!\s*(?:'[^'\\]*'|"[^"\\$]*")\s*[,)])"""
EVALUATES = re.compile(
    r"(?:(?<![.\w])(?<!def )(?:eval|exec|compile|__import__|Function)"
    r"|\bos\.(?:system|popen)|\bsystem|getoutput|exec\.\w+|execSync|(?:cp|process)\W{0,4}\.exec)\s*\("
    + CONSTANT
    + r"|shell\s*[:=]\s*(?:true|['\"])|['\"](?:ba|z|da)?sh['\"]\s*,\s*['\"]-\w*c"
    r"|\b(?:iex|Invoke-Expression|Invoke-Command|Start-Process|runpy|runIn\w+Context)\b|\[scriptblock\]"
    r"|\b(?:pwsh|powershell|cmd|bash)(?:\.exe)?\s+[-/]\w*c|(?:^|[;{|])\s*[&.]\s*\"?\$",
    re.I | re.M,
)  # fmt: skip


def read_by(text: str, strange: Mapping[str, str]) -> str:
    """Return how strange words come into a script of another language."""
    names = {name.lower() for name in re.findall(r"\w+", text)}
    if name := next((name for name in strange if name in names), ""):
        return f"${name}, from {strange[name]}"
    if re.search(r"context\.payload|github\.(?:rest|paginate|graphql)", text):
        return "what the event brought"
    lines = re.split(r"[\n;|(]\s*", text)
    printed = any(map(PRINTS.match, lines))
    return "a command that prints strangers' words" if printed else ""


def program(name: str, words: list[Word]) -> tuple[list[Word], list[Word]]:
    """Return the words that are an interpreter's program or options, and the rest."""
    code: list[Word] = []
    skip = False
    for number, word in enumerate(words):
        option = re.match("-.", word.text)
        if skip:
            skip = False
            continue
        if (
            code
            and not code[-1].text.startswith("-")
            and not PROGRAM.fullmatch(word.text)
        ):
            return code, words[number:]
        code.append(word)
        short = re.fullmatch(r"-\w*(\w)", word.text)
        skip = bool(short and short[1] in CODE[name])
        if name in SHELLS and re.fullmatch(r"-\w*s", word.text):
            return code, words[number + 1 :]
        if word.text == "-" or (name == "trap" and not option):
            return code, words[number + 1 :]
    return code, []


def base(word: Word) -> str:
    return word.text.rpartition("/")[2]


def said(command: Command) -> str:
    words = bare(command.words)
    return " ".join(word.text for word in words if not ASSIGNS.match(word.text))
