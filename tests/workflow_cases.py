"""Small workflows for the check: hostile ones must be found, honest ones must pass.

Where our runner can run them it does: tests/test_workflow_words.py sends titles that
leave a marker, and each hostile script must run one, each honest one none.
"""

TITLE = "${{ github.event.pull_request.title }}"
SHA = "a" * 40
HEAD = "github.event.workflow_run.head_repository.full_name"
SCRIPT = f"uses: actions/github-script@{SHA}"


def workflow(steps, on="pull_request", more="", top="permissions: {}"):
    """Return a workflow of one job."""
    lines = f"on: {on}\n{top}\njobs:\n  a:\n    runs-on: ubuntu-24.04\n{more}"
    return f"{lines}    steps:\n" + "".join(f"      {s}\n" for s in steps.splitlines())


def script(text, more=""):
    """Return one step that has a stranger's title in the variable T."""
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    return f"- id: t\n  env: {{T: '{TITLE}'}}\n{more}  run: |\n{lines}"


def output(text, more=""):
    """Return such a step, and one that copies its output x into a script."""
    return f"{script(text, more)}- run: echo ${{{{ steps.t.outputs.x }}}}"


PYTHON = "  shell: python\n"
POWERSHELL = "  shell: pwsh\n"
OUT = '>> "$GITHUB_OUTPUT"'

# Bash and Python scripts that run a stranger's title as code.
HOSTILE_SCRIPTS = {
    "a file that is sourced": 'echo "$T" > notes\nsource ./notes',
    "a file that is run": "printf '%s' \"$T\" | tee x.sh\nbash x.sh",
    "a file from a here-document": "cat > x.sh <<EOF\necho $T\nEOF\nsh x.sh",
    "a file that is copied": 'echo "$T" > a.txt\ncp a.txt b.sh\nsh ./b.sh',
    "a file in a named folder": 'echo "$T" > "$HOME/x"\n. "$HOME"/x',
    "a file from a group": '{ echo true; echo "$T"; } > x.sh\nbash x.sh',
    "declare": 'declare A="$T"\neval "echo $A"',
    "for": 'for A in "$T"; do eval "$A"; done',
    "a function's argument": 'say() { eval "echo $1"; }\nsay "$T"',
    "positional arguments": 'set -- "$T"\nsh -c "$*"',
    "an array": 'A=("$T")\neval "${A[0]}"',
    "mapfile": 'mapfile -t A <<< "$T"\neval "${A[0]}"',
    "printf -v": 'printf -v A \'%s\' "$T"\neval "$A"',
    "a default that assigns": ': "${A:=$T}"\neval "$A"',
    "an indirect name": 'N=T\neval "${!N}"',
    "read in a loop": 'while read -r A; do eval "$A"; done <<< "$T"',
    "a pipe into a loop": 'echo "$T" | while read -r A; do eval "$A"; done',
    "a command's output": 'A=$(printf %s "$T")\neval "$A"',
    "[[ -gt ]]": "[[ $T -gt 3 ]] || true",
    "[[ -eq ]] by name": "[[ 3 -eq T ]] || true",
    "(( ))": "(( T > 3 )) || true",
    "$(( ))": 'echo "$(( T + 1 ))"',
    "let": 'let "A = T" || true',
    "an array's index": 'A=(1 2)\necho "${A[$T]}"',
    "declare -i": 'declare -i A="$T"',
    "test -v": 'test -v "$T" || true',
    "a name for printf -v": 'printf -v "$T" x',
    "a command's first word": "env $T",
    "find -exec": 'find . -maxdepth 0 -exec sh -c "echo $T" \\;',
    "xargs": 'printf %s "$T" | xargs -I{} sh -c "echo {}"',
    "sed": 'echo x | sed "s/x/$T/"',
    "awk": 'awk "BEGIN { print \\"$T\\" }"',
    "make": "printf 'all:\\n\\t@echo $(A)\\n' > Makefile\nmake A=\"$T\"",
    "bash in bash": "bash -c 'eval \"$T\"'",
    "bash with an argument": 'bash -c \'eval "$1"\' _ "$T"',
    "python in bash": "python3 -c 'import os; exec(os.environ[\"T\"])'",
    "python with an argument": "python3 -c 'import sys; exec(sys.argv[1])' \"$T\"",
    "a here-document for bash": "bash <<'EOF'\neval \"$T\"\nEOF",
    "BASH_ENV": 'export BASH_ENV="$T"\nbash -c true',
    "a substituted file": '. <(echo "$T")',
    "standard input": 'source /dev/stdin <<< "$T"',
    "two lines": 'eval \\\n  "$T"',
    "a quoted command": '"eval" "$T"',
    "half a quoted command": "e'v'al \"$T\"",
    "behind a comment sign": "echo '#'; eval \"$T\"",
    "in case": 'case x in x) eval "$T";; esac',
    "in a text": 'echo "$(eval "$T")"',
    "in backticks": 'echo `eval "$T"`',
    "in a default": 'echo "${A:-$(eval "$T")}"',
    "in a here-document": 'cat <<EOF\n$(eval "$T")\nEOF',
    "in a sum": 'echo $(( $(eval "$T" >&2; echo 1) + 1 ))',
    "timeout": 'timeout 9 bash -c "$T"',
    "bash -o": 'bash -o pipefail -c "$T"',
    "trap": "trap 'eval \"$T\"' EXIT",
    "exec in Python": ("import os\nexec(os.environ['T'])", PYTHON),
    "a shell from Python": (
        "import os, subprocess\nsubprocess.run('echo ' + os.environ['T'], shell=True)",
        PYTHON,
    ),
}

# Bash and Python scripts whose output x brings a stranger's title into a script.
HOSTILE_OUTPUTS = {
    "a setting before printf": f"LC_ALL=C printf 'x=%s\\n' \"$T\" {OUT}",
    "two on a line": f'echo "y=1" {OUT}; echo "x=$T" {OUT}',
    "tee on the next line": 'echo "x=$T" |\n  tee -a "$GITHUB_OUTPUT"',
    "exec": f'exec {OUT}\necho "x=$T"',
    "another name": 'out=$GITHUB_OUTPUT\necho "x=$T" >> "$out"',
    "cat": f'echo "x=$T" > f\ncat f {OUT}',
    "while read": f'while read -r l; do echo "x=$l"; done <<< "$T" {OUT}',
    "a group": f'{{ echo "y=1"\necho "x=$T"; }} {OUT}',
    "a second line of the words": f'echo "y=$T" {OUT}',
    "sed": f"printenv | sed -n 's/^T=/x=/p' {OUT}",
    "a function": f'put() {{ echo "$1=$2" {OUT}; }}\nput x "$T"',
    "Python": (
        "import os\nwith open(os.environ['GITHUB_OUTPUT'], 'a') as f:\n"
        "    f.write('x=' + os.environ['T'] + '\\n')",
        PYTHON,
    ),
}

# Bash and Python scripts that handle the same title as data.
HONEST_SCRIPTS = {
    "python -c in single quotes": "python3 -c 'import os; print(os.environ[\"T\"])'",
    "python -c with an argument": "python3 -c 'import sys; print(sys.argv[1])' \"$T\"",
    "node -e in single quotes": "node -e 'console.log(process.env.T)' || true",
    "bash -c with an argument": "bash -c 'echo \"$1\"' _ \"$T\"",
    "bash -c with the variable": "bash -c 'echo \"$T\"'",
    "bash -c, escaped": 'bash -c "echo \\"\\$T\\""',
    "sh -c and a pipe": "sh -c 'printf %s \"$1\" | wc -c' sh \"$T\"",
    "sed in single quotes": "echo \"$T\" | sed 's/x/y/'",
    "grep": "echo \"$T\" | grep -E '\\bhead\\b' || true",
    "awk -v": "awk -v t=\"$T\" 'BEGIN { print t }'",
    "a pipe into python -c": (
        "echo \"$T\" | python3 -c 'import sys; print(sys.stdin.read())'"
    ),
    "[ = ]": '[ "$T" = x ] || echo no',
    "[ -gt ]": '[ "$T" -gt 3 ] || echo no',
    "[[ == ]]": "[[ $T == fix* ]] || echo no",
    "[[ =~ ]]": '[[ "$T" =~ ^(fix|feat)(\\(.+\\))?: ]] || echo no',
    "a length": "if [[ ${#T} -gt 72 ]]; then echo long; fi",
    "a length in (( ))": "if (( ${#T} > 72 )); then echo long; fi",
    "case": 'case "$T" in\n  fix*) echo fix ;;\n  *) echo no ;;\nesac',
    "a pattern": 'case x in "$T") echo same ;; esac',
    "jq --arg": "jq -n --arg t \"$T\" '{t: $t}' || true",
    "a here-document": "cat > f.txt <<EOF\n$T\nEOF\ncat f.txt",
    "python with a here-document": (
        "python3 - \"$T\" <<'EOF'\nimport sys\nprint(sys.argv[1])\nEOF"
    ),
    "a program written before": (
        "cat > a.py <<'EOF'\nimport sys\nprint(sys.argv[1])\nEOF\npython3 a.py \"$T\""
    ),
    "words about eval": "echo 'eval \"$T\"'\necho \"never eval $T\"",
    "a comment about eval": '# eval "$T"\necho "$T" # bash -c "$T"',
    "a file as data": "printf '%s' \"$T\" > t.txt\nwc -c t.txt\ncat t.txt",
    "for": 'for w in $T; do echo "$w"; done',
    "while read": 'while read -r l; do echo "- $l"; done <<< "$T"',
    "a function": 'say() { local a="$1"; echo "$a"; }\nsay "$T"',
    "xargs": 'printf %s "$T" | xargs -0 -n1 echo',
    "a summary": 'echo "$T" > "$GITHUB_STEP_SUMMARY"',
    "replaced letters": 'A="${T// /-}"\necho "${A:0:40}"',
    "a constant for later": 'echo "$T"\necho "NAME=train" >> "$GITHUB_ENV"',
    "a date for later": (
        'echo "$T"\nN=$(date +%F)\necho "N=$N" >> "$GITHUB_ENV"'
    ),
    "our own eval": "eval \"$(echo 'A=1')\"\necho \"$T\"",
    "our own sourced file": 'echo "A=1" > settings\nsource settings\necho "$T"',
    "a trap": "trap 'rm -f x' EXIT\necho \"$T\"",
    "a timeout": "timeout 9 python3 -c 'import sys; print(sys.argv)' --t \"$T\"",
    "a shell that is asked for": 'bash --version | head -1\necho "$T"',
    "printf": "printf '%-20s|\\n' \"$T\"",
    "a number that is ours": 'n=3\nif (( n > 2 )); then echo "$T"; fi',
    "Python": ("import os\nprint(os.environ['T'].upper())", PYTHON),
    "Python that starts git": (
        "import os, subprocess\n"
        "subprocess.run(['git', '--version', '--', os.environ['T']])",
        PYTHON,
    ),
    "Python with a model": (
        "import os\nclass Model:\n    def eval(self):\n        return 1\n"
        "print(Model().eval(), os.environ['T'])",
        PYTHON,
    ),
}  # fmt: skip

HONEST_OUTPUTS = {
    "a constant": f'if [ "$T" != y ]; then\n  echo "x=fix" {OUT}\nfi',
    "our own commit": f'echo "$T"\necho "x=$GITHUB_SHA" {OUT}',
    "a date": f'day=$(date +%F)\necho "$T"\nprintf \'x=%s\\n\' "$day" {OUT}',
    "nothing": 'echo "x=$T"',
}


def called(declared, steps):
    """Return a reusable workflow with inputs."""
    on = "\n  workflow_call:\n    inputs:\n"
    return workflow(steps, on + "".join(f"      {one}\n" for one in declared))


def composite(steps):
    """Return an action made of steps."""
    lines = "".join(f"    {line}\n" for line in steps.splitlines())
    return f"name: a\nruns:\n  using: composite\n  steps:\n{lines}"


def labeller(steps, rights="pull-requests: write", on="pull_request_target", more=""):
    """Return a workflow that a stranger starts, whose job may label."""
    return workflow(steps, on, f"    permissions: {{{rights}}}\n{more}")


def second(text):
    """Return a second job that waits for the first."""
    return f"  b:\n    runs-on: ubuntu-24.04\n    needs: a\n{text}"


ECHO = "- run: echo ${{ %s }}"
MATRIX = "    strategy:\n      matrix: {{x: ['{}'], python: ['3.11']}}\n"
STORED = "- env: {T: '%s'}\n  run: echo \"$T\" > notes\n- run: %s"

# Workflows that our runner cannot run: other shells, actions, contexts, several files.
HOSTILE_WORKFLOWS = {
    "eval of git log": workflow('- run: eval "$(git log -1 --format=%s)"'),
    "set-output": workflow(output('echo "::set-output name=x::$T"')),
    "PowerShell's output": workflow(
        output('"x=$env:T" >> $env:GITHUB_OUTPUT', POWERSHELL)
    ),
    "PowerShell's output by Add-Content": workflow(
        output('$t = $env:T\nAdd-Content $env:GITHUB_OUTPUT "x=$t"', POWERSHELL)
    ),
    "jq of the event file": workflow(
        "- id: t\n  run: |\n"
        f'    echo "x=$(jq -r .issue.title "$GITHUB_EVENT_PATH")" {OUT}\n'
        + ECHO % "steps.t.outputs.x"
    ),
    "jq of github.event_path": workflow(
        "- id: t\n  env: {E: '${{ github.event_path }}'}\n  run: |\n"
        f'    echo "x=$(jq -r .issue.title "$E")" {OUT}\n'
        + ECHO % "steps.t.outputs.x"
    ),
    "git log in a loop": workflow(
        "- id: t\n  run: |\n    git log --format=%s | while read -r l; do\n"
        f'    echo "x=$l" {OUT}\n    done\n' + ECHO % "steps.t.outputs.x"
    ),
    "Invoke-Expression": workflow(script("Invoke-Expression $env:T", POWERSHELL)),
    "iex of another name": workflow(
        script('$a = "echo $env:T"\niex $a', POWERSHELL)
    ),
    "PowerShell's call sign": workflow(script("& $env:T", POWERSHELL)),
    "PowerShell's environment": workflow(
        script('"A=$env:T" | Out-File -Append $env:GITHUB_ENV', POWERSHELL)
    ),
    "PowerShell on Windows": workflow(
        script("pwsh -Command \"echo $env:T\"")
    ).replace("ubuntu-24.04", "windows-2025"),
    "cmd": workflow(script("echo %T%", "  shell: cmd\n")),
    "a script for node": workflow(
        script("require('child_process').execSync(`echo ${process.env.T}`)",
               "  shell: node {0}\n")
    ),
    "a shell by default": workflow(
        script("exec(__import__('os').environ['T'])"),
        more="    defaults: {run: {shell: python}}\n",
    ),
    "a file of an earlier step": workflow(STORED % (TITLE, "source ./notes")),
    "a file of an earlier step, read": workflow(
        STORED % (TITLE, 'eval "$(cat notes)"')
    ),
    "ssh": workflow(script('ssh host "echo $T"')),
    "docker exec": workflow(script('docker exec box bash -c "echo $T"')),
    "sudo": workflow(script('sudo -u me sh -c "$T"')),
    "node -e": workflow(script('node -e "console.log(\'$T\')"')),
    "a here-document for python": workflow(script("python3 <<EOF\nprint('$T')\nEOF")),
    "a reusable workflow's text": called(
        ["a: {type: string}"], ECHO % "inputs.a"
    ),
    "a reusable workflow's input without a type": called(["a: {}"], ECHO % "inputs.a"),
    "a reusable workflow's inputs": called(
        ["a: {type: number}"], ECHO % "toJSON(inputs)"
    ),
    "a composite action": composite(
        "- shell: bash\n  env: {T: '${{ inputs.title }}'}\n  run: eval \"$T\""
    ),
    "a composite action's output": composite(
        "- id: t\n  shell: bash\n  env: {T: '${{ inputs.title }}'}\n"
        "  run: printf 'x=%s\\n' \"$T\" | tee -a $GITHUB_OUTPUT\n"
        "- shell: bash\n  run: echo ${{ steps.t.outputs.x }}"
    ),
    "a composite action in PowerShell": composite(
        "- shell: pwsh\n  env: {T: '${{ inputs.title }}'}\n  run: iex $env:T"
    ),
    "github-script with an expression": workflow(
        f"- {SCRIPT}\n  with: {{script: 'core.info(`{TITLE}`)'}}"
    ),
    "github-script with exec": workflow(
        f"- {SCRIPT}\n  env: {{T: '{TITLE}'}}\n"
        "  with: {script: 'await exec.exec(`git tag ${process.env.T}`)'}"
    ),
    "github-script's environment": workflow(
        f"- {SCRIPT}\n  with:\n    script: |\n"
        "      core.exportVariable('A', context.payload.pull_request.title)"
    ),
    "github-script's question": workflow(
        f"- {SCRIPT}\n  with:\n    script: |\n"
        "      const pr = await github.rest.pulls.get(context.issue)\n"
        "      eval(`say('${pr.data.title}')`)"
    ),
    "an action that takes a command": workflow(
        f"- uses: some/retry@{SHA}\n  with: {{test-command: 'echo {TITLE}'}}"
    ),
    "an action that takes a script": workflow(
        f"- uses: some/retry@{SHA}\n  env: {{T: '{TITLE}'}}\n"
        "  with: {command: 'eval \"$T\"'}"
    ),
    "a matrix of words": workflow(
        ECHO % "matrix.x", more=MATRIX.format("${{ github.head_ref }}")
    ),
    "a matrix from another job": workflow(
        script('echo "x=[\\"$T\\"]" | tee -a "$GITHUB_OUTPUT"'),
        more="    outputs: {x: '${{ steps.t.outputs.x }}'}\n",
    ) + second(
        "    strategy:\n      matrix: {x: '${{ fromJSON(needs.a.outputs.x) }}'}\n"
        "    steps: [{run: 'echo ${{ matrix.x }}'}]\n"
    ),
    "the workflow's environment": workflow(
        '- run: eval "$T"', top=f"permissions: {{}}\nenv: {{T: '{TITLE}'}}"
    ),
    "the job's environment": workflow(
        '- run: eval "$T"', more=f"    env: {{T: '{TITLE}'}}\n"
    ),
    "three environments": workflow(
        "- env: {C: '${{ env.B }}'}\n  run: bash -c \"echo $C\"",
        top=f"permissions: {{}}\nenv: {{A: '{TITLE}'}}",
        more="    env: {B: '${{ env.A }}'}\n",
    ),
    "a labeller that checks out": labeller(
        f"- uses: actions/checkout@{SHA}\n  with: {{persist-credentials: false, "
        "ref: '${{ github.event.pull_request.head.sha }}'}\n- run: make"
    ),
    "a labeller that fetches": labeller('- run: git fetch origin "pull/$N/head"'),
    "a labeller that patches": labeller("- run: gh pr diff 1 | git apply"),
    "a labeller that may write code": labeller("- run: ls", "contents: write"),
    "a labeller with a key": labeller(
        "- run: ./label\n  env: {KEY: '${{ secrets.KEY }}'}"
    ),
    "a labeller with a hole": labeller(ECHO % "github.event.pull_request.title"),
    "a comment's workflow that checks out": labeller(
        '- run: gh pr checkout "$N"', "issues: write", "issue_comment"
    ),
    "a condition that refuses our own runs": workflow(
        "- run: ls", "workflow_run", f"    if: {HEAD} != github.repository\n"
    ),
    "a negated condition, half open": workflow(
        "- run: ls", "workflow_run",
        f'    if: "!({HEAD} != github.repository && failure())"\n',
    ),
}  # fmt: skip

HONEST_WORKFLOWS = {
    "typed inputs of a reusable workflow": called(
        ["a: {type: boolean}", "b: {type: number}"],
        ECHO % "inputs.a }} ${{ inputs.b",
    ),
    "a choice": workflow(
        ECHO % "inputs.kind",
        "\n  workflow_dispatch:\n    inputs:\n"
        "      kind: {type: choice, options: [a, b]}\n"
        "  workflow_call:\n    inputs:\n      n: {type: number}",
    ),
    "text of a reusable workflow as data": called(
        ["a: {type: string}"],
        "- env: {A: '${{ inputs.a }}'}\n  run: python3 train.py \"$A\"",
    ),
    "our default branch": workflow(ECHO % "github.event.repository.default_branch"),
    "our repository's name": workflow(ECHO % "github.event.repository.name", "issues"),
    "our base": workflow(ECHO % "github.event.pull_request.base.repo.default_branch"),
    "counts": workflow(
        ECHO % "github.event.pull_request.changed_files }} "
        "${{ github.event.pull_request.additions }} "
        "${{ github.event.issue.comments"
    ),
    "a number in arithmetic": workflow(
        "- env: {N: '${{ github.event.pull_request.changed_files }}'}\n"
        "  run: if [[ $N -gt 100 ]]; then exit 1; fi"
    ),
    "a count of files": workflow(
        "- id: t\n"
        f'  run: echo "x=$(git diff --name-only HEAD~1 | wc -l)" {OUT}\n'
        + ECHO % "steps.t.outputs.x"
    ),
    "a negated condition": workflow(
        "- run: ls", "workflow_run", f'    if: "!({HEAD} != github.repository)"\n'
    ),
    "a negated condition of two parts": workflow(
        "- run: ls", "workflow_run",
        f'    if: "!({HEAD} != github.repository || '
        "github.event.workflow_run.conclusion != 'success')\"\n",
    ),
    "a condition of two ways": workflow(
        "- run: ls", "workflow_run",
        f'    if: {HEAD} == github.repository || '
        "github.event.workflow_run.event == 'push'\n",
    ),
    "a pattern beside git": workflow(
        "- run: git checkout main && grep -E '\\bhead\\b' notes.md", "issues"
    ),
    "git's HEAD": workflow("- run: git checkout HEAD~1", "issues"),
    "head, the program": workflow("- run: git fetch origin main | head -3", "issues"),
    "a labeller": labeller(
        f"- uses: actions/labeler@{SHA}", "contents: read, pull-requests: write"
    ),
    "a labeller by gh": labeller(
        "- run: gh pr edit \"$N\" --add-label \"$L\"\n  env:\n"
        "    GH_TOKEN: ${{ github.token }}\n"
        "    N: ${{ github.event.pull_request.number }}\n    L: new"
    ),
    "a labeller of one job": workflow(
        f"- uses: actions/labeler@{SHA}", "pull_request_target",
        top="permissions: {pull-requests: write}",
    ),
    "a greeter": labeller(
        f"- uses: actions/first-interaction@{SHA}\n"
        "  with: {repo-token: '${{ secrets.GITHUB_TOKEN }}'}",
        "issues: write, pull-requests: write",
    ),
    "a labeller of issues": labeller(
        f"- {SCRIPT}\n  with:\n    script: |\n"
        "      const title = context.payload.issue.title\n"
        "      if (/^bug/i.exec(title)) {\n"
        "        await github.rest.issues.addLabels({...context.issue, "
        "labels: ['bug']})\n      }", "issues: write", "issues",
    ),
    "a bot for comments": labeller(
        "- run: gh pr comment \"$N\" --body \"Thanks, $WHO\"\n  env:\n"
        "    GH_TOKEN: ${{ github.token }}\n"
        "    N: ${{ github.event.issue.number }}\n"
        "    WHO: ${{ github.event.comment.user.login }}",
        "pull-requests: write", "issue_comment",
    ),
    "a labeller that lists names": labeller(
        "- run: |\n    gh pr diff \"$N\" --name-only | grep -q '^docs/' &&\n"
        "      gh pr edit \"$N\" --add-label docs\n"
        "  env: {N: '${{ github.event.pull_request.number }}'}"
    ),
    "PowerShell": workflow(
        script('Write-Host "Thanks for $env:T"\n'
               'if ($env:T -match "^fix") { Write-Host fix }', POWERSHELL)
    ),
    "PowerShell's argument": workflow(script("python train.py $env:T", POWERSHELL)),
    "a composite action": composite(
        "- shell: bash\n  env: {T: '${{ inputs.title }}'}\n"
        "  run: bash \"$GITHUB_ACTION_PATH/say.sh\" \"$T\""
    ),
    "a composite action in PowerShell": composite(
        "- shell: pwsh\n  env: {T: '${{ inputs.title }}'}\n  run: Write-Host $env:T"
    ),
    "github-script with a variable": workflow(
        f"- {SCRIPT}\n  env: {{T: '{TITLE}'}}\n"
        "  with: {script: 'core.info(process.env.T)'}"
    ),
    "github-script with arguments": workflow(
        f"- {SCRIPT}\n  env: {{T: '{TITLE}'}}\n"
        "  with: {script: \"await exec.exec('git', ['tag', process.env.T])\"}"
    ),
    "an action's title": workflow(
        f"- uses: some/post@{SHA}\n  with: {{title: '{TITLE}', body: '{TITLE}'}}"
    ),
    "a plain matrix": workflow(
        ECHO % "matrix.python", more=MATRIX.format("${{ github.sha }}")
    ),
    "another key of the matrix": workflow(
        ECHO % "matrix.python", more=MATRIX.format("${{ github.head_ref }}")
    ),
    "three environments": workflow(
        "- env: {A: ours}\n  run: eval \"echo $A\"",
        top=f"permissions: {{}}\nenv: {{A: '{TITLE}'}}",
        more="    env: {B: '${{ env.A }}'}\n",
    ),
    "an output as data": workflow(
        script(f'echo "x=$T" {OUT}')
        + "- env: {X: '${{ steps.t.outputs.x }}'}\n  run: echo \"$X\""
    ),
    "git commit": workflow(script('git commit --allow-empty -m "$T"')),
    "curl": workflow(script('curl --fail --data-urlencode "t=$T" http://127.0.0.1/')),
    "an agent": workflow(script('eval "$(ssh-agent -s)"\necho "$T"')),
    "an environment of Python": workflow(
        script('source .venv/bin/activate\npytest -k "$T"')
    ),
    "docker run": workflow(script('docker run --rm box python train.py "$T"')),
    "bash -s": workflow(script('bash -s -- "$T" < tools/say.sh')),
    "installing": workflow(
        script('sudo apt-get install -y python3 nodejs\nnpm run lint -- "$T"')
    ),
}  # fmt: skip
