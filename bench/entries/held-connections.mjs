// Memory of all HAProxy processes after 50 changes while 20 WebSockets are held: every reload leaves an old worker behind
// for as long as one of its connections lives. The baseline is a reload for every change, in the same run. Once the
// WebSockets are opened one after the other between the changes, as people come, and once all of them before the first.
import { setTimeout as delay } from 'node:timers/promises'
import { hostOf } from '../fleet.mjs'
import { haproxyMemory, workersOf } from '../haproxy-processes.mjs'
import { prepare, start, untilQuiet } from '../hostler.mjs'
import { untilServed } from '../requests.mjs'
import { createStacksFile } from '../stacks-file.mjs'
import { openWebSocket, startEchoServer } from '../websockets.mjs'

export const needs = ['haproxy']
const PRESENT = 1000
const CHANGES = 50
const HELD = 20

const WAYS = [
  {
    opened: 'one after the other between the changes',
    due: (change) => Math.ceil((change * HELD) / CHANGES),
    isMain: true,
  },
  { opened: 'before the first change', due: () => HELD },
]

export async function measure({ cleanup, say }) {
  const rows = []
  for (const way of WAYS) {
    const ours = await changeWhileHeld(way, { cleanup, say, overrides: {} })
    const byReloads = { HAPROXY_RUNTIME: 'false', HAPROXY_RELOAD_INTERVAL: '0' }
    rows.push(rowOf(way, ours, await changeWhileHeld(way, { cleanup, say, overrides: byReloads })))
  }
  return rows
}

async function changeWhileHeld({ opened, due }, { cleanup, say, overrides }) {
  const folder = cleanup.folder('held')
  const echo = await startEchoServer(cleanup)
  const stacks = createStacksFile(folder, { present: PRESENT, port: echo.port })
  const prepared = await prepare(folder, { HOSTLER_SOURCES: 'file', HOSTLER_FILE: stacks.path, ...overrides })
  const hostler = start(cleanup, 'run', prepared)
  const target = { port: prepared.port, host: hostOf(1) }
  await untilServed(target)
  await untilQuiet(hostler.child.pid)
  const held = []
  for (let change = 1; change <= CHANGES; change++) {
    while (held.length < due(change)) held.push(await openWebSocket(target))
    const applied = hostler.applied()
    stacks.change()
    await applied
  }
  // Workers without a connection end by themselves.
  await delay(2000)
  const [memory, workers] = [haproxyMemory(folder), workersOf(folder).length]
  const alive = (await Promise.all(held.map((one) => one.answers()))).filter(Boolean).length
  for (const one of held) one.close()
  await hostler.stop()
  await echo.stop()
  say(`${opened}, ${overrides.HAPROXY_RUNTIME ? 'reloads' : 'runtime API'}: ${workers} workers, ${alive} still answer`)
  return { ...memory, workers, alive }
}

function rowOf({ opened, isMain }, ours, theirs) {
  const told = ({ proportional, resident, workers, alive }) =>
    `${proportional.toFixed(0)} MB (resident ${resident.toFixed(0)}) in ${workers} workers, ${alive} sockets answer`
  return {
    ...(isMain && { id: 'held-connections' }),
    what: `HAProxy's memory after ${CHANGES} changes at ${PRESENT} stacks by reloads, against ours; ${HELD} WebSockets opened ${opened}`,
    unit: '×',
    figures: { ratio: theirs.proportional / ours.proportional },
    ours,
    baseline: theirs,
    note: `ours ${told(ours)}, by reloads ${told(theirs)}`,
  }
}
