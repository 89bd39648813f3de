import { readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { systemClock } from '../../../../src/lib/clock.js'
import { silentLogger } from '../../../../src/lib/logger.js'
import type { Instance } from '../../../../src/model/instance.js'
import { createExecutor, type Executor } from '../../../../src/proxies/haproxy/runtime/executor.js'
import { createChangePlanner } from '../../../../src/proxies/haproxy/runtime/planner.js'
import { createQuestions } from '../../../../src/proxies/haproxy/runtime/questions.js'
import { NOTHING_SINCE_LOAD, type SpareState } from '../../../../src/proxies/haproxy/runtime/spares.js'
import { readRunning } from '../../../../src/proxies/haproxy/runtime/state.js'
import type { ConfigImage } from '../../../../src/proxies/haproxy/runtime/types.js'
import { describeHaproxys } from '../../../support/haproxy-bins.js'
import { type HaproxyWorker, startHaproxy } from '../../../support/haproxy-worker.js'
import { instance } from '../../../support/instances.js'
import { startUpstream, type Upstream } from '../../../support/upstreams.js'
import { createRenderer } from './rendered.js'

const ROLES = { configs: ['haproxy.cfg'], maps: ['domain.map', 'path.map', 'cookie.map'], lists: [], certificates: [] }

const SECTIONS = ['haproxy-frontends.cfg', 'haproxy-backends.cfg']
const others = (image: ConfigImage) => [...image].filter(([name]) => !name.endsWith('.cfg'))

describeHaproxys([], 'planned changes', ({ bin }) => {
  const stopping = new AbortController()
  const { signal } = stopping
  const planChange = createChangePlanner()
  const questionsFor = createQuestions({})
  let upstreams: Upstream[] = []
  let haproxy: HaproxyWorker
  let executor: Executor
  let head = ''
  let loaded: ConfigImage = new Map()
  let spares: SpareState = NOTHING_SINCE_LOAD

  /** The files with every section in one configuration, as the worker's folder has it. */
  const render = (instances: readonly Instance[], port = haproxy.port): ConfigImage => {
    const image = createRenderer(4, { root: '', bind: '127.0.0.1', port })(instances)
    const sections = SECTIONS.map((name) => image.get(name) ?? '')
    return new Map([...others(image), ['haproxy.cfg', head + sections.join('\n')]])
  }

  /** One container of a stack behind an upstream. */
  const container = (stack: string, upstream: number, labels: Record<string, string> = {}) =>
    instance(
      `${stack}-${upstream}`,
      { port: String(upstreams[upstream]!.port), stack, ...labels },
      {
        networks: [{ name: 'web', address: '127.0.0.1', shared: true }],
      },
    )

  async function plan(wanted: ConfigImage) {
    const running = await readRunning(haproxy.socket, questionsFor(loaded, ROLES), signal)
    const leaving = new Set(executor.describe().map(({ backend, server }) => `${backend}/${server}`))
    return planChange({ loaded, wanted, running, files: ROLES, spares, leaving })
  }

  /** @returns how; afterwards there is nothing left to do */
  async function move(wanted: ConfigImage): Promise<string> {
    const change = await plan(wanted)
    if ('reload' in change.plan) {
      for (const [name, text] of wanted) writeFileSync(join(haproxy.dir, name), text)
      await haproxy.reload()
      loaded = wanted
      spares = NOTHING_SINCE_LOAD
    } else {
      await executor.run(change.plan.steps, signal)
      spares = change.spares
    }
    const again = await plan(wanted)
    if ('reload' in again.plan) throw new Error(again.plan.reload)
    for (const step of again.plan.steps) if (step.kind !== 'remove-backend') throw new Error(JSON.stringify(step))
    await executor.run(again.plan.steps, signal)
    spares = again.spares
    return 'reload' in change.plan ? change.plan.reload : 'runtime'
  }

  const ask = (host: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const sent = request({ host: '127.0.0.1', port: haproxy.port, headers: { host }, agent: false }, (response) => {
        let body = ''
        response.on('data', (chunk) => {
          body += chunk
        })
        response.on('end', () =>
          resolve(response.statusCode === 200 ? JSON.parse(body).app : String(response.statusCode)),
        )
      })
      sent.on('error', reject).end()
    })

  beforeAll(async () => {
    upstreams = await Promise.all(['zero', 'one', 'two'].map(startUpstream))
    const files = others(createRenderer(0, { root: '' })([]))
    haproxy = await startHaproxy({ bin, config: '# ours\n', files: Object.fromEntries(files), signal })
    executor = createExecutor({ socket: haproxy.socket, clock: systemClock, log: silentLogger(), signal })
    head = readFileSync(join(haproxy.dir, 'haproxy.cfg'), 'utf8')
    loaded = new Map([...files, ['haproxy.cfg', head]])
  })
  afterAll(async () => {
    stopping.abort()
    await haproxy?.stop()
    await Promise.all(upstreams.map((upstream) => upstream.close()))
  })

  test('stacks come, scale, move and go without a reload, and each answers at its host', async () => {
    expect(await move(render([container('shop', 0)]))).toBe('frontend hostler is new')
    const steps: [instances: Instance[], answers: Record<string, string>][] = [
      [[container('shop', 0), container('blog', 1)], { shop: 'zero', blog: 'one' }],
      [[container('shop', 0), container('blog', 1), container('wiki', 2)], { shop: 'zero', blog: 'one', wiki: 'two' }],
      [[container('blog', 2), container('wiki', 2, { weight: '5' })], { shop: '404', blog: 'two', wiki: 'two' }],
      [[container('shop', 1), container('wiki', 0)], { shop: 'one', blog: '404', wiki: 'zero' }],
      [[container('shop', 1), container('next', 2, { path: '/' })], { shop: 'one', next: 'two', wiki: '404' }],
      [[], { shop: '404', next: '404' }],
      [[container('blog', 0), container('shop', 0)], { shop: 'zero', blog: 'zero' }],
    ]
    for (const [instances, answers] of steps) {
      expect(await move(render(instances))).toBe('runtime')
      for (const [stack, app] of Object.entries(answers)) {
        expect([stack, await ask(`${stack}.ci.example.com`)]).toEqual([stack, app])
      }
    }
  })

  test('what takes a reload is the same afterwards, and drift is repaired', async () => {
    const wanted = render([container('shop', 0, { sticky: 'true' }), container('blog', 1)])
    expect(await move(wanted)).toMatch(/^backend shop has changed/)
    expect(await ask('shop.ci.example.com')).toBe('zero')
    await haproxy.ask('del map domain.map blog.ci.example.com')
    await haproxy.ask('add map domain.map stray.test shop')
    await haproxy.ask('set server blog/blog-1 state maint')
    await haproxy.ask('set server shop/shop-0 weight 7')
    expect(await move(wanted)).toBe('runtime')
    expect(await ask('blog.ci.example.com')).toBe('one')
    expect(await ask('stray.test')).toBe('404')
  })
})
