// A thousand times a stack is put to sleep for being idle while its clients ask at about that moment. The app is slow to
// stop: after the signal it goes on answering, and tells of every request that reaches it so late. There must be none.
import { Agent } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { namesOf, openInn } from '../inn.mjs'
import { exchange } from '../requests.mjs'
import { summarise } from '../statistics.mjs'

export const needs = ['haproxy', 'dockerd', 'busybox']
const SLEEPS = 1000
const LONGEST_MS = 540_000
const STACKS = namesOf('drowsy', 30)
const [IDLE_MS, STOP_MS] = [1000, 1000]
const CLIENTS_PER_STACK = 2
/** So many starts at once take long; they do not fail for that. */
const PATIENCE_MS = 60_000
/** The first requests, each of which wakes a stack. */
const SPREAD_MS = 15_000

export async function measure({ cleanup, say }) {
  const inn = await openInn(cleanup, { name: 'sleeps', env: { HOSTLER_SLEEP_INTERVAL: '100ms' } })
  const labels = { 'hostler.idle': `${IDLE_MS}ms` }
  const lodged = await Promise.all(STACKS.map((stack) => inn.lodge(stack, { labels, env: [`STOP_MS=${STOP_MS}`] })))
  const hostler = await inn.open()
  await inn.settled(STACKS)
  const stops = followStops(hostler)
  const clients = startVisitors(inn)
  const began = performance.now()
  while (stops.ended.length < SLEEPS && performance.now() - began < LONGEST_MS) {
    await delay(10_000)
    say(`${stops.ended.length} of ${SLEEPS} sleeps after ${((performance.now() - began) / 1000).toFixed(0)} s`)
  }
  const asked = await clients.stop()
  const seen = await Promise.all(lodged.map(({ container }) => readLog(container)))
  return rowsOf({ asked, stops: stops.ended, log: seen.join('\n'), say })
}

/** From when each container was told to stop to when Hostler called its group asleep, by stack. */
function followStops(hostler) {
  const begun = new Map()
  const ended = []
  hostler.follow(({ msg, group, time }) => {
    if (msg === 'putting a container to sleep') begun.set(group, time)
    const from = begun.get(group)
    if (from === undefined || !(msg === 'a group is asleep' || msg === 'a group stays awake')) return
    begun.delete(group)
    ended.push({ group, from, to: time })
  })
  return { ended }
}

/** Each asks one stack, at about the moment at which it becomes idle; every second one keeps its connection. */
function startVisitors(inn) {
  const requests = []
  let isOver = false
  const visit = async (stack, keepAlive) => {
    const agent = new Agent({ keepAlive, maxSockets: 1 })
    await delay(SPREAD_MS * Math.random())
    while (!isOver) {
      const request = { stack, at: Date.now() }
      Object.assign(request, await visitOnce({ ...inn.target(stack), agent }))
      requests.push(request)
      // Both together leave a stack alone for about the idle time.
      await delay(IDLE_MS * (0.7 + 1.3 * Math.random()))
    }
    agent.destroy()
  }
  const visitors = STACKS.flatMap((stack) =>
    Array.from({ length: CLIENTS_PER_STACK }, (_, index) => visit(stack, index % 2 === 0)),
  )
  return {
    async stop() {
      isOver = true
      await Promise.all(visitors)
      return requests
    },
  }
}

async function visitOnce(target) {
  try {
    const { status, headers } = await exchange({ ...target, timeoutMs: PATIENCE_MS })
    return { failure: status === 200 ? undefined : `status ${status}`, isHit: headers['x-stopping'] !== undefined }
  } catch (error) {
    return { failure: error.code ?? error.message, isHit: false }
  }
}

const readLog = async (container) => String(await container.logs({ stdout: true, stderr: true }))

function rowsOf({ asked, stops, log, say }) {
  const failures = asked.filter(({ failure }) => failure !== undefined)
  for (const one of failures.slice(0, 10)) say(JSON.stringify(one))
  const told = log.match(/TERM: ending/g)?.length ?? 0
  const late = log.match(/late [A-Z]+ /g)?.length ?? 0
  const hits = Math.max(late, asked.filter(({ isHit }) => isHit).length)
  const meanwhile = asked.filter(({ stack, at }) =>
    stops.some(({ group, from, to }) => group === stack && at >= from && at <= to),
  ).length
  const what = `${told} sleeps of apps that take ${STOP_MS / 1000} s to stop, clients asking around the idle time`
  return [
    {
      ...{ what: `requests that reach a container told to stop, in ${what}`, unit: 'requests' },
      ...{ target: { of: 'hits', atMost: 0 }, figures: { hits } },
      note: `${asked.length} requests, ${meanwhile} of them while their container was stopping`,
    },
    {
      ...{ what: 'requests of those clients that failed', unit: 'failed', target: { of: 'failed', atMost: 0 } },
      figures: { failed: failures.length },
    },
    {
      ...{ what: 'told to stop → asleep there', unit: 'ms' },
      figures: summarise(stops.map(({ from, to }) => to - from)),
    },
  ]
}
