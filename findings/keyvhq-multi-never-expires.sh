#!/usr/bin/env bash
# @keyvhq/multi 2.1.15 (npm, a local store in front of a remote one): what was found in the
# remote store is given by the local one for decades after its half second is over, and when
# the remote one has long forgotten it. What was set through both ends in time.
#
# Guess before the run: the copy ends when the original does.
# Seen: the copy is made with the moment at which the original ends, in milliseconds since
# 1970, where set() takes how long from now. In 2026 it ends in 2083 (@keyvhq/core 2.2.7).
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-audit --prefix "$folder" @keyvhq/core@2.2.7 @keyvhq/multi@2.1.15
cat >"$folder/expires.mjs" <<'JAVASCRIPT'
import Keyv from '@keyvhq/core'
import Multi from '@keyvhq/multi'

const [local, remote] = [new Keyv(), new Keyv()]
const both = new Multi({ local, remote })
await remote.set('found', 'value', 500)
await both.set('set', 'value', 500)
console.log('at once', await both.get('found'), await both.get('set'))
const { expires } = await local.get('found', { raw: true })
console.log('kept for decades', expires - Date.now() > 50 * 365 * 24 * 3600 * 1000)
await new Promise((resolve) => setTimeout(resolve, 800))
console.log('remote', await remote.get('found'), await remote.get('set'))
console.log('both', await both.get('found'), await both.get('set'))
JAVASCRIPT

found=$(node "$folder/expires.mjs")
echo "$found"
[[ $found == 'at once value value
kept for decades true
remote undefined undefined
both value undefined' ]]
