#!/usr/bin/env bash
# unstorage 1.17.6 (npm): through its overlay driver a picture in the layer below comes
# back with other bytes, and one that is stored through it lies on the disk as text.
#
# Guess before the run: getItemRaw and setItemRaw carry bytes, as they do with each of
# the layers alone.
# Seen: the overlay has no raw methods of its own. What it reads is decoded as UTF-8
# (six bytes of a JPEG become twelve); what it writes is "base64:" and text, which only
# the overlay's own reader takes for bytes: the layer's driver, or a web server, finds
# text.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-audit --no-fund --prefix "$folder" unstorage@1.17.6 >/dev/null

cat >"$folder/try.mjs" <<'JAVASCRIPT'
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createStorage } from "unstorage";
import files from "unstorage/drivers/fs";
import overlay from "unstorage/drivers/overlay";

const upper = process.argv[2] + "/upper";
const lower = process.argv[2] + "/lower";
const picture = Buffer.from([0xff, 0xd8, 0xff, 0x00, 0x80, 0x41]);
mkdirSync(upper);
mkdirSync(lower);
writeFileSync(lower + "/old.jpg", picture);
const hex = (data) => Buffer.from(data).toString("hex");

const alone = createStorage({ driver: files({ base: lower }) });
console.log("below, alone:", hex(await alone.getItemRaw("old.jpg")));
const layers = [files({ base: upper }), files({ base: lower })];
const both = createStorage({ driver: overlay({ layers }) });
console.log("through the overlay:", hex(await both.getItemRaw("old.jpg")));
await both.setItemRaw("new.jpg", picture);
console.log("stored and read:", hex(await both.getItemRaw("new.jpg")));
console.log("on the disk:", readFileSync(upper + "/new.jpg", "latin1"));
JAVASCRIPT
found=$(node "$folder/try.mjs" "$folder")
echo "$found"
[[ $found == "\
below, alone: ffd8ff008041
through the overlay: efbfbdefbfbdefbfbd00efbfbd41
stored and read: ffd8ff008041
on the disk: base64:/9j/AIBB" ]]
