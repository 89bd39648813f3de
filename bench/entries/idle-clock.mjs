// Hostler is killed fifty times with `kill -9` and started again, under traffic: whether its idle clock still tells when each
// stack was last used, and whether anything that is in use was stopped. The stacks differ in how they are used:
//   proxied  through HAProxy, some time before Hostler is killed
//   direct   through the public port then, of which nobody knows but Hostler
//   away     through HAProxy while Hostler is away
//   once     a single time, before all of it
//   busy     all the time, by clients that notice every failure; its idle time is short
//   silent   by a WebSocket that says nothing; its idle time is short
import { setTimeout as delay } from 'node:timers/promises'
import { startPacedClients } from '../clients.mjs'
import { hostOf, openInn } from '../inn.mjs'
import { ask, untilServed } from '../requests.mjs'
import { summarise } from '../statistics.mjs'
import { openWebSocket } from '../websockets.mjs'

export const needs = ['haproxy', 'dockerd', 'busybox']
const KILLS = 50
const SAVE_MS = 1000
/** A time in whole seconds, taken from another one: the truth lies within this. */
const SECONDS_MS = 2000
/** What only Hostler knew for less than a save, and what it takes to write one, may be lost. */
const WRITTEN_MS = SAVE_MS + 150
/** Between the app's answer and our looking at the time. */
const TICK_MS = 50
const [IN_USE, NOTED] = [
  ['busy', 'silent'],
  ['proxied', 'direct', 'away', 'once'],
]
const SHORT_IDLE = { 'hostler.idle': '2s' }
const LONG_IDLE = { 'hostler.idle': '1h' }

export async function measure({ cleanup, say }) {
  const inn = await openInn(cleanup, { name: 'idle-clock', env: { HOSTLER_SLEEP_INTERVAL: '100ms' } })
  for (const [stacks, labels] of [
    [IN_USE, SHORT_IDLE],
    [NOTED, LONG_IDLE],
  ]) {
    for (const stack of stacks) await (await inn.lodge(stack, { labels })).container.start()
  }
  await inn.open()
  for (const stack of [...IN_USE, ...NOTED]) await untilServed(inn.target(stack))
  const socket = await openWebSocket(inn.target('silent'))
  const clients = startPacedClients(cleanup, { port: inn.port, hosts: [hostOf('busy')], count: 2, everyMs: 100 })
  const used = createUses()
  await used('once', inn.port)
  const errors = new Map(NOTED.map((stack) => [stack, []]))
  let lost = 0
  for (let kill = 0; kill < KILLS; kill++) {
    const killedAt = await killAndReturn(inn, used)
    const since = await idleSince(inn)
    for (const stack of NOTED) errors.get(stack).push(errorOf(since.get(stack), used.of(stack), stack, killedAt))
    lost += used.forgetAfter('direct', since.get('direct'))
    if (kill % 10 === 9) say(`killed ${kill + 1} times`)
  }
  const { failed, answered } = await clients.stop()
  const isOpen = await socket.answers()
  const stopped = (await Promise.all(IN_USE.map((stack) => inn.starts(stack)))).filter((starts) => starts !== 1).length
  socket.close()
  return rowsOf({ errors, lost, stopped: stopped + failed + (isOpen ? 0 : 1), answered })
}

/** Asks a stack, and keeps when it was answered. */
function createUses() {
  const times = new Map()
  const use = async (stack, port) => {
    const status = await ask({ port, host: hostOf(stack), agent: false })
    if (status !== 200) throw new Error(`${stack} answered with status ${status}`)
    times.set(stack, [...(times.get(stack) ?? []), Date.now()])
  }
  return Object.assign(use, {
    of: (stack) => times.get(stack),
    /** What was lost with one kill is lost for the next one too. @returns how many uses that are */
    forgetAfter(stack, since) {
      const kept = times.get(stack).filter((at) => at <= since + TICK_MS)
      const lost = times.get(stack).length - kept.length
      times.set(stack, kept)
      return lost
    },
  })
}

/** By how much the clock is behind the truth (less than 0: the stack seems idle for too long) or ahead of it. */
function errorOf(since, uses, stack, killedAt) {
  const last = uses.at(-1) ?? 0
  const saved = stack === 'direct' ? (uses.findLast((at) => at < killedAt - WRITTEN_MS) ?? 0) : last
  return since < saved ? since - saved : Math.max(0, since - last)
}

async function killAndReturn(inn, used) {
  const some = (ms) => delay(ms * Math.random())
  await Promise.all([
    some(1500).then(() => used('proxied', inn.port)),
    some(1500).then(() => used('direct', inn.publicPort)),
  ])
  await some(1500)
  await inn.kill()
  const killedAt = Date.now()
  await some(500)
  await used('away', inn.port)
  await some(500)
  await inn.open()
  return killedAt
}

/** What the program says once it has looked at the traffic. */
async function idleSince(inn) {
  for (;;) {
    const { lifecycle } = await inn.call('GET', '/api/state')
    const since = new Map(lifecycle?.groups.map((group) => [group.name, group.idleSince]))
    if (lifecycle?.lookedAt !== undefined && NOTED.every((stack) => since.get(stack) !== undefined)) return since
    await delay(20)
  }
}

function rowsOf({ errors, lost, stopped, answered }) {
  const what = `after ${KILLS} times kill -9 under traffic`
  const all = [...errors.values()].flat()
  const span = ([stack, samples]) => `${stack} ${Math.min(...samples).toFixed(0)} to ${Math.max(...samples).toFixed(0)}`
  return [
    {
      ...{ what: `idle time against the true one, ${what}: too long by`, unit: 'ms' },
      ...{ target: { of: 'max', atMost: SAVE_MS }, figures: summarise(all.map((error) => Math.max(0, -error))) },
      note: `${[...errors].map(span).join(', ')}; ${lost} uses that only Hostler knew were not saved yet`,
    },
    {
      ...{
        what: 'the same, too short by: HAProxy tells whole seconds, and the latest moment that they allow is taken',
        unit: 'ms',
      },
      ...{ target: { of: 'max', atMost: SECONDS_MS }, figures: summarise(all.map((error) => Math.max(0, error))) },
    },
    {
      what: `stacks in use that were stopped, requests that failed, WebSockets that were cut, ${what}`,
      ...{ unit: 'of them', target: { of: 'stopped', atMost: 0 }, figures: { stopped } },
      note: `${answered} requests answered`,
    },
  ]
}
