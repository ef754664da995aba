"""Dockerfiles, read instruction by instruction: what is borrowed, what stays?

The attacker can move a tag, own an address that a build downloads from, or pull the
finished image and look into its layers. They want their code in the image, the keys
that its build used, or root once they are in.

These rules know a few forms of a few mistakes. A build is a program: whoever writes it
can say the same in a form that no rule here knows. Two limits of many: a user of
another name may have root's number (`useradd -o -u 0 toor`), and `COPY .` takes
whatever lies in the folder, unless .dockerignore leaves it out.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePosixPath

from securetrain import key_scanners
from securetrain.dependencies import Finding
from securetrain.dockerfile import Instruction, Unread, read

NAMES = re.compile(
    r"(?i)(docker|container)file([._-](?!dockerignore$).+)?|.+\.(docker|container)file"
)
DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
VARIABLE = re.compile(r"\$(\w+|\{(\w+)(:?[-+?][^}]*)?\})")
COMMIT = re.compile(r"[^?#]+\.git#[0-9a-f]{40}(:.*)?")
ADDRESS = re.compile(r"(?i)^(https?|ftp|git)://|^git@|\.git(#.*)?$")
SECRET = re.compile(
    r"(?i)(^|_)(token|secret|passwd|password|passphrase|credentials?|api_?key|"
    r"access_?key|secret_?key|private_?key|auth)(_|$)|"
    r"(password|token|secret|_pwd|(^|_)pass)$"
)
NO_SECRET = re.compile(r"(?i).*=(true|false)|.*token.*=\d+")  # a token's number
LOGIN = re.compile(r"://[^\s/@:$]*:(?!\$)[^\s/@]+@")  # a variable is no password
KEY_FILE = re.compile(
    r"(?i)(^|/)(\.env(\..+)?|\.netrc|\.pypirc|\.npmrc|id_(rsa|ed25519|ecdsa)|\.ssh|"
    r"\.aws|\.docker(/config\.json)?|kaggle\.json|.+\.(pem|key|p12)|credentials(\.json)?)/?$"
)
ROOT = re.compile(r"(?i)(root|0+)(:.*)?")
FETCHES, SHELLS = {"curl", "wget"}, {"sh", "bash", "ash", "dash", "zsh"}
RUNNERS = SHELLS | {"python", "python3", "perl", "node", "source", "."}
CHECKS = re.compile(r"sha(256|384|512)sum\s+(.*\s)?(-c|--check)\b|gpg\s.*--verify\b")
SECOND = re.compile(r"(--extra-\w|--tr|--fin)[\w-]*|--index|-f.*")
JOINED = re.compile(r"-[er].+|--(edit|req)[\w-]*=.*")  # an option, and what it asks for
SECOND_ENV = re.compile(
    r"(?i)(PIP|UV)_(EXTRA_INDEX_URL|FIND_LINKS)|PIP_TRUSTED_HOST|UV_(INDEX|INSECURE_HOST)"
)
SECOND_SET = re.compile(r"\w+\.(extra-index-url|trusted-host|find-links)")
MARKS = "();<>|&\n"  # what ends a word in a shell


def is_one(name: str) -> bool:
    """Say whether a file's name is that of a Dockerfile."""
    return NAMES.fullmatch(PurePosixPath(name).name) is not None


def check(data: bytes, source: str) -> list[Finding]:
    """Return what is wrong with a Dockerfile, by line; [] when no rule objects.

    What cannot be read is a finding, too.
    """
    try:
        every = read(data)
        found = {(line, rule, says) for line, rule, says in _findings(every)}
    except Unread as unread:
        return [Finding(source, unread.line, "unreadable", str(unread))]
    return sorted(Finding(source, *row) for row in found)


# --- Rules ---------------------------------------------------------------------------

Row = tuple[int, str, str]


def _findings(every: list[Instruction]) -> Iterator[Row]:
    stages: dict[str, Instruction] = {}  # by name, with the last USER of each
    defaults: dict[str, str] = {}
    user, stage = Instruction("USER", "", 0), ""
    for one in every:
        if one.word == "ONBUILD":
            word, rest = (*re.split(r"\s+", one.rest, maxsplit=1), "")[:2]
            one = Instruction(word.upper(), rest, one.line)
        if one.word == "ARG" and not user.line:
            name, _, value = one.rest.partition("=")
            defaults[name.strip()] = value.strip("\"'")
        if one.word in ("FROM", "#SYNTAX"):
            yield from _borrowed(one, stages, defaults)
        if one.word == "FROM":
            # Who an image from elsewhere runs as, this file does not say.
            none = Instruction("USER", "", one.line)
            user = stages.get(_image(one.rest).lower(), none)
            name = re.search(r"(?i)\sAS\s+(\S+)\s*$", one.rest)
            stage = name[1].lower() if name else ""
        user = one if one.word == "USER" else user
        if stage:
            stages[stage] = user
        yield from _kept(one)
        yield from _fetched(one, stages)
    who = " ".join(_split(user.rest, user.line))  # as Docker does, without quotes
    if not who or ROOT.fullmatch(who) or VARIABLE.search(who):
        came = f"USER {who}" if who else "no USER"
        yield user.line, "root", f"{came}: the last stage runs as root; name a user"


def _image(rest: str) -> str:
    """Return the image that FROM names."""
    words = [word for word in rest.split() if not word.startswith("--")]
    return words[0] if words else ""


def _borrowed(
    one: Instruction, stages: Collection[str], args: Mapping[str, str]
) -> Iterator[Row]:
    """Yield what is wrong with an image that is built upon, or that builds."""
    image = _image(one.rest)
    known = VARIABLE.sub(lambda m: args.get(m[1].strip("{}"), m[0]), image)
    if known.lower() in {"scratch", *stages} or DIGEST.search(known):
        return
    what = f"{ascii(known)[1:-1]}: a name and a tag can move"
    yield one.line, "base-unpinned", f"{what}; add @sha256: and the image's digest"


def _kept(one: Instruction) -> Iterator[Row]:
    """Yield secrets that stay in the image or its history."""
    if one.word in ("ENV", "ARG"):
        for name, value in _settings(one):
            plain = NO_SECRET.fullmatch(f"{name}={value}") or not value
            asked = one.word == "ARG" and not value  # whoever builds gives it
            if SECRET.search(name) and (asked or not plain):
                says = f"{one.word} {ascii(name)[1:-1]} stays in the image's history; "
                yield one.line, "secret", says + "use RUN --mount=type=secret"
            if SECOND_ENV.fullmatch(name):
                says = f"{name} names another place to fetch from; use one index"
                yield one.line, "second-index", says
    if one.word in ("COPY", "ADD"):
        for path in _words(one)[:-1]:
            if KEY_FILE.search(path):
                says = f"{ascii(path)[1:-1]} becomes a layer that everyone can read"
                yield one.line, "secret", says
    try:
        keys = key_scanners.find(one.rest.encode())
    except key_scanners.Unread as error:
        raise Unread(one.line, str(error)) from None
    for value in keys:
        yield one.line, "secret", f"{value[:4]}… looks like a key, in clear"
    if not keys and one.word in ("ENV", "ARG", "RUN") and LOGIN.search(one.rest):
        says = "an address holds a password, which stays in the image's history; "
        yield one.line, "secret", says + "use RUN --mount=type=secret"


def _settings(one: Instruction) -> list[tuple[str, str]]:
    words = _split(one.rest, one.line)
    if one.word == "ENV" and words and "=" not in words[0]:
        return [(words[0], " ".join(words[1:]))]  # the old form: ENV NAME value
    pairs = (word.partition("=") for word in words)
    return [(name, value) for name, _, value in pairs]


def _fetched(one: Instruction, stages: Collection[str]) -> Iterator[Row]:
    """Yield code that comes from elsewhere, unseen."""
    if one.word == "ADD":
        hashed = re.search(r"--checksum=sha256:[0-9a-f]{64}\b", one.rest)
        places = [word for word in _words(one)[:-1] if not COMMIT.fullmatch(word)]
        if not hashed and any(ADDRESS.search(word) for word in places):
            says = "ADD of an address takes what lies there today; add --checksum="
            yield one.line, "add-url", says
    images: list[str] = []
    if one.word == "COPY":
        images = re.findall(r"--from=(\S+)", one.rest)
    if one.word == "RUN":
        options = re.match(r"(--\S+\s+)*", one.rest)
        images = re.findall(r"\bfrom=([^,\s]+)", options[0] if options else "")
    for image in (name.strip("\"'") for name in images):
        stage = image.isdigit() or image.lower() in stages
        if not stage and not DIGEST.search(image):
            says = f"{ascii(image)[1:-1]}: a tag can move; add @sha256: and the digest"
            yield one.line, "base-unpinned", says
    if one.word == "RUN":
        for rule, says in _run(one):
            yield one.line, rule, says


def _run(one: Instruction) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the commands of RUN."""
    text = re.sub(r"^(--\S+\s+)+", "", one.rest)
    commands = list(_commands(text, one.line))
    checked = CHECKS.search(re.sub(r"(?m)(^|\s)#.*$", "", text))  # in no comment
    fetching = False
    for words, before in commands:
        name = PurePosixPath(words[0]).name
        piped = before in ("|", "|&")
        if name in RUNNERS and piped and fetching:
            yield "pipe-to-shell", f"what was fetched goes straight into {name}"
        fetching = name in FETCHES or (piped and fetching)
        inner = re.search(r"(\$\(|`|<\()\s*(curl|wget)\b", " ".join(words))
        if inner and (name in RUNNERS or name == "eval"):
            yield "pipe-to-shell", f"what was fetched goes straight into {name}"
        if name in FETCHES and not checked:
            says = f"{name} fetches what lies there today; check it with sha256sum -c"
            yield "unchecked-download", says
        yield from _pip(words)


def _pip(words: list[str]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a call of pip."""
    name = PurePosixPath(words[0]).name
    if re.fullmatch(r"python[\d.]*", name) and words[1:3] == ["-m", "pip"]:
        words, name = words[2:], "pip"
    if name == "uv" and words[1:2] == ["pip"]:
        words, name = words[1:], "pip"
    comment = [place for place, word in enumerate(words) if word.startswith("#")]
    words = words[: comment[0]] if comment else words
    if not re.fullmatch(r"pip[\d.]*", name):
        return
    if {"config", "set"} <= set(words) and any(map(SECOND_SET.fullmatch, words)):
        yield "second-index", "pip config names another place to fetch from"
    verbs = {"install", "download", "wheel", "sync"} & set(words[1:])
    if not verbs:
        return
    asked = {word for word in words[1:] if word[:1] != "-"} - verbs
    asked |= {word for word in words[1:] if JOINED.fullmatch(word)}
    own = {"--no-deps", "--no-build-isolation"} <= set(words) and asked == {"."}
    if "--require-hashes" not in words and not own:
        says = "pip takes what the index offers today; use --require-hashes and a lock"
        yield "pip-unhashed", says
    if other := [w for w in words if SECOND.fullmatch(w.partition("=")[0])]:
        yield "second-index", f"{other[0].partition('=')[0]}: use one index"


def _commands(text: str, line: int) -> Iterator[tuple[list[str], str]]:
    """Yield the commands of a script, each with what stands between it and the last."""
    exec_form = _list(text)
    if exec_form is not None:
        if exec_form[:1] and exec_form[0].rsplit("/", 1)[-1] in SHELLS:
            yield from _commands(exec_form[-1], line)
        elif exec_form:
            yield exec_form, ""
        return
    before, words = "", []
    script = re.sub(r"(?m)^\s*#.*$", "", text.replace("\\\n", " "))
    for word in [*_split(script, line, MARKS), "\n"]:
        if set(word) - set(MARKS) or word[:1] in "<>":  # a word, or a redirection
            words.append(word)
            continue
        if plain := _bare(words):
            yield plain, before
            after = [n for n, w in enumerate(plain[:-1], 1) if re.match(r"-\w*c$", w)]
            if after and PurePosixPath(plain[0]).name in SHELLS:
                yield from _commands(plain[after[0]], line)
        before, words = word.strip("\n"), []


def _bare(words: list[str]) -> list[str]:
    """Return a command without the settings, sudo and shell words before it."""
    skip = {"sudo", "exec", "time", "then", "do", "else", "if", "!", "command", "env"}
    skip |= {"{", "}", "while"}
    while words and (words[0] in skip or re.match(r"[A-Za-z_]\w*=|-E$", words[0])):
        words = words[1:]
    return words


def _list(text: str) -> list[str] | None:
    """Return the words of an instruction's JSON form, None for the shell form."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    texts = isinstance(found, list) and all(isinstance(word, str) for word in found)
    return found if texts else None


def _words(one: Instruction) -> list[str]:
    """Return the paths of COPY and ADD, without options."""
    text = re.sub(r"^(--\S+\s+)+", "", one.rest.split("\n")[0])
    words = _list(text)
    return _split(text, one.line) if words is None else words


def _split(text: str, line: int, marks: str = "") -> list[str]:
    """Return the words of a line of shell. Raises Unread for open quotes."""
    try:
        lexer = shlex.shlex(text, posix=True, punctuation_chars=marks or False)
        lexer.whitespace_split, lexer.commenters = True, ""
        lexer.whitespace = " \t" if marks else lexer.whitespace
        return list(lexer)
    except ValueError as error:
        raise Unread(line, f"cannot be read as a shell does: {error}") from None
