// A pass of the reaper over 10,000 running stacks: the processor time of Hostler, HAProxy's own left out. What runs, the
// plan and HAProxy with its 10,000 backends are the real ones; nobody is put to sleep.
import { get } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { hostOf, nameOf } from '../fleet.mjs'
import { prepare } from '../hostler.mjs'
import { summarise } from '../statistics.mjs'

export const needs = ['haproxy']
const COUNT = 10_000
const PASSES = 20
/** Longer than a save of the idle clock takes, and than it waits after the one before. */
const SAVED_MS = 1500

export async function measure({ cleanup, say }) {
  const folder = cleanup.folder('reaper-pass')
  const { env, out, port } = await prepare(folder, { HOSTLER_PUBLIC_LISTEN: '127.0.0.1:1', HOSTLER_WAKE: 'true' })
  const { reaper, proxy } = await createParts(env, out, cleanup)
  await ask(port, hostOf(7))
  const first = await reaper.pass()
  if (first.awake !== COUNT || first.problems.length > 0) throw new Error(`the pass saw ${JSON.stringify(first)}`)
  const used = reaper.state().groups.filter(({ idleSince }) => idleSince > Date.now() - 60_000).length
  say(`the first pass took ${first.ms.toFixed(0)} ms and found ${used} in use`)
  // As in a program that runs for a while.
  for (let pass = 0; pass < PASSES; pass++) await reaper.pass()
  const [asked, quiet, busy] = [[], [], []]
  for (let pass = 0; pass < PASSES; pass++) {
    asked.push(await processorMs(() => proxy.activity(new AbortController().signal)))
    quiet.push(await processorMs(() => reaper.pass()))
  }
  for (let pass = 0; pass < PASSES / 2; pass++) {
    busy.push(
      await processorMs(async () => {
        for (let index = 0; index < COUNT; index++) reaper.note(nameOf(index))
        await reaper.pass()
        await delay(SAVED_MS)
      }),
    )
  }
  const row = (what, samples, more) => ({
    what: `${what}, 10,000 stacks, processor`,
    unit: 'ms',
    figures: summarise(samples),
    ...more,
  })
  const target = { of: 'p95', atMost: 100 }
  return [
    row('reaper pass', quiet, { target, note: `of it p50 ${summarise(asked).p50.toFixed(0)} to ask HAProxy` }),
    row('the same with a request noted for each stack, and all of them saved', busy),
  ]
}

async function createParts(env, out, cleanup) {
  const load = (name) => import(`../../dist/${name}.js`)
  const [{ loadConfig }, { silentLogger }, { systemClock: clock }] = await Promise.all([
    load('config/load'),
    load('lib/logger'),
    load('lib/clock'),
  ])
  const [{ labelRulesOf }, { createPlanner }, { createGrouper }, { createWishReader }] = await Promise.all([
    load('config/label-rules'),
    load('model/planner'),
    load('model/groups'),
    load('model/reader'),
  ])
  const { createProxies } = await load('proxies/index')
  const { createPublisher } = await load('publish/publisher')
  const { createReaper } = await load('lifecycle/reaper')
  const { settings } = loadConfig({ env })
  const log = silentLogger()
  const rules = labelRulesOf(settings, { wakes: ['docker'], holds: true })
  const read = createWishReader(rules)
  const instances = Array.from({ length: COUNT }, (_, index) => instance(index))
  const plan = createPlanner(rules, read)(instances)
  const [proxy] = await createProxies(settings, { log, clock, duty: 'drive' })
  const publisher = createPublisher({ root: out, log })
  cleanup.add(async () => {
    await proxy.stop()
    await publisher.close()
  })
  const { signal } = new AbortController()
  await publisher.recover()
  await proxy.start(signal)
  await (await publisher.stage(proxy.render(plan))).commit()
  await proxy.apply(signal, signal)
  const groups = createGrouper(read)(instances)
  const world = {
    plan: () => plan,
    groups: () => groups,
    instances: () => instances,
    runtime: () => ({}),
    onChange: () => () => undefined,
  }
  const nobody = async () => {
    throw new Error('nobody was to sleep')
  }
  const sleeper = { sleep: nobody, remove: nobody, stop: async () => undefined }
  const states = new Map(
    [...groups.byName.keys()].map((group) => [group, { group, phase: 'awake', since: 0, steps: [] }]),
  )
  const waker = { state: (group) => states.get(group) }
  const reaper = createReaper({ world, waker, sleeper, proxies: [proxy], settings, rules, clock, log })
  cleanup.add(() => reaper.stop())
  return { reaper, proxy }
}

const instance = (index) => ({
  ...{ id: `${index}`, source: 'docker', name: `${nameOf(index)}-web-1`, stack: nameOf(index), service: 'web' },
  ...{ labels: { 'hostler.port': '8080' }, state: 'running', health: 'none', createdAt: index + 1, ports: [] },
  networks: [{ name: 'ci', address: `10.20.${index >> 8}.${index & 255}`, shared: true }],
})

/** Of this process. */
async function processorMs(work) {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

/** The backend has had a request, though nobody answers there. */
const ask = (port, host) =>
  new Promise((resolve) =>
    get({ host: '127.0.0.1', port, headers: { host }, timeout: 500 }, (answer) => answer.resume().on('end', resolve))
      .on('timeout', resolve)
      .on('error', resolve),
  )
