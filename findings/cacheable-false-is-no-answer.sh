#!/usr/bin/env bash
# cacheable 2.5.0 (npm): a value of 0, false, null or "" that is in the second level alone, as
# after a restart or in the next process, is not found by get(). getOrSet() works it out again
# and writes over it. has() says that it is there, and getMany() gives it.
#
# Guess before the run: every value that was set is given, until its time is over.
# Seen: get() asks whether what the second level has is true, getMany() whether it is
# undefined. With a level in memory in front the process that set the value sees nothing of
# this. So answers of "no" are asked for anew by each process (keyv 5.6.0).
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-audit --prefix "$folder" cacheable@2.5.0 keyv@5.6.0
cat >"$folder/false.mjs" <<'JAVASCRIPT'
import { Cacheable } from 'cacheable'
import { Keyv } from 'keyv'

const shared = new Map()
const process = () => new Cacheable({ secondary: new Keyv({ store: shared }) })
const values = { text: 'held', zero: 0, no: false, none: null, empty: '' }

const first = process()
for (const [key, value] of Object.entries(values)) {
  await first.set(key, value)
  const here = await first.get(key)
  const next = [await process().get(key), await process().has(key)]
  console.log(key, [here], next, await process().getMany([key]))
}
const asked = []
for (const key of ['text', 'no']) {
  await process().getOrSet(key, async () => asked.push(key) > 0)
}
console.log('asked again:', asked, 'stored:', await process().get('no'))
JAVASCRIPT

found=$(node "$folder/false.mjs")
echo "$found"
[[ $found == "\
text [ 'held' ] [ 'held', true ] [ 'held' ]
zero [ 0 ] [ undefined, true ] [ 0 ]
no [ false ] [ undefined, true ] [ false ]
none [ null ] [ undefined, true ] [ null ]
empty [ '' ] [ undefined, true ] [ '' ]
asked again: [ 'no' ] stored: true" ]]
