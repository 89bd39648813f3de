import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Instance } from '../../../../src/model/instance.js'
import { createEngine } from '../../../../src/registries/etcd/policies/engine.js'
import type { Outcome, Policy } from '../../../../src/registries/etcd/policies/policy.js'
import { createRetries } from '../../../../src/registries/etcd/policies/retries.js'
import type { Service } from '../../../../src/registries/etcd/policies/services.js'
import { createFakeClock } from '../../../support/clock.js'
import { instance } from '../../../support/instances.js'

const never = new AbortController().signal

function start() {
  const clock = createFakeClock()
  const retries = createRetries({ clock })
  return { engine: createEngine({ reserved: '/h/', retries }), clock, retries }
}

/** A policy that says of each container what a table says, and counts how often it is asked. */
function tablePolicy(name: string, table: Record<string, Outcome>, prefix?: string) {
  const asked: string[] = []
  const policy: Policy = {
    ...{ name, prefix: () => prefix },
    async evaluate(instances) {
      asked.push(...instances.map((one) => one.name))
      return instances.map((one) => table[one.name] ?? { nodes: [] })
    },
  }
  const service: Service = { name, policy, config: {} }
  return { service, asked, table }
}

const nodesOf = (wants: { nodes: ReadonlyMap<string, { value: string }> }) =>
  Object.fromEntries([...wants.nodes].map(([node, { value }]) => [node, value]))
const [web, db] = [instance('web'), instance('db')] as [Instance, Instance]

describe('the policies over containers', () => {
  test('are asked of a container only when it or the configuration has changed', async () => {
    const engine = start().engine
    const { service, asked } = tablePolicy('p', { web: { nodes: [['/a', '1']] } })
    expect((await engine.run([web, db], [service], never)).touched).toEqual(new Set(['/a']))
    expect((await engine.run([web, db], [service], never)).touched).toEqual(new Set())
    await engine.run([web, { ...db }], [service], never)
    expect(asked).toEqual(['web', 'db', 'db'])
    await engine.run([web, db], [{ ...service, config: { other: 1 } }], never)
    expect(asked).toHaveLength(5)
  })

  test('what one cannot say for once keeps its nodes, names container and policy, and hinders no other', async () => {
    const engine = start().engine
    const one = tablePolicy('one', { web: { nodes: [['/a', '1']] } })
    const two = tablePolicy('two', { web: { nodes: [['/b', '1']] } })
    await engine.run([web], [one.service, two.service], never)
    one.table['web'] = { error: 'broken' }
    two.table['web'] = { nodes: [['/b', '2']] }
    const wants = await engine.run([{ ...web }], [one.service, two.service], never)
    expect(nodesOf(wants)).toEqual({ '/a': '1', '/b': '2' })
    expect(wants.troubles).toEqual(['policy one: container web: broken; its nodes stay as they were'])
  })

  test.each([
    ['outside its prefix', '/b/c', /outside \/a/],
    ['that only begins like its prefix', '/ab', /outside \/a/],
    ['among our own keys', '/h/claims', /keeps for itself/],
    ['without a slash', 'a/b', /no path/],
    ['with an empty part', '/a//b', /no path/],
    ['with a slash at its end', '/a/b/', /no path/],
    ['with a control character', '/a/\u0000', /no path/],
    ['that is far too long', `/a/${'x'.repeat(2000)}`, /no path/],
    ['with half a character', `/a/${'Shop 🎉'.slice(0, 6)}`, /no path/],
  ])('a node %s is an error, and its nodes stay as they were', async (_what, path, reason) => {
    const engine = start().engine
    const prefix = path.startsWith('/h/') ? undefined : '/a'
    const { service, table } = tablePolicy('p', { web: { nodes: [['/a/x', '1']] } }, prefix)
    await engine.run([web], [service], never)
    table['web'] = {
      nodes: [
        ['/a/x', '2'],
        [path, '1'],
      ],
    }
    const wants = await engine.run([{ ...web }], [service], never)
    expect(nodesOf(wants)).toEqual({ '/a/x': '1' })
    expect(wants.troubles).toEqual([expect.stringMatching(reason)])
  })

  test('a value may have 384 KiB, which a transaction can hold as often as it must', async () => {
    const { engine } = start()
    const { service, table } = tablePolicy('p', { web: { nodes: [['/a', 'é'.repeat(192 << 10)]] } })
    expect((await engine.run([web], [service], never)).troubles).toEqual([])
    table['web'] = { nodes: [['/a', `${'é'.repeat(192 << 10)}!`]] }
    const { nodes, troubles } = await engine.run([{ ...web }], [service], never)
    expect(nodes.get('/a')?.value).toHaveLength(192 << 10)
    expect(troubles).toEqual([
      expect.stringContaining('"/a" has a value of 393217 bytes; 393216 (384 KiB) is the most'),
    ])
  })

  test('values that do not agree are told by who says them and not by what they are', async () => {
    const { engine } = start()
    const { service } = tablePolicy('p', { web: { nodes: [['/a', 'hunter2']] }, db: { nodes: [['/a', 'hunter34']] } })
    const { troubles } = await engine.run([web, db], [service], never)
    expect(troubles).toEqual([
      '/a: web and db do not agree (7 and 8 bytes); the smallest value, of web, is in force: make them agree',
    ])
  })

  test('a failure names the files of policy and configuration', async () => {
    const { engine } = start()
    const { service } = tablePolicy('p', { web: { error: 'broken' } })
    const from = { ...service, policy: { ...service.policy, origin: '/policies/p.js' }, origin: '/services/p.json' }
    expect((await engine.run([web], [from], never)).troubles).toEqual([
      'policy p (/policies/p.js, /services/p.json): container web: broken; its nodes stay as they were',
    ])
  })

  test('what failed is asked again after a while, without that container or another having changed', async () => {
    const { engine, clock, retries } = start()
    const { service, asked, table } = tablePolicy('p', { web: { error: 'no answer' }, db: { nodes: [['/d', '1']] } })
    const stopped = new AbortController()
    let due = 0
    const running = retries.run(() => due++, stopped.signal)
    const run = () => engine.run([web, db], [service], never)
    await run()
    await run()
    expect(asked).toEqual(['web', 'db'])
    await clock.pass(1000)
    expect(due).toBe(1)
    await run()
    expect(asked).toEqual(['web', 'db', 'web'])
    await clock.pass(1000)
    expect(due).toBe(1)
    table['web'] = { nodes: [['/a', '1']] }
    await clock.pass(1000)
    expect(due).toBe(2)
    const wants = await run()
    expect(nodesOf(wants)).toEqual({ '/a': '1', '/d': '1' })
    expect(wants.troubles).toEqual([])
    await clock.pass(3_600_000)
    await run()
    expect([due, asked]).toEqual([2, ['web', 'db', 'web', 'web']])
    stopped.abort()
    await running
  })

  test('whoever was not asked for others got stuck is asked at once, before those, and told in one line', async () => {
    const { engine, clock, retries } = start()
    const { service, asked, table } = tablePolicy('p', {
      loop: { error: 'stuck' },
      web: { unasked: true },
      db: { unasked: true },
    })
    const stopped = new AbortController()
    const due: number[] = []
    const running = retries.run(() => due.push(clock.elapsed()), stopped.signal)
    const [began, all] = [clock.elapsed(), [instance('loop'), web, db]]
    const { troubles, isWhole } = await engine.run(all, [service], never)
    expect(isWhole).toBe(false)
    expect(troubles).toEqual([
      expect.stringContaining('container loop: stuck'),
      'policy p: not every container was asked yet, for others got stuck; their nodes stay as they were',
    ])
    await clock.pass(0)
    expect(due).toEqual([began])
    table['web'] = { nodes: [['/a', '1']] }
    table['db'] = { nodes: [] }
    const wants = await engine.run([...all, instance('new')], [service], never)
    expect(asked.slice(3)).toEqual(['new', 'web', 'db'])
    expect(nodesOf(wants)).toEqual({ '/a': '1' })
    expect(wants.troubles).toHaveLength(1)
    stopped.abort()
    await running
  })

  test('all is said only when every policy could say something of every container once', async () => {
    const { engine, clock } = start()
    const { service, table } = tablePolicy('p', { web: { error: 'broken' } })
    const isWhole = async (instances: Instance[]) => (await engine.run(instances, [service], never)).isWhole
    expect(await isWhole([db])).toBe(true)
    expect(await isWhole([web, db])).toBe(false)
    expect(await isWhole([db])).toBe(true)
    expect(await isWhole([web, db])).toBe(false)
    await clock.pass(2000)
    table['web'] = { nodes: [['/a', '1']] }
    expect(await isWhole([web, db])).toBe(true)
    table['web'] = { error: 'broken again' }
    expect(await isWhole([{ ...web }, db])).toBe(true)
  })

  test('a service that is held keeps its nodes until their containers go, and is asked when it is held no more', async () => {
    const { engine } = start()
    const { service, asked } = tablePolicy('p', { web: { nodes: [['/a', '1']] }, db: { nodes: [['/d', '1']] } })
    await engine.run([web, db], [service], never)
    const held: Service = { ...service, isHeld: true }
    const wants = await engine.run([{ ...web }, db, instance('new')], [held], never)
    expect([nodesOf(wants), wants.isWhole]).toEqual([{ '/a': '1', '/d': '1' }, false])
    expect(nodesOf(await engine.run([db], [held], never))).toEqual({ '/d': '1' })
    expect(asked).toEqual(['web', 'db'])
    expect(nodesOf(await engine.run([web, db], [service], never))).toEqual({ '/a': '1', '/d': '1' })
  })

  test('one that is gone takes its nodes along, and so does a service', async () => {
    const engine = start().engine
    const one = tablePolicy('one', { web: { nodes: [['/a', '1']] }, db: { nodes: [['/d', '1']] } })
    const two = tablePolicy('two', { web: { nodes: [['/b', '1']] } })
    await engine.run([web, db], [one.service, two.service], never)
    expect(nodesOf(await engine.run([web], [one.service, two.service], never))).toEqual({ '/a': '1', '/b': '1' })
    expect(nodesOf(await engine.run([web], [two.service], never))).toEqual({ '/b': '1' })
  })

  test('a service with another configuration keeps the old nodes of what it cannot say', async () => {
    const engine = start().engine
    const { service, table } = tablePolicy('p', { web: { nodes: [['/a', '1']] }, db: { nodes: [['/d', '1']] } })
    await engine.run([web, db], [service], never)
    table['web'] = { error: 'broken' }
    table['db'] = { nodes: [['/e', '1']] }
    const wants = await engine.run([web, db], [{ ...service, config: { x: 1 } }], never)
    expect(nodesOf(wants)).toEqual({ '/a': '1', '/e': '1' })
  })
})

describe('what policies want after any changes', () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd')
  const nodes = fc.dictionary(fc.constantFrom('/x', '/y', '/z'), fc.constantFrom('1', '2', '3'), {
    noNullPrototype: true,
  })
  const outcome = fc.oneof(nodes, fc.constant('error' as const))
  const world = fc
    .array(fc.record({ name, says: outcome }), { maxLength: 4 })
    .map((all) => new Map(all.map((one) => [one.name, one.says])))

  test('is what a fresh engine would want, and only what was touched has changed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(world, { minLength: 1, maxLength: 6 }), async (worlds) => {
        const engine = start().engine
        let known = new Map<string, Instance>()
        let good = new Map<string, Record<string, string>>()
        let before: Record<string, string> = {}
        for (const says of worlds) {
          const table: Record<string, Outcome> = {}
          for (const [one, said] of says)
            table[one] = said === 'error' ? { error: 'no' } : { nodes: Object.entries(said) }
          const { service } = tablePolicy('p', table)
          // Every container is another object each time, so that it is asked anew.
          known = new Map([...says.keys()].map((one) => [one, { ...(known.get(one) ?? instance(one)) }]))
          good = new Map([...says].map(([one, said]) => [one, said === 'error' ? (good.get(one) ?? {}) : said]))
          const wants = await engine.run([...known.values()], [{ ...service, policy: service.policy }], never)
          expect(nodesOf(wants)).toEqual(smallest([...good.values()]))
          const now = nodesOf(wants)
          for (const node of new Set([...Object.keys(before), ...Object.keys(now)]))
            if (before[node] !== now[node]) expect(wants.touched).toContain(node)
          expect(wants.troubles.filter((text) => text.includes('smallest'))).toHaveLength(disputed([...good.values()]))
          before = now
        }
      }),
    )
  })

  function smallest(all: readonly Record<string, string>[]): Record<string, string> {
    const result: Record<string, string> = {}
    for (const [node, value] of all.flatMap((one) => Object.entries(one)))
      if (result[node] === undefined || value < result[node]) result[node] = value
    return result
  }

  const disputed = (all: readonly Record<string, string>[]): number =>
    ['/x', '/y', '/z'].filter((node) => new Set(all.flatMap((one) => one[node] ?? [])).size > 1).length
})
