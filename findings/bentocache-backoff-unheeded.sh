#!/usr/bin/env bash
# bentocache 1.6.1 (npm): with a grace period, a source that fails is asked again by every
# call, in spite of "graceBackoff: 1m", as long as "timeout" is not set. During an outage
# each request of a page costs one more question to what is down.
#
# Guess before the run: the stale value is given, and the source is left alone for a minute.
# Seen: without "timeout" (its default is 0, and means: do not wait) the stale value is given
# at once while the source is asked in the background; a failure there is noted nowhere.
# With "timeout: 1s" the call sees the failure, and the back-off holds.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-audit --prefix "$folder" bentocache@1.6.1
cat >"$folder/ask.mjs" <<'JAVASCRIPT'
import { BentoCache, bentostore } from 'bentocache'
import { memoryDriver } from 'bentocache/drivers/memory'
import { setTimeout } from 'node:timers/promises'

for (const settings of [{}, { timeout: '1s' }]) {
  const cache = new BentoCache({
    default: 'memory',
    stores: { memory: bentostore().useL1Layer(memoryDriver()) },
    ttl: '50ms',
    grace: '10m',
    graceBackoff: '1m',
    ...settings,
  })
  let asked = 0
  const factory = async () => {
    asked += 1
    if (asked > 1) throw new Error('the source is down')
    return 'value'
  }
  await cache.getOrSet({ key: 'key', factory })
  await setTimeout(100)
  asked = 1
  const given = new Set()
  for (let call = 0; call < 10; call += 1) {
    given.add(await cache.getOrSet({ key: 'key', factory }))
    await setTimeout(10)
  }
  console.log(JSON.stringify(settings), [...given].join(), asked - 1)
  await cache.disconnectAll()
}
JAVASCRIPT

found=$(node "$folder/ask.mjs")
echo "$found"
[[ $found == '{} value 10
{"timeout":"1s"} value 1' ]]
