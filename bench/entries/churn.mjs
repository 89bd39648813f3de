// What clients notice of changes: 8 that keep their connection and 8 that do not ask two stacks, of which one is scaled up
// and down, while other stacks come and go. Times with changes and times without take turns, so that whatever else the machine
// does meets both. The baseline is a reload for every change.
import { setTimeout as delay } from 'node:timers/promises'
import { startPacedClients } from '../clients.mjs'
import { hostOf } from '../fleet.mjs'
import { workersOf } from '../haproxy-processes.mjs'
import { prepare, start, untilQuiet } from '../hostler.mjs'
import { untilServed } from '../requests.mjs'
import { startResponder } from '../responder.mjs'
import { createStacksFile } from '../stacks-file.mjs'

export const needs = ['haproxy']
const PRESENT = 100
const CLIENTS = { count: 8, everyMs: 20 }
const CHANGE_EVERY_MS = 200
const CHANGES_IN_A_TURN = 30

export async function measure({ cleanup, say }) {
  const ours = await changeUnderLoad({ cleanup, say, turns: 10, overrides: {} })
  const byReloads = { HAPROXY_RUNTIME: 'false', HAPROXY_RELOAD_INTERVAL: '0' }
  const theirs = await changeUnderLoad({ cleanup, say, turns: 4, overrides: byReloads })
  return [failedRow(ours, theirs), timesRow(ours, theirs), reloadsRow(ours)]
}

async function changeUnderLoad({ cleanup, say, turns, overrides }) {
  const folder = cleanup.folder('churn')
  const stacks = createStacksFile(folder, { present: PRESENT, port: await startResponder(cleanup, folder, '0.0.0.0') })
  const prepared = await prepare(folder, { HOSTLER_SOURCES: 'file', HOSTLER_FILE: stacks.path, ...overrides })
  const { port } = prepared
  const hostler = start(cleanup, 'run', prepared)
  const hosts = [hostOf(0), hostOf(1)]
  for (const host of hosts) await untilServed({ port, host })
  await untilQuiet(hostler.child.pid)
  const [workers, mark] = [workersOf(folder).join(), hostler.mark()]
  const clients = startPacedClients(cleanup, { port, hosts, ...CLIENTS })
  clients.phase('warming up')
  await delay(3000)
  for (let turn = 0; turn < turns; turn++) {
    clients.phase('quiet')
    await delay(CHANGES_IN_A_TURN * CHANGE_EVERY_MS)
    clients.phase('changes')
    await changeSome(hostler, stacks)
  }
  const result = await clients.stop()
  const isSameWorker = workersOf(folder).join() === workers
  const reloads = hostler.lines.slice(mark).filter(({ how }) => how === 'reload').length
  await hostler.stop()
  const changes = turns * CHANGES_IN_A_TURN
  say(`${changes} changes, ${reloads} reloads, failures: ${JSON.stringify(result.failures)}`)
  return { ...result, changes, reloads, isSameWorker }
}

async function changeSome(hostler, stacks) {
  for (let change = 0; change < CHANGES_IN_A_TURN; change++) {
    const next = delay(CHANGE_EVERY_MS)
    const applied = hostler.applied()
    stacks.change()
    await applied
    await next
  }
}

function failedRow(ours, theirs) {
  const of = ({ failed, answered, changes }) => `${failed} of ${answered + failed} in ${changes}`
  return {
    what: `failed requests of 8 keep-alive and 8 new-connection clients during ${ours.changes} changes`,
    unit: 'failed',
    target: { of: 'failed', atMost: 0 },
    figures: { failed: ours.failed },
    baseline: { failed: theirs.failed },
    note: `${of(ours)}; by reloads ${of(theirs)}`,
  }
}

function timesRow(ours, theirs) {
  const p99 = ({ phases }, name) => phases[name].p99
  const ratioOf = (run, kind = '') => p99(run, `changes${kind}`) / p99(run, `quiet${kind}`)
  const kinds = ['keep-alive', 'new'].map((kind) => `${kind} ${ratioOf(ours, ` ${kind}`).toFixed(2)} ×`)
  const ms = (run) => `${p99(run, 'changes').toFixed(2)} ms against ${p99(run, 'quiet').toFixed(2)} ms`
  return {
    id: 'churn-p99',
    what: `p99 of those clients during changes, ${1000 / CHANGE_EVERY_MS} a second, against none`,
    unit: '×',
    target: { of: 'ratio', atMost: 1.3 },
    figures: { ratio: ratioOf(ours) },
    baseline: { ratio: ratioOf(theirs) },
    note: `${ms(ours)}, ${kinds.join(', ')}; by reloads ${ratioOf(theirs).toFixed(2)} ×, ${ms(theirs)}`,
  }
}

function reloadsRow({ reloads, changes, isSameWorker }) {
  return {
    what: `reloads in those ${changes} changes: deployments, scalings and removals of stacks`,
    unit: 'reloads',
    target: { of: 'reloads', atMost: 0 },
    figures: { reloads },
    note: isSameWorker ? 'the same worker all the time' : 'the worker changed',
  }
}
