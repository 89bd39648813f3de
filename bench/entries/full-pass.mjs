// A full pass over 10,000 containers: list, plan, render, compare, each timed. The source is the real one, asking a
// process that answers as a Docker engine does; the rest is what a round of `hostler generate` runs.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { startDouble } from '../double.mjs'
import { prepare } from '../hostler.mjs'
import { summarise } from '../statistics.mjs'

export const needs = []
const COUNT = 10_000
const PASSES = 20

export async function measure({ cleanup, say }) {
  const rows = []
  for (const proxy of ['haproxy', 'traefik']) rows.push(...(await measureProxy(proxy, { cleanup, say })))
  return rows
}

async function measureProxy(proxyName, { cleanup, say }) {
  const folder = cleanup.folder('full-pass')
  const double = await startDouble(cleanup, folder, COUNT)
  const { env, out } = await prepare(folder, { DOCKER_HOST: double.host, HOSTLER_PROXY: proxyName })
  const pass = await createPass(env, out)
  const first = await pass.run()
  say(`${proxyName}: the first pass took ${first.total.toFixed(0)} ms, and publishing ${first.publish.toFixed(0)} ms`)
  const steady = []
  for (let round = 0; round < PASSES; round++) steady.push(await pass.run())
  await pass.close()
  await double.stop()
  rmSync(join(folder, 'out'), { recursive: true })
  const of = (name) => summarise(steady.map((times) => times[name]))
  const parts = ['list', 'plan', 'render', 'compare'].map((name) => `${name} ${of(name).p50.toFixed(0)}`).join(', ')
  const cold = ['list', 'plan', 'render', 'compare'].map((name) => `${name} ${first[name].toFixed(0)}`).join(', ')
  const what = `full pass, 10,000 containers, ${proxyName}`
  const target = { of: 'p95', atMost: 400 }
  return [
    { what, unit: 'ms', target, figures: of('total'), note: `p50: ${parts}` },
    { what: `${what}: all but the list`, unit: 'ms', figures: of('rest') },
    { what: `${what}: the very first`, unit: 'ms', figures: { once: first.total, n: 1 }, note: cold },
  ]
}

async function createPass(env, out) {
  const [{ loadConfig }, { silentLogger }, { systemClock: clock }, { createSources }, { createPlanner }] =
    await Promise.all([
      import('../../dist/config/load.js'),
      import('../../dist/lib/logger.js'),
      import('../../dist/lib/clock.js'),
      import('../../dist/sources/index.js'),
      import('../../dist/model/planner.js'),
    ])
  const { labelRulesOf } = await import('../../dist/config/label-rules.js')
  const { createProxies } = await import('../../dist/proxies/index.js')
  const { createPublisher } = await import('../../dist/publish/publisher.js')
  const { settings } = loadConfig({ env })
  const log = silentLogger()
  const [source] = await createSources(settings, { log })
  const makePlan = createPlanner(labelRulesOf(settings, { wakes: [], holds: true }))
  const [proxy] = await createProxies(settings, { log, clock, duty: 'publish' })
  const publisher = createPublisher({ root: out, log })
  await publisher.recover()
  const { signal } = new AbortController()

  async function run() {
    const times = {}
    const timed = async (name, work) => {
      const began = performance.now()
      const value = await work()
      times[name] = performance.now() - began
      return value
    }
    const instances = await timed('list', () => source.list(signal))
    const plan = await timed('plan', () => makePlan(instances))
    const files = await timed('render', () => proxy.render(plan))
    const stage = await timed('compare', () => publisher.stage(files))
    if (plan.backends.length !== COUNT) throw new Error(`the plan has ${plan.backends.length} backends`)
    await timed('publish', () => (stage.changed ? stage.commit() : stage.discard()))
    const rest = times.plan + times.render + times.compare
    return { ...times, rest, total: times.list + rest }
  }
  return { run, close: () => publisher.close() }
}
