// Run by publish tests as `node publish-child.mjs COMPILED ORDERS.json`: publishes sets in turn until it ends or is killed.
import fs from 'node:fs'
import fsp from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { pathToFileURL } from 'node:url'

const [compiled, orders] = process.argv.slice(2)
const { root, sets, rounds, dieAt } = JSON.parse(fs.readFileSync(orders, 'utf8'))
const warnings = []
const log = { debug() {}, info() {}, warn: (fields, message) => warnings.push({ ...fields, message }) }

/** From now on the process kills itself on entering its `dieAt`-th file system call, and counts them. */
async function armFuse() {
  let calls = 0
  const fuse = (object, name) => {
    const real = object[name]
    object[name] = function (...args) {
      if (++calls === dieAt) process.kill(process.pid, 'SIGKILL')
      return real.apply(this, args)
    }
  }
  for (const name of ['open', 'rename', 'unlink', 'rm', 'rmdir', 'mkdir', 'chmod']) fuse(fsp, name)
  const handle = await fsp.open(process.execPath)
  await handle.close()
  for (const name of ['sync', 'writeFile', 'chmod', 'close']) fuse(Object.getPrototypeOf(handle), name)
  syncBuiltinESMExports()
  return () => calls
}

const { createPublisher } = await import(pathToFileURL(`${compiled}/publish/publisher.js`))
let publisher = createPublisher({ root, log })
const publish = async (files) => (await publisher.stage(files)).commit()
let calls = () => 0
let error
try {
  for (let round = 0; round < rounds; round++) {
    await publish(sets[round % sets.length])
    if (round > 0) continue
    fs.writeSync(1, 'started\n')
    if (dieAt === undefined) continue
    // What follows the first set's renames is over by then, so that every run counts the same calls.
    await publisher.close()
    publisher = createPublisher({ root, log })
    await publisher.recover()
    calls = await armFuse()
  }
  await publisher.close()
} catch (thrown) {
  error = { code: thrown.code, message: thrown.message }
}
fs.writeSync(1, `${JSON.stringify({ calls: calls(), warnings, error })}\n`)
process.exit(0)
