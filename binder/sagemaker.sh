#!/bin/bash
# Lifecycle configuration of a JupyterLab space in SageMaker Studio, run at every start
# as sagemaker-user. Fill in the two lines; docs/rooms.md says how to attach it.
# Studio gives it five minutes: it starts the work and returns. The course lies in the
# space's home, which stays; ~/secure-ai-training.log tells how far it is, and
# ~/.secure-ai-training/done or failed how it ended.
set -euo pipefail

REPOSITORY="FILL-IN: https address of the course's git repository"
COMMIT="FILL-IN: the commit, 40 hex digits"

course="$HOME/secure-ai-training"
state="$HOME/.secure-ai-training"
log="$HOME/secure-ai-training.log"

if [[ "$REPOSITORY" == FILL-IN* || ! "$COMMIT" =~ ^[0-9a-f]{40}$ ]]; then
    echo "Secure AI Training: fill in REPOSITORY and COMMIT (40 hex digits)" >&2
    exit 1
fi
# The course pins its commit: what anyone pushes later is not run here.
install_course() {
    set -euo pipefail
    exec 9>"$state/lock"
    flock -n 9 || { echo "another start is still at work"; return 0; }
    rm -f "$state/done" "$state/failed"
    trap '[ -e "$state/done" ] || date -u > "$state/failed"' EXIT
    echo "$(date -u): commit $COMMIT, process $$"
    [ -e "$course/.git" ] || git init -q "$course"
    cd "$course"
    if [ "$(git rev-parse -q --verify HEAD || true)" != "$COMMIT" ]; then
        git fetch -q --depth 1 "$REPOSITORY" "$COMMIT"
        git checkout -q --detach "$COMMIT" # stops at a file that you changed
    fi
    bash binder/rented
    echo "$COMMIT" > "$state/done"
    echo "$(date -u): done; open secure-ai-training/course/index.ipynb"
}

mkdir -p "$state"
export PATH="$PATH:/opt/conda/bin" REPOSITORY COMMIT course state
export -f install_course
nohup setsid bash -c install_course >> "$log" 2>&1 < /dev/null &
echo "Secure AI Training: installing; see $log"
