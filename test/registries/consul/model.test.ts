import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Instance } from '../../../src/model/instance.js'
import { startConsul, type TestConsul } from '../../support/consul.js'
import { announce, checksOf, clear, consulRegistry, servicesOf } from '../../support/consul-rig.js'
import { instance } from '../../support/instances.js'
import { describeWith } from '../../support/servers.js'

/** What a container may be at any time. */
interface Kind {
  readonly present: boolean
  readonly name: string
  readonly tag: string
  readonly ports: readonly number[]
  readonly state: 'running' | 'paused' | 'stopped'
  readonly draining: boolean
}

const kind: fc.Arbitrary<Kind> = fc.record({
  present: fc.constantFrom(true, true, true, false),
  name: fc.constantFrom('web', 'web', 'web', 'api', 'db'),
  tag: fc.constantFrom('', 'a', 'b,c'),
  ports: fc.uniqueArray(fc.constantFrom(80, 81, 82), { minLength: 1, maxLength: 3 }),
  state: fc.constantFrom('running', 'running', 'paused', 'stopped'),
  draining: fc.boolean(),
})

const containers = ['one', 'two', 'three', 'four']
const step = fc.tuple(...containers.map(() => kind))

const toInstance = ({ name, tag, ports, state }: Kind, at: number): Instance => ({
  ...instance(containers[at] ?? ''),
  createdAt: 0,
  state,
  labels: { 'rancon.name': name, ...(tag !== '' && { 'rancon.tag': tag }) },
  ports: [...ports].sort().map((port) => ({ port, published: { address: `10.0.0.${at + 1}`, port } })),
})

/** The rule in its plainest form: what is there, and what of it is in maintenance. */
class Model {
  private there = new Map<string, string>()

  move(kinds: readonly Kind[]): void {
    const next = new Map<string, string>()
    for (const [at, one] of kinds.entries()) {
      if (!one.present || one.state === 'stopped') continue
      for (const port of one.ports) {
        const id = `${one.name}-10-0-0-${at + 1}-${port}`
        const isOut = one.draining || one.state !== 'running'
        if (isOut && !this.there.has(id)) continue
        const tags = [...(one.tag === '' ? [] : one.tag.split(',')), 'rancon', 'rancon-cleanup-id-default']
        next.set(id, `${one.name} 10.0.0.${at + 1}:${port} ${tags.join()} ${isOut ? 'out' : 'in'}`)
      }
    }
    this.there = next
  }

  entries(): [string, string][] {
    return [...this.there].sort()
  }
}

describeWith(['consul'], 'what is in Consul after any changes', () => {
  let consul: TestConsul
  beforeAll(async () => {
    consul = await startConsul()
  })
  afterAll(() => consul?.stop())

  async function entries(): Promise<[string, string][]> {
    const services = Object.values(await servicesOf(consul))
    const all = services.map(async ({ ID, Service, Address, Port, Tags }): Promise<[string, string]> => {
      const isOut = (await checksOf(consul, ID)).length > 0
      return [ID, `${Service} ${Address}:${Port} ${Tags.join()} ${isOut ? 'out' : 'in'}`]
    })
    return (await Promise.all(all)).sort()
  }

  test('is what a model of the rules says, and is written only once', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 6, size: 'max' }),
        fc.boolean(),
        async (steps, restarts) => {
          await clear(consul)
          const model = new Model()
          let registry = consulRegistry(consul)
          try {
            for (const kinds of steps) {
              if (restarts) {
                await registry.close?.()
                registry = consulRegistry(consul)
              }
              const instances = kinds.map(toInstance)
              const present = instances.filter((_, at) => kinds[at]?.present)
              const draining = instances.filter((_, at) => kinds[at]?.draining)
              await announce(registry, present, { draining })
              model.move(kinds)
              expect(await entries()).toEqual(model.entries())
              expect(await announce(registry, present, { draining })).toMatchObject({ written: 0, removed: 0 })
            }
          } finally {
            await registry.close?.()
          }
        },
      ),
      { numRuns: 40 },
    )
  })
})
