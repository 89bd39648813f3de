import { expect, test } from '@jest/globals'
import { HostlerError } from '../../../src/lib/errors.js'
import type { ConsulAgent } from '../../../src/registries/consul/agent.js'
import { createAgents } from '../../../src/registries/consul/agents.js'
import { noOutcome } from '../../../src/registries/consul/attempts.js'
import { ghostMs } from '../../../src/registries/consul/entries.js'
import type { Wish } from '../../../src/registries/consul/wish.js'
import type { AskedEntry } from '../../../src/registries/consul/writer.js'
import { createFakeClock } from '../../support/clock.js'

const LEASE_MS = 30_000
const signal = new AbortController().signal

/** Agents of which some are away. */
function start(leaseMs = LEASE_MS) {
  const clock = createFakeClock()
  const away = new Set<string>()
  const closed: string[] = []
  const create = (url: string): ConsulAgent => ({
    shown: url,
    async sync({ entries }) {
      if (away.has(url)) throw new HostlerError('CONSUL', `${url} failed`)
      return { ...noOutcome(), entries: entries.size }
    },
    count: async () => 0,
    node: async () => url,
    run: async () => undefined,
    withdraw: async () => undefined,
    leftovers: async () => ({ nodes: [], troubles: [] }),
    async close() {
      closed.push(url)
    },
  })
  const agents = createAgents({ isFixed: false, leaseMs, create, clock })
  const entry = {} as AskedEntry
  const sync = (...urls: string[]) => {
    for (const url of urls) agents.add(url)
    const byAgent = new Map(urls.map((url) => [url, new Map([[`${url}-id`, entry]])]))
    const wish: Wish = { byAgent, troubles: [], isKept: () => false, isWhole: true, afresh: false }
    return agents.sync(wish, signal)
  }
  return { away, closed, sync, pass: clock.pass, urls: () => agents.all().map(({ url }) => url) }
}

test('an agent of which nothing is asked is kept while it can be reached', async () => {
  const { sync, pass, urls } = start()
  await sync('a', 'b')
  await pass(10 * ghostMs(LEASE_MS))
  expect(await sync('a')).toMatchObject({ entries: 1, troubles: [] })
  expect(urls()).toEqual(['a', 'b'])
})

test('one that cannot be is a trouble until all that was announced there has ended by itself, and is forgotten then', async () => {
  const { away, closed, sync, pass, urls } = start()
  await sync('a', 'b')
  away.add('b')
  await pass(ghostMs(LEASE_MS))
  expect((await sync('a')).troubles).toEqual(['what was announced at b earlier cannot be taken back: b failed'])
  expect(urls()).toEqual(['a', 'b'])
  await pass(1)
  await sync('a')
  expect([urls(), closed]).toEqual([['a'], ['b']])
  expect(await sync('a')).toMatchObject({ troubles: [] })
})

test('one of which something is asked is never forgotten, nor is one where only we can take something back', async () => {
  const asked = start()
  asked.away.add('b')
  await asked.sync('a', 'b')
  await asked.pass(10 * ghostMs(LEASE_MS))
  expect((await asked.sync('a', 'b')).troubles).toEqual(['what belongs at b cannot be announced: b failed'])
  const lasting = start(0)
  await lasting.sync('a', 'b')
  lasting.away.add('b')
  await lasting.pass(10 * ghostMs(LEASE_MS))
  await lasting.sync('a')
  expect([asked.urls(), lasting.urls()]).toEqual([
    ['a', 'b'],
    ['a', 'b'],
  ])
})

test('when none can be reached, that is a failure of all', async () => {
  const { away, sync } = start()
  for (const url of ['a', 'b']) away.add(url)
  await expect(sync('a', 'b')).rejects.toThrow('a failed')
})
