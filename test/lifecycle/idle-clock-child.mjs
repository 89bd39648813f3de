// Run by a test as `node idle-clock-child.mjs COMPILED FOLDER GROUPS`: touches groups without pause until it is killed. Each
// save holds its number, which is told as soon as it is in place.
import fs from 'node:fs'
import fsp from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { setImmediate as turn } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'

const [compiled, dir, count] = process.argv.slice(2)
let number = 0
let written = 0

const rename = fsp.rename
fsp.rename = async (...paths) => {
  await rename(...paths)
  fs.writeSync(1, `${written}\n`)
}
syncBuiltinESMExports()
const handle = await fsp.open(process.execPath)
const prototype = Object.getPrototypeOf(handle)
await handle.close()
const writeFile = prototype.writeFile
prototype.writeFile = function (text, ...rest) {
  written = new Map(JSON.parse(text).counts[0].totals).get('save')
  number++
  return writeFile.call(this, text, ...rest)
}

const { createIdleClock } = await import(pathToFileURL(`${compiled}/lifecycle/idle-clock.js`))
const log = { warn: console.error, error: console.error }
const clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  sleep: (ms) => new Promise((r) => setTimeout(r, ms)),
}
const idle = createIdleClock({ dir, clock, log, saveEveryMs: 1 })
await idle.load()
number = (idle.countsOf('test')?.totals.get('save') ?? 0) + 1
// Read when it is written.
idle.keepCounts('test', { counting: 'one', totals: { [Symbol.iterator]: () => [['save', number]][Symbol.iterator]() } })
for (let index = 0; index < Number(count); index++) idle.touch(`g${index}`)
for (let round = 0; ; round++) {
  idle.touch(`g${round % Number(count)}`)
  if (round % 100 === 0) await turn()
}
