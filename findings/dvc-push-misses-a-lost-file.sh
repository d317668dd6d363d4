#!/usr/bin/env bash
# DVC 3.67.1 (dvc-data 3.18.3): a file of a tracked folder that is lost from the remote is not
# pushed again. "dvc push" and "dvc status --cloud" say that all is in sync, while "dvc pull"
# fails elsewhere. A file that is tracked by itself is pushed again.
#
# Guess before the run: push looks for each file in the remote and sends the one that is gone;
# the cache here has it.
# Seen: where the remote has the folder's list (a ".dir" object), all that is on the list is
# taken to be there too, with or without the index that DVC keeps of the remote. Only when the
# list is taken out of the remote by hand does push send the file, and the list, again.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile dvc==3.67.1 dvc-data==3.18.3 \
    dvc-objects==5.2.0
export DVC_NO_ANALYTICS=1 DVC_SITE_CACHE_DIR="$folder/site"
export DVC_GLOBAL_CONFIG_DIR="$folder/config" DVC_SYSTEM_CONFIG_DIR="$folder/config"
dvc() {
    "$folder/venv/bin/dvc" "$@" 2>/dev/null
}
mkdir -p "$folder/remote" "$folder/work/photos"
cd "$folder/work"
echo one >photos/1
echo two >photos/2
echo three >alone
dvc init -q --no-scm
dvc config core.check_update false
dvc remote add -q --default remote "$folder/remote"
dvc add -q photos alone
dvc push -q
objects=$folder/remote/files/md5
sum=$(md5sum photos/2)
lost=$objects/${sum:0:2}/${sum:2:30}

found=$(
    rm "$lost"
    echo "folder: $(dvc push) $(dvc status --cloud)"
    sum=$(md5sum alone)
    rm "$objects/${sum:0:2}/${sum:2:30}"
    echo "alone: $(dvc push)"
    rm -r "$folder/site"
    echo "no index: $(dvc push)"
    cp -r "$folder/work" "$folder/other"
    rm -r "$folder/other/.dvc/cache" "$folder/other/photos" "$folder/other/alone"
    (cd "$folder/other" && dvc pull -q && echo pulled) || echo "pull failed"
    rm "$objects"/*/*.dir
    echo "no list: $(dvc push)"
    [[ ! -e $lost ]] || echo "sent again"
)
echo "$found"
[[ $found == "\
folder: Everything is up to date. Cache and remote 'remote' are in sync.
alone: 1 file pushed
no index: Everything is up to date.
pull failed
no list: 2 files pushed
sent again" ]]
