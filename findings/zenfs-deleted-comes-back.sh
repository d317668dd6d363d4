#!/usr/bin/env bash
# ZenFS 2.7.6 (npm, @zenfs/core), its CopyOnWrite of two layers: when a folder of the lower
# layer was moved, the folder is gone and the files in it are still said to exist, and a new
# folder of the old name has all of them again. Where both layers are mounted anew, each file
# that was deleted is back, and what was moved is in both places.
#
# Guess before the run: what is deleted or moved stays so, noted in the layer that is written
# to, as in other unions; nothing of the old folder is seen.
# Seen: deletes are noted in the memory of the mount alone. A move notes the folder and not
# its files, where the removal of a folder (rm, recursive) notes each, and holds. To read a
# file that "exists" is ENOENT until the folder is made anew; then it has the old content.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-audit --no-fund --prefix "$folder" @zenfs/core@2.7.6
cat >"$folder/try.mjs" <<'JAVASCRIPT'
import { configure, CopyOnWrite, fs, InMemory, resolveMountConfig, umount } from '@zenfs/core'

const readable = await resolveMountConfig({ backend: InMemory, label: 'lower' })
const writable = await resolveMountConfig({ backend: InMemory, label: 'upper' })
const union = { backend: CopyOnWrite, readable, writable }
const mount = () => configure({ mounts: { '/union': union } })
const paths = ['album', 'album/picture', 'deleted', 'removed/file']
const show = (label) => {
  console.log(label, ...paths.map((path) => fs.existsSync(`/union/${path}`)))
}

await configure({ mounts: { '/lower': readable } })
fs.mkdirSync('/lower/album')
fs.writeFileSync('/lower/album/picture', 'old picture')
fs.writeFileSync('/lower/deleted', 'text')
fs.mkdirSync('/lower/removed')
fs.writeFileSync('/lower/removed/file', 'text')
await mount()
show('before')
fs.unlinkSync('/union/deleted')
fs.rmSync('/union/removed', { recursive: true })
fs.renameSync('/union/album', '/union/moved')
show('after')
try {
  fs.readFileSync('/union/album/picture')
} catch (error) {
  console.log(error.code)
}
fs.mkdirSync('/union/removed')
console.log('removed, and made:', ...fs.readdirSync('/union/removed'))
fs.mkdirSync('/union/album')
console.log('moved, and made:', ...fs.readdirSync('/union/album'))
console.log(fs.readFileSync('/union/album/picture', 'utf8'))
fs.rmSync('/union/album', { recursive: true })
show('all gone')
umount('/union')
await mount()
show('mounted anew')
console.log(fs.readdirSync('/union').sort().join(' '))
JAVASCRIPT

found=$(node "$folder/try.mjs")
echo "$found"
[[ $found == "\
before true true true true
after false true false false
ENOENT
removed, and made:
moved, and made: picture
old picture
all gone false false false false
mounted anew true true true true
album deleted moved removed" ]]
