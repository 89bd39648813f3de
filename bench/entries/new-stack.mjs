// A new stack among many: from the moment at which its container accepts connections to the first 200 through HAProxy. A
// real daemon, real containers, a real HAProxy; ours by the runtime API, ours by reloads only, and rancher-haproxy's way.
// On the way each stack is scaled and removed again, and the reloads that all of it took are counted.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { followStarts } from '../docker-starts.mjs'
import { startRealDocker } from '../dockerd.mjs'
import { DOMAIN, instancesFile } from '../fleet.mjs'
import { workersOf } from '../haproxy-processes.mjs'
import { prepare, start, untilQuiet } from '../hostler.mjs'
import { startPredecessor } from '../predecessor-loop.mjs'
import { untilServed } from '../requests.mjs'
import { createOf, listeningSince, startStacks } from '../stack-containers.mjs'
import { summarise } from '../statistics.mjs'
import { createWallClock } from '../wall-clock.mjs'

export const needs = ['haproxy', 'dockerd', 'busybox']
const CONTAINERS = 100
const targetsOf = (figures) => Object.entries(figures).map(([of, atMost]) => ({ of, atMost }))

/** `others`: stacks beside the containers, from a file. Only the first way's stacks are scaled too. */
const WAYS = [
  { others: 0, runtime: true, samples: 100, isScaled: true, target: targetsOf({ p50: 30, p99: 150 }) },
  { others: 0, runtime: false, samples: 30 },
  { others: 4900, runtime: true, samples: 60, target: targetsOf({ p50: 60 }) },
  { others: 4900, runtime: false, samples: 20 },
]
const PREDECESSOR = { samples: 40, everyMs: 730 }

export async function measure({ cleanup, say }) {
  const dockerd = await startRealDocker(cleanup)
  await startStacks(dockerd, CONTAINERS)
  say(`${CONTAINERS} containers run`)
  const starts = await followStarts(dockerd.docker)
  const rows = []
  for (const way of WAYS) rows.push(...(await measureWay(way, { dockerd, starts, cleanup, say })))
  rows.push(await measurePredecessor(dockerd, cleanup))
  starts.stop()
  await dockerd.stop()
  return rows
}

async function measureWay(way, { dockerd, starts, cleanup, say }) {
  const folder = cleanup.folder('new-stack')
  const { prepared, hostler } = await startHostler(way, folder, { dockerd, cleanup })
  const [workers, mark] = [workersOf(folder).join(), hostler.mark()]
  const seen = []
  for (let sample = 0; sample < way.samples; sample++) {
    const stack = `new-${way.runtime}-${way.others}-${sample}`
    seen.push(await comeAndGo(stack, way, { dockerd, starts, hostler, port: prepared.port }))
    // Past the least time between two reloads, which is no part of what is measured; at no fixed time of anything else.
    await delay(way.runtime ? 50 + ((sample * 37) % 50) : 550)
  }
  const how = countHow(hostler.lines.slice(mark))
  const isSameWorker = workersOf(folder).join() === workers
  await hostler.stop()
  say(`${CONTAINERS + way.others} stacks, ${way.runtime ? 'runtime API' : 'reloads'}: ${JSON.stringify(how)}`)
  return rowsOf(way, { seen, how, isSameWorker })
}

async function startHostler({ others, runtime }, folder, { dockerd, cleanup }) {
  const stacks = join(folder, 'stacks.yml')
  writeFileSync(stacks, instancesFile(others))
  const sources = others > 0 ? { HOSTLER_SOURCES: 'docker,file', HOSTLER_FILE: stacks } : {}
  const prepared = await prepare(folder, { DOCKER_HOST: dockerd.host, HAPROXY_RUNTIME: String(runtime), ...sources })
  const hostler = start(cleanup, 'run', prepared)
  await untilServed({ port: prepared.port, host: `present-0.${DOMAIN}` }, { timeoutMs: 60_000 })
  await untilQuiet(hostler.child.pid)
  return { prepared, hostler }
}

/** A stack comes, is scaled if that is wanted, and goes; each is awaited. */
async function comeAndGo(stack, { isScaled }, { dockerd, starts, hostler, port }) {
  const target = { port, host: `${stack}.${DOMAIN}` }
  const first = await createOf(dockerd, stack)
  const wallMs = createWallClock()
  const served = untilServed(target).then(() => wallMs())
  await first.container.start()
  const servedAt = await served
  const times = {
    fromListening: servedAt - (await listeningSince(target)),
    fromStartEvent: servedAt - (await starts.of(first.id)),
  }
  const containers = [first.container]
  if (isScaled) containers.push(await scale(target, dockerd, stack))
  for (const container of containers) {
    const applied = hostler.applied()
    await container.remove({ force: true })
    await applied
  }
  return times
}

async function scale(target, dockerd, stack) {
  const second = await createOf(dockerd, stack, 2)
  await second.container.start()
  await untilServed(target, { isWanted: (body) => body.trim() === second.hostname })
  return second.container
}

function countHow(lines) {
  const counts = {}
  for (const { msg, how } of lines) {
    if (msg === 'the proxy has the new configuration') counts[how] = (counts[how] ?? 0) + 1
  }
  return counts
}

function rowsOf({ others, runtime, samples, isScaled, target }, { seen, how, isSameWorker }) {
  const [stacks, by] = [CONTAINERS + others, runtime ? '' : ', by reloads only']
  const present = others > 0 ? `${stacks} stacks, ${others} of them from a file` : `${stacks} stacks`
  const of = (name) => summarise(seen.map((times) => times[name]))
  const note = Object.entries(how).map(([way, times]) => `${times} changes by ${way}`)
  const rows = [
    {
      id: `new-stack-${stacks}${runtime ? '' : '-reloads'}`,
      ...{ what: `container listens → first 200, new stack beside ${present}${by}`, unit: 'ms' },
      ...{ ...(target && { target }), figures: of('fromListening'), note: note.join(', ') },
    },
    { what: `Docker's start event → the same${by}, ${stacks} stacks`, unit: 'ms', figures: of('fromStartEvent') },
  ]
  if (!isScaled) return rows
  const what = `reloads in ${samples} deployments, scalings and removals each`
  const worker = isSameWorker ? 'the same worker all the time' : 'the worker changed'
  const figures = { reloads: (how.reload ?? 0) + (isSameWorker || how.reload ? 0 : 1) }
  return [...rows, { what, unit: 'reloads', target: { of: 'reloads', atMost: 0 }, figures, note: worker }]
}

/** Many stacks start at uneven distances from its polls, so a few dozen of them need no more than a minute. */
async function measurePredecessor(dockerd, cleanup) {
  const folder = cleanup.folder('predecessor')
  const { port, stop } = await startPredecessor(cleanup, folder, dockerd.docker)
  const pending = []
  for (let sample = 0; sample < PREDECESSOR.samples; sample++) {
    pending.push(untilPolled(`polled-${sample}`, dockerd, port))
    await delay(PREDECESSOR.everyMs)
  }
  const times = await Promise.all(pending)
  await stop()
  const what = `container listens → first 200, new stack beside ${CONTAINERS} stacks, rancher-haproxy's 10 s poll and reload`
  return { id: 'new-stack-predecessor', what, unit: 'ms', figures: summarise(times) }
}

async function untilPolled(stack, dockerd, port) {
  const target = { port, host: `${stack}.${DOMAIN}` }
  const { container } = await createOf(dockerd, stack)
  const wallMs = createWallClock()
  await container.start()
  await untilServed(target, { everyMs: 20 })
  const servedAt = wallMs()
  return servedAt - (await listeningSince(target))
}
