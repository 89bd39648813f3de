import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import type { Instance } from '../../../src/model/instance.js'
import type { ConsulRegistrySettings } from '../../../src/registries/consul.js'
import type { Registry, SyncResult } from '../../../src/registries/registry.js'
import { startConsul, type TestConsul } from '../../support/consul.js'
import { announce, checksOf, clear, consulRegistry, servicesOf, statusOf } from '../../support/consul-rig.js'
import { instance } from '../../support/instances.js'
import { describeWith } from '../../support/servers.js'
import { until } from '../../support/wait.js'

const LEASE_MS = 2000
const ENTRY = 'web-10-1-0-1-8080'

const web: Instance = {
  ...instance('web'),
  labels: { rancon: '' },
  ports: [{ port: 80, published: { address: '10.1.0.1', port: 8080 } }],
}

/** A registry that is looked after, as the app does it. */
interface Kept {
  readonly registry: Registry
  readonly disturbances: () => number
  /** Announces these instead, after what is under way: one call at a time. */
  announce(instances: readonly Instance[]): Promise<SyncResult>
  /** Ends it as a crash does: without a word. */
  end(): Promise<void>
}

describeWith(['consul'], 'the lease of what is announced in Consul', () => {
  let consul: TestConsul
  const kept: Kept[] = []
  beforeAll(async () => {
    consul = await startConsul()
  })
  afterAll(() => consul?.stop())
  beforeEach(() => clear(consul))
  afterEach(async () => {
    for (const one of kept.splice(0)) await one.end()
  })

  /** `sync` is called whenever it asks for that. */
  function keep(instances: readonly Instance[], over: Partial<ConsulRegistrySettings> = {}): Kept {
    const registry = consulRegistry(consul, { lease: LEASE_MS, ...over })
    const stopping = new AbortController()
    let disturbances = 0
    let turn: Promise<unknown> = Promise.resolve()
    const sync = () => {
      turn = turn.then(async () => {
        // As the app: again and again until it is well.
        while (!stopping.signal.aborted) {
          try {
            return await announce(registry, instances, { signal: stopping.signal })
          } catch {
            await new Promise((resolve) => setTimeout(resolve, 100))
          }
        }
        return undefined
      })
    }
    const running = registry.run?.(() => {
      disturbances++
      sync()
    }, stopping.signal)
    sync()
    const end = async () => {
      stopping.abort()
      await running
      await turn
      await registry.close?.()
    }
    const next = (others: readonly Instance[]) => {
      const result = turn.then(() => announce(registry, others))
      turn = result
      return result
    }
    const one = { registry, disturbances: () => disturbances, announce: next, end }
    kept.push(one)
    return one
  }

  const entry = () => until('it is announced', async () => (await servicesOf(consul))[ENTRY])
  const status = (wanted: string) => until(`it is ${wanted}`, async () => (await statusOf(consul, ENTRY)) === wanted)

  test('is refreshed while its process lives', async () => {
    keep([web])
    await entry()
    const until_ = performance.now() + 2 * LEASE_MS
    while (performance.now() < until_) {
      expect(await statusOf(consul, ENTRY)).toBe('passing')
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  })

  test('ends when its process does: within that time everything is critical, and healthy again when it comes back', async () => {
    const first = keep([web])
    await entry()
    await status('passing')
    await first.end()
    expect(await statusOf(consul, ENTRY)).toBe('passing')
    await until('it is critical', async () => (await statusOf(consul, ENTRY)) === 'critical', LEASE_MS + 2000)
    keep([web])
    await status('passing')
  })

  test('is one heartbeat, which every entry follows', async () => {
    keep([web])
    await entry()
    const [follows] = await checksOf(consul, ENTRY)
    expect(follows).toMatchObject({ CheckID: `${ENTRY}:announcer`, Type: 'alias' })
    expect(Object.keys(await servicesOf(consul)).sort()).toEqual(['hostler-host-a-default', ENTRY])
  })

  test('does not end with a short absence of the agent', async () => {
    keep([web])
    await entry()
    await consul.kill()
    await consul.resume('kept')
    await status('passing')
    expect(Object.keys(await servicesOf(consul)).sort()).toEqual(['hostler-host-a-default', ENTRY])
  })

  test('begins anew when the agent has lost its state', async () => {
    const { disturbances } = keep([web])
    await entry()
    expect(disturbances()).toBe(0)
    await consul.kill()
    await consul.resume('lost')
    await until('it is announced again', async () => (await servicesOf(consul))[ENTRY], 5000)
    await status('passing')
    expect(disturbances()).toBeGreaterThan(0)
  })

  test('that begins anew takes no traffic from what was checked and well', async () => {
    const port = consul.port
    const here = { ports: [{ port, published: { address: '127.0.0.1', port } }], networks: [] }
    const labels = { rancon: '', 'rancon.check.http': '/v1/status/leader', 'rancon.check.interval': '10m' }
    const one = { ...web, ...here, labels }
    const id = `web-127-0-0-1-${port}`
    const { announce: announceNow } = keep([one], { hostAddress: '127.0.0.1' })
    // Consul lists it before it has answered; cut off then, nobody would know that it had been announced.
    expect(await announceNow([one])).toMatchObject({ entries: 1, written: 0 })
    expect(await statusOf(consul, id)).toBe('critical')
    await consul.kill()
    await consul.resume('lost')
    await until('it is announced again', async () => (await servicesOf(consul))[id])
    expect(await statusOf(consul, id)).toBe('passing')
  })

  test('begins anew when somebody takes away what it rests on, long before it would be refreshed', async () => {
    keep([web], { lease: 60_000 })
    await entry()
    await consul.call('PUT', '/v1/agent/service/deregister/hostler-host-a-default')
    await until('it is there again', async () => (await servicesOf(consul))['hostler-host-a-default'])
    await status('passing')
  })

  test('is known after a rename: what the old name left goes, once that is over', async () => {
    const old = keep([web], { announcer: 'old-name', idSchema: '%NAME%-%ANNOUNCER%' })
    await until('it is announced', async () => (await servicesOf(consul))['web-old-name'])
    await old.end()
    const renamed = keep([web], { announcer: 'new-name', idSchema: '%NAME%-%ANNOUNCER%' })
    await until('it is announced', async () => (await servicesOf(consul))['web-new-name'])
    await until(
      'the old heart has stopped',
      async () => (await statusOf(consul, 'hostler-old-name-default')) === 'critical',
    )
    await renamed.announce([web])
    expect(Object.keys(await servicesOf(consul)).sort()).toEqual([
      'hostler-new-name-default',
      'hostler-old-name-default',
      'web-new-name',
    ])
  })

  test('keeps two processes that share an agent apart', async () => {
    const schema = { idSchema: '%NAME%-%ANNOUNCER%' }
    const [a, b] = [keep([web], schema), keep([web], { ...schema, announcer: 'host-b' })]
    await until('both are there', async () => {
      const ids = Object.keys(await servicesOf(consul))
      return ids.includes('web-host-a') && ids.includes('web-host-b')
    })
    expect(await a.announce([web])).toMatchObject({ entries: 1, removed: 0 })
    expect(await b.announce([])).toMatchObject({ entries: 0, removed: 1 })
    expect(Object.keys(await servicesOf(consul))).toContain('web-host-a')
  })

  test('of another process that ends takes nothing away: it gets no traffic, and is the same when that one comes back', async () => {
    const schema = { idSchema: '%NAME%-%ANNOUNCER%' }
    const other = keep([{ ...web, id: 'other' }], { ...schema, announcer: 'host-b' })
    await until('it is announced', async () => (await servicesOf(consul))['web-host-b'])
    await other.end()
    await until('it is critical', async () => (await statusOf(consul, 'web-host-b')) === 'critical')
    const { registry } = keep([web], schema)
    await until('it has looked', async () => (await servicesOf(consul))['web-host-a'])
    expect(await announce(registry, [web])).toMatchObject({ entries: 1, removed: 0 })
    // What it had has come to us.
    expect(await announce(registry, [web, { ...web, id: 'other', name: 'moved' }])).toMatchObject({ removed: 1 })
    expect(Object.keys(await servicesOf(consul))).not.toContain('web-host-b')
  })

  test('that ends while the agent is away is no sign of death: who looks first leaves what others have there', async () => {
    const away = 3000
    const other = keep([web], { announcer: 'host-b', lease: away })
    await entry()
    await other.end()
    await consul.kill()
    await new Promise((resolve) => setTimeout(resolve, away + 500))
    await consul.resume('kept')
    expect(await statusOf(consul, ENTRY)).toBe('critical')
    const { registry } = keep([])
    expect(await announce(registry, [])).toMatchObject({ removed: 0 })
    expect((await announce(registry, [web])).troubles[0]).toContain(`the id ${ENTRY} is taken by host-b`)
    // From now on it is one.
    await until('it is taken over', async () => (await announce(registry, [web])).entries === 1, away + 5000)
  })

  test('that ends while its process is cut off is noticed: others may have cleared up after it', async () => {
    const { disturbances } = keep([web])
    await entry()
    await consul.pause()
    await new Promise((resolve) => setTimeout(resolve, LEASE_MS * 1.5))
    consul.unpause()
    await until('it looks again', () => disturbances() > 0)
  })

  test('ends with the process that is told to take everything back', async () => {
    const { registry, end } = keep([web])
    await entry()
    await end()
    const again = consulRegistry(consul, { lease: LEASE_MS })
    await again.withdraw?.(new AbortController().signal)
    await again.close?.()
    expect(registry.name).toBe('consul')
    expect(await servicesOf(consul)).toEqual({})
  })

  test('of two processes under one name is told to both, and to neither when one has ended', async () => {
    const [one, other] = [keep([web]), keep([])]
    const told = (kept: Kept) =>
      until('it is told', async () =>
        /another process announces at .* as host-a too/.test((await kept.announce([])).troubles.join()),
      )
    await told(one)
    await told(other)
    await other.end()
    await until('it is alone', async () => (await one.announce([web])).troubles.length === 0, 5 * LEASE_MS)
  })

  test('of a process that was stopped and started again is no other process', async () => {
    const before = keep([web], { lease: 60_000 })
    await entry()
    await before.end()
    const after = keep([web], { lease: 60_000 })
    expect((await after.announce([web])).troubles).toEqual([])
  })

  test('that lasts keeps a single pass of the same name from taking anything away', async () => {
    keep([web], { lease: 60_000 })
    await entry()
    const pass = consulRegistry(consul, { lease: 0 })
    await expect(announce(pass, [])).rejects.toMatchObject({
      code: 'CONSUL_SHARED',
      message: expect.stringContaining('give this one a cleanup id of its own'),
    })
    await pass.close?.()
    const own = consulRegistry(consul, { lease: 0, cleanupId: 'by-hand' })
    expect(await announce(own, [])).toMatchObject({ removed: 0, troubles: [] })
    await own.close?.()
    expect(await servicesOf(consul)).toHaveProperty([ENTRY])
  })
})
