// Requests that fail while HAProxy reloads 30 times, for clients that keep their connection and for those that do not.
// The baseline is an operator's configuration as rancher-haproxy's users have it, which lacks `option idle-close-on-response`.
import { appendFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { hostOf, instancesFile } from '../fleet.mjs'
import { prepare, start } from '../hostler.mjs'
import { predecessorConfig } from '../predecessor.mjs'
import { startClients, untilServed } from '../requests.mjs'
import { startResponder } from '../responder.mjs'

export const needs = ['haproxy']
const RELOADS = 30
const CLIENTS = 8

export async function measure({ cleanup, say }) {
  const ours = await reloadUnderLoad({ cleanup, say })
  const theirs = await reloadUnderLoad({ cleanup, say, config: predecessorConfig })
  return [
    rowOf(`${CLIENTS} keep-alive clients`, ours.keepAlive, theirs.keepAlive),
    rowOf(`${CLIENTS} clients that connect anew`, ours.fresh, theirs.fresh),
  ]
}

function rowOf(clients, ours, theirs) {
  const of = ({ failed, answered }) => `${failed} of ${answered + failed}`
  return {
    what: `${RELOADS} reloads under ${clients}: failed requests`,
    unit: 'failed',
    target: { of: 'failed', atMost: 0 },
    figures: { failed: ours.failed },
    baseline: { failed: theirs.failed },
    note: `${of(ours)}; with a configuration as rancher-haproxy's users have it ${of(theirs)}`,
  }
}

async function reloadUnderLoad({ cleanup, say, config }) {
  const folder = cleanup.folder('reloads')
  const answering = await startResponder(cleanup, folder)
  const stacks = join(folder, 'stacks.yml')
  const local = (entry) => ({ ...entry, address: '127.0.0.1', labels: { 'hostler.port': String(answering) } })
  writeFileSync(stacks, instancesFile(100, local))
  const sources = { HOSTLER_SOURCES: 'file', HOSTLER_FILE: stacks }
  const prepared = await prepare(folder, { ...sources, HAPROXY_RELOAD_INTERVAL: '0' })
  const base = prepared.env.HAPROXY_CONFIG
  if (config) writeFileSync(base, config({ map: prepared.env.HAPROXY_DOMAIN_MAP, port: prepared.port }))
  const hostler = start(cleanup, 'run', prepared)
  const target = { port: prepared.port, host: hostOf(0) }
  await untilServed(target)
  const clients = {
    keepAlive: startClients(target, { count: CLIENTS, keepAlive: true }),
    fresh: startClients(target, { count: CLIENTS, keepAlive: false }),
  }
  await delay(300)
  for (let reload = 1; reload <= RELOADS; reload++) {
    // Another section in the base configuration is nothing that HAProxy could be told without a reload.
    const reloaded = hostler.line(({ msg, how }) => msg === 'the proxy has the new configuration' && how === 'reload')
    appendFileSync(base, `\nbackend added_${reload}\n`)
    await reloaded
    await delay(100)
  }
  const results = { keepAlive: await clients.keepAlive.stop(), fresh: await clients.fresh.stop() }
  await hostler.stop()
  const reasons = Object.entries(results).map(([kind, { failures }]) => `${kind} ${JSON.stringify(failures)}`)
  say(`${config ? "rancher-haproxy's" : 'our'} configuration, failures: ${reasons.join(', ')}`)
  return results
}
