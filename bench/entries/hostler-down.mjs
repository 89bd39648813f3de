// Hostler is killed, and stays away for a while: what the clients of running stacks notice of it behind a real HAProxy,
// which goes on with what it was told last; and of its return.
import { setTimeout as delay } from 'node:timers/promises'
import { startPacedClients } from '../clients.mjs'
import { hostOf, namesOf, openInn } from '../inn.mjs'
import { untilServed } from '../requests.mjs'

export const needs = ['haproxy', 'dockerd', 'busybox']
const STACKS = namesOf('running', 4)
const CLIENTS = { count: 8, everyMs: 20 }
const [ROUNDS, DOWN_MS, UP_MS] = [3, 8000, 3000]

export async function measure({ cleanup, say }) {
  const inn = await openInn(cleanup, { name: 'hostler-down' })
  for (const stack of STACKS) await (await inn.lodge(stack)).container.start()
  await inn.open()
  for (const stack of STACKS) await untilServed(inn.target(stack))
  const clients = startPacedClients(cleanup, { port: inn.port, hosts: STACKS.map(hostOf), ...CLIENTS })
  clients.phase('up')
  await delay(UP_MS)
  for (let round = 0; round < ROUNDS; round++) {
    clients.phase('down')
    await inn.kill()
    await delay(DOWN_MS)
    clients.phase('up')
    await inn.open()
    await delay(UP_MS)
  }
  const { failed, answered, failures, phases } = await clients.stop()
  say(JSON.stringify(failures))
  const p99 = (name) => `p99 ${phases[name].p99.toFixed(1)} ms ${name}`
  return [
    {
      ...{ what: 'failed requests to running stacks while Hostler is killed, away and back', unit: 'failed' },
      ...{ target: { of: 'failed', atMost: 0 }, figures: { failed } },
      note: `of ${answered + failed}; ${ROUNDS} × ${DOWN_MS / 1000} s away; ${p99('down')}, ${p99('up')}`,
    },
  ]
}
