#!/bin/bash
# Start-up script of a rented notebook server. Fill in the two lines; docs/rooms.md says
# how to attach it. It is run at every start:
#   by SageMaker Studio as sagemaker-user, for five minutes at most: it starts the work
#   and returns;
#   by Vertex AI Workbench as root: everything is done as the account that opens
#   notebooks, jupyter; root touches nothing below its home.
# In that account's home, which stays, secure-ai-training.log tells how far it is, and
# .secure-ai-training/done or failed how it ended.
set -euo pipefail

REPOSITORY="FILL-IN: https address of the course's git repository"
COMMIT="FILL-IN: the commit, 40 hex digits"
ACCOUNT=jupyter

if [[ "$REPOSITORY" == FILL-IN* || ! "$COMMIT" =~ ^[0-9a-f]{40}$ ]]; then
    echo "Secure AI Training: fill in REPOSITORY and COMMIT (40 hex digits)" >&2
    exit 1
fi
# The course pins its commit: what anyone pushes later is not run here.
install_course() {
    set -euo pipefail
    course="$HOME/secure-ai-training"
    state="$HOME/.secure-ai-training"
    mkdir -p "$state"
    exec >> "$HOME/secure-ai-training.log" 2>&1 9>"$state/lock"
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

if [ "$(id -u)" != 0 ]; then
    export PATH="$PATH:/opt/conda/bin" REPOSITORY COMMIT
    export -f install_course
    nohup setsid bash -c install_course > /dev/null 2>&1 < /dev/null &
    echo "Secure AI Training: installing; see $HOME/secure-ai-training.log"
    exit
fi
if ! id "$ACCOUNT" >/dev/null 2>&1; then
    echo "Secure AI Training: no account '$ACCOUNT' on this machine" >&2
    exit 1
fi
home="$(getent passwd "$ACCOUNT" | cut -d: -f6)"
# A clean environment: nothing of root's, no variable that points back to its home.
setpriv --reuid "$ACCOUNT" --regid "$(id -g "$ACCOUNT")" --init-groups \
    env -i HOME="$home" USER="$ACCOUNT" LANG=C.UTF-8 \
    PATH="/usr/local/bin:/usr/bin:/bin:/opt/conda/bin" \
    REPOSITORY="$REPOSITORY" COMMIT="$COMMIT" \
    bash -c "$(declare -f install_course); install_course"
