import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Instance } from '../../../../src/model/instance.js'
import { createChangePlanner } from '../../../../src/proxies/haproxy/runtime/planner.js'
import { NOTHING_SINCE_LOAD, type SpareState, stackOf } from '../../../../src/proxies/haproxy/runtime/spares.js'
import type { ConfigImage } from '../../../../src/proxies/haproxy/runtime/types.js'
import { instance } from '../../../support/instances.js'
import { ModelHaproxy, type ModelRequest } from './haproxy-model.js'
import { createRenderer, ROLES } from './rendered.js'

const VERSIONS = {
  '2.6': { major: 2, minor: 6 },
  '3.0': { major: 3, minor: 0 },
  '3.4': { major: 3, minor: 4 },
}

/** One container as a draw of it; its place in the list is its identity. */
const container = fc.option(
  fc.record({
    stack: fc.constantFrom('shop', 'blog', 'app-r1', 'app-r2', 'app-r3'),
    address: fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3', 'fd00::1'),
    weight: fc.constantFrom('', '', '', '5'),
    maxconn: fc.constantFrom('', '', '', '', '', '50'),
    path: fc.constantFrom('', '', '', '', '/api'),
    cookie: fc.constantFrom('', '', '', '', '', '', 'v=2'),
    host: fc.constantFrom('', '', '', '*.ci.example.com', 'www.example.com'),
    sticky: fc.constantFrom('', '', '', '', '', '', '', 'true'),
    paused: fc.constantFrom(false, false, false, false, true),
  }),
  { freq: 3 },
)
interface Container {
  readonly stack: string
  readonly address: string
  readonly paused: boolean
  readonly [label: string]: string | boolean
}

const toInstances = (containers: readonly (Container | null)[]): Instance[] =>
  containers.flatMap((one, index) => {
    if (one === null) return []
    const { stack, address, paused, ...labels } = one
    const set = Object.entries({ ...labels, stack })
      .map(([label, value]): [string, string] => [label, String(value)])
      .filter(([, value]) => value !== '')
    return [
      instance(`c${index}`, Object.fromEntries([['port', '80'], ...set]), {
        createdAt: 1000 * index,
        networks: [{ name: 'web', address, shared: true }],
        ports: [{ port: 80 }],
        state: paused ? 'paused' : 'running',
      }),
    ]
  })

const PROBES: ModelRequest[] = [
  ...['shop', 'blog', 'app-r1', 'app-r2', 'app-r3'].map((stack) => `${stack}.ci.example.com`),
  'www.example.com',
  'other.ci.example.com',
].flatMap((host) =>
  ['/', '/api', '/apix'].flatMap((path) => [undefined, 'v=2'].map((cookie) => ({ host, path, cookie }))),
)

/** What everybody would get, with the backends' names as the files have them. */
function answers(model: ModelHaproxy, spares: SpareState) {
  return PROBES.map((probe) => {
    const { backend, servers } = model.answer(probe)
    return { probe, backend: backend === undefined ? undefined : stackOf(backend, spares), servers }
  })
}

/** Moves the model as the driver would, and checks on the way. @returns how */
function move(
  model: ModelHaproxy,
  planChange: ReturnType<typeof createChangePlanner>,
  now: { loaded: ConfigImage; spares: SpareState },
  wanted: ConfigImage,
) {
  const inputs = () => ({ loaded: now.loaded, wanted, running: model.running(), files: ROLES, spares: now.spares })
  const fresh = new ModelHaproxy(ROLES, model.version).load(wanted)
  const { plan, spares } = planChange(inputs())
  if ('reload' in plan) {
    model.load(wanted)
    now.loaded = wanted
    now.spares = NOTHING_SINCE_LOAD
  } else {
    const served = (one: ModelHaproxy) => PROBES.filter((probe) => one.answer(probe).servers.size > 0)
    const before = new Set(served(model))
    const always = served(fresh).filter((probe) => before.has(probe))
    for (const step of plan.steps) {
      model.execute(step)
      for (const probe of always) {
        if (model.answer(probe).servers.size === 0) throw new Error(`unserved ${JSON.stringify({ probe, step, plan })}`)
      }
    }
    now.spares = spares
  }
  expect(answers(model, now.spares)).toEqual(answers(fresh, NOTHING_SINCE_LOAD))
  expect(model.frame).toBe(fresh.frame)
  // One that was added at run time is removed when its last server has gone, which a plan sees only afterwards.
  for (let again = 0; again < 2; again++) {
    const next = planChange(inputs())
    if (!('steps' in next.plan)) throw new Error(next.plan.reload)
    const late = next.plan.steps.filter(({ kind }) => kind === 'remove-backend' && again === 0)
    expect(next.plan.steps).toEqual(late)
    for (const step of late) model.execute(step)
    now.spares = next.spares
  }
  return 'reload' in plan ? 'reload' : plan.steps.length === 0 ? 'nothing' : 'runtime'
}

const drift = fc.constantFrom(
  'none',
  'server gone',
  'stray entry',
  'wrong entry',
  'entry gone',
  'weight',
  'address',
  'maintenance',
  'stray server',
)

/** Changes what HAProxy has behind our back. */
function disturb(model: ModelHaproxy, kind: string, seed: number): void {
  const pick = <T>(items: readonly T[]): T | undefined => items[seed % Math.max(1, items.length)]
  const domains = model.maps.get('/h/domain.map')!
  const backend = pick([...model.backends.values()].filter(({ servers }) => servers.size > 0))
  const server = backend && pick([...backend.servers.keys()])
  const target = backend?.servers.get(server ?? '')
  const key = pick([...domains.keys()])
  if (kind === 'stray entry') domains.set('stray.test', pick([...model.backends.keys()])!)
  if (kind === 'wrong entry' && key) domains.set(key, pick([...model.backends.keys()])!)
  if (kind === 'entry gone' && key) domains.delete(key)
  if (kind === 'stray server') pick([...model.backends.values()])!.servers.set('stray', strayServer)
  if (!backend || !target) return
  if (kind === 'server gone') backend.servers.delete(server!)
  if (kind === 'weight') target.weight = 7
  if (kind === 'address') target.address = '10.9.9.9'
  if (kind === 'maintenance') target.maintenance = true
}

const strayServer = { address: '10.8.8.8', port: 1, weight: 1, maintenance: false, drain: false, options: '' }

describe('moving a running HAProxy', () => {
  for (const [name, version] of Object.entries(VERSIONS)) {
    test(`steps on ${name} end where a load would, leave no request unserved on the way, and are then done`, () => {
      const counts = { reload: 0, nothing: 0, runtime: 0 }
      const lists = fc.array(fc.array(container, { minLength: 6, maxLength: 6 }), { minLength: 2, maxLength: 5 })
      fc.assert(
        fc.property(lists, fc.array(drift), fc.nat(1000), (states, drifts, seed) => {
          const render = createRenderer(3)
          const planChange = createChangePlanner()
          const images = states.map((state) => render(toInstances(state)))
          const now = { loaded: images[0]!, spares: NOTHING_SINCE_LOAD }
          const model = new ModelHaproxy(ROLES, version).load(images[0]!)
          images.forEach((image, index) => {
            disturb(model, drifts[index] ?? 'none', seed + index)
            counts[move(model, planChange, now, image)]++
          })
        }),
        { numRuns: 80 },
      )
      expect(counts.runtime).toBeGreaterThan(40)
    })
  }

  test('small changes are made without a reload', () => {
    const counts = { reload: 0, nothing: 0, runtime: 0 }
    const plain = fc.record({
      stack: fc.constantFrom('shop', 'blog', 'app-r1', 'app-r2', 'app-r3'),
      address: fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3'),
      weight: fc.constantFrom('', '', '5'),
    })
    const blank = { maxconn: '', path: '', cookie: '', host: '', sticky: '', paused: false }
    const states = fc.array(fc.array(fc.option(plain), { minLength: 5, maxLength: 5 }), { minLength: 2, maxLength: 8 })
    fc.assert(
      fc.property(states, (drawn) => {
        const render = createRenderer(10)
        const planChange = createChangePlanner()
        const images = drawn.map((state) => render(toInstances(state.map((one) => one && { ...blank, ...one }))))
        const now = { loaded: images[0]!, spares: NOTHING_SINCE_LOAD }
        const model = new ModelHaproxy(ROLES, VERSIONS['2.6']).load(images[0]!)
        for (const image of images) counts[move(model, planChange, now, image)]++
      }),
      { numRuns: 60 },
    )
    expect(counts.reload).toBe(0)
  })
})
