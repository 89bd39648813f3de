// A million requests straight through the public port, to an app that is awake, on connections that are kept: by how much
// the resident memory of Hostler grows once it is warm.
import { execFile } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { findProgram } from '../../scripts/servers.mjs'
import { hostOf } from '../fleet.mjs'
import { freePort, memoryOf, prepare, start, untilQuiet } from '../hostler.mjs'
import { untilServed } from '../requests.mjs'
import { startResponder } from '../responder.mjs'
import { createStacksFile } from '../stacks-file.mjs'

export const needs = ['haproxy', 'wrk']
const [WARM_UP, REQUESTS] = [300_000, 1_000_000]
const SLICE_SECONDS = 10
const run = promisify(execFile)

export async function measure({ cleanup, say }) {
  const folder = cleanup.folder('public-port')
  const { path } = createStacksFile(folder, { present: 10, port: await startResponder(cleanup, folder, '0.0.0.0') })
  const port = await freePort()
  const env = { HOSTLER_SOURCES: 'file', HOSTLER_FILE: path, HOSTLER_PUBLIC_LISTEN: `127.0.0.1:${port}` }
  const hostler = start(cleanup, 'run', await prepare(folder, env))
  const target = { port, host: hostOf(1) }
  await untilServed(target)
  const settled = async () => {
    await untilQuiet(hostler.child.pid)
    // Long enough for what is collected in an idle moment.
    await delay(5000)
    return memoryOf(hostler.child.pid).resident
  }
  const warmUp = await askMany(target, WARM_UP)
  const before = await settled()
  const { asked, failed, seconds } = await askMany(target, REQUESTS, (many) => {
    say(`${many} requests, ${memoryOf(hostler.child.pid).resident.toFixed(0)} MB`)
  })
  const after = await settled()
  const { peak } = memoryOf(hostler.child.pid)
  return [
    {
      ...{ id: 'public-port-memory', what: `growth of resident memory by ${asked} requests through the public port` },
      ...{ unit: 'MB', target: { of: 'growth', atMost: 10 }, figures: { growth: after - before, after, peak } },
      note: `after ${warmUp.asked} to warm up, ${Math.round(asked / seconds)} requests/s, ${failed} failed`,
    },
  ]
}

/** In slices, for wrk counts seconds and not requests. */
async function askMany({ port, host }, wanted, told = () => undefined) {
  const sum = { asked: 0, failed: 0, seconds: 0 }
  while (sum.asked < wanted) {
    const args = ['-t1', '-c32', `-d${SLICE_SECONDS}s`, '-H', `Host: ${host}`, `http://127.0.0.1:${port}/`]
    const { stdout } = await run(findProgram('wrk'), args)
    const figure = (pattern) => Number(pattern.exec(stdout)?.[1] ?? 0)
    sum.asked += figure(/(\d+) requests in/)
    sum.failed += figure(/Non-2xx or 3xx responses: (\d+)/)
    for (const kind of ['connect', 'read', 'write', 'timeout']) sum.failed += figure(new RegExp(`${kind} (\\d+)`))
    sum.seconds += SLICE_SECONDS
    told(sum.asked)
  }
  return sum
}
