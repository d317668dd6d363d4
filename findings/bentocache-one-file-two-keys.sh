#!/usr/bin/env bash
# bentocache 1.6.1 (npm), its file driver: the keys "a:b" and "a/b" are one file, so each is
# given the other's value; and of "a" and "a:b" only the first is ever stored. With a memory
# layer in front nothing is seen of this: set() says true, the process that set the value
# reads it, and every other one, or the same after a restart, does not.
#
# Guess before the run: each key has its own value, in this process and in the next.
# Seen: a colon in a key, which is how its own namespaces are written too, becomes a folder.
# That no folder can be where a file is is an error of the second layer, and those are
# swallowed when there is a first.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-audit --prefix "$folder" bentocache@1.6.1
cat >"$folder/keys.mjs" <<'JAVASCRIPT'
import { BentoCache, bentostore } from 'bentocache'
import { fileDriver } from 'bentocache/drivers/file'
import { memoryDriver } from 'bentocache/drivers/memory'

const process = () =>
  new BentoCache({
    default: 'both',
    stores: {
      both: bentostore()
        .useL1Layer(memoryDriver())
        .useL2Layer(fileDriver({ directory: globalThis.process.argv[2] })),
    },
  })

const first = process()
for (const key of ['photo', 'photo:small', 'text:1', 'text/1']) {
  const said = await first.set({ key, value: `of ${key}` })
  console.log(key, said, await first.get({ key }), '|', await process().get({ key }))
}
console.log('text:1', await process().get({ key: 'text:1' }))
globalThis.process.exit(0)
JAVASCRIPT

found=$(node "$folder/keys.mjs" "$folder/files")
echo "$found"
[[ $found == 'photo true of photo | of photo
photo:small true of photo:small | undefined
text:1 true of text:1 | of text:1
text/1 true of text/1 | of text/1
text:1 of text/1' ]]
