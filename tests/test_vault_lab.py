"""Hand-ins of the lab on secrets that reach for the vault behind its checks."""

from pathlib import Path

import psutil
import pytest

from graders import intake, pool
from securetrain import notebooks, vault
from securetrain.notebook_rules import is_solution, source

ROOT = Path(__file__).resolve().parents[1]
TOPIC, NAME = "21-secrets", "secrets"
# Each follows the right answer. Whoever finds the checker's vault answers wrongly.
LOOK = """
import os, socket, subprocess

found = [name for name in os.environ if name.startswith(("BAO_", "VAULT_"))]
for port in range(1024, 65536):
    try:
        socket.create_connection(("127.0.0.1", port), 0.01).close()
        found.append(port)
    except OSError:
        pass
"""
# The course's commands are there to read, so it may start a server of its own.
START = """
try:
    subprocess.Popen(["bao", "server", "-dev"])
except OSError:
    pass
if found:
    permissions = None
"""
EVERYTHING = """
proper = permissions


def permissions(space, path):
    every = '["create", "read", "update", "delete", "list", "sudo"]'
    return proper(space, path) | {"policy": f'path "*" {{ capabilities = {every} }}'}
"""
FOREIGN = """
def next_request(job, answers):
    rules = 'path "*" { capabilities = ["sudo"] }'
    asked = {"method": "POST", "path": "sys/policies/acl/mine"}
    return asked | {"token": job["envelope"], "body": {"policy": rules}}
"""
HOSTILE = {
    "everything": (EVERYTHING, "The job can"),
    "foreign": (FOREIGN, "Request 1 must be POST sys/wrapping/lookup"),
}


@pytest.fixture(scope="module")
def graded():
    """Return student -> marks and messages of each check, all graded at once."""
    if not vault.tool("bao"):
        pytest.skip("bao is not installed")
    solution = ROOT / "solutions" / TOPIC / f"{NAME}.ipynb"
    cells = notebooks.read(solution)["cells"]
    right = {cell["id"]: source(cell) for cell in cells if is_solution(cell)}
    [lab] = pool.labs(ROOT, TOPIC)
    handed_in = []
    codes = {"reach": f"{LOOK}{START}"} | {
        name: code for name, (code, _) in HOSTILE.items()
    }
    for student, code in codes.items():
        notebook = notebooks.read(ROOT / "labs" / TOPIC / f"{NAME}.ipynb")
        for cell in notebook["cells"]:
            if is_solution(cell):
                cell["source"] = right[cell["id"]]
            if cell["id"] == "inject":
                cell["source"] += f"\n\n{code}"
        data = notebooks.dumps(notebook).encode()
        handed_in.append(intake.Submission(student, TOPIC, NAME, data))
    with pool.Pool(lab, jobs=1, trust=False) as ready:
        results = [result for _, result in ready.run(handed_in)]
    return {
        one.student: {mark["id"]: mark for mark in result["marks"]}
        for one, result in zip(handed_in, results, strict=True)
    }


@pytest.mark.parametrize("student", HOSTILE)
def test_a_hand_in_gets_nothing_from_the_checkers_vault(graded, student):
    marks = graded[student]
    assert marks["check-inject"]["score"] == 0
    assert HOSTILE[student][1] in marks["check-inject"]["message"]
    for check in ("check-scan", "check-strip", "check-recite", "check-respond"):
        assert marks[check]["score"] == marks[check]["points"], marks[check]["message"]


def test_a_hand_in_finds_no_vault(graded):
    """Its answers are right as long as it finds none, by port or by name."""
    checks = [mark for id, mark in graded["reach"].items() if id.startswith("check-")]
    assert len(checks) == 5
    assert all(mark["score"] == mark["points"] for mark in checks), checks


def test_outside_the_jail_the_same_code_finds_one():
    names = {}
    with vault.start() as server:
        exec(LOOK, names)
    assert int(server.address.rpartition(":")[2]) in names["found"]


def test_no_server_is_left(graded):
    ours = psutil.Process().children(recursive=True)
    assert not [one for one in ours if "bao" in one.name()]
