import { existsSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import type { RunningHostler } from '../support/hostler.js'
import { freePort } from '../support/ports.js'
import { createRig, type Rig } from '../support/rig.js'
import { describeWith } from '../support/servers.js'
import { startUpstream, type Upstream } from '../support/upstreams.js'
import { until } from '../support/wait.js'

const PACKAGED = fileURLToPath(new URL('../../templates/haproxy/_backend.hbs', import.meta.url))
const BACKEND = readFileSync(PACKAGED, 'utf8')
const GOOD = 'good.ci.example.com'
const BAD = 'bad.ci.example.com'

describeWith(['haproxy'], 'what HAProxy or a template refuses', () => {
  let rig: Rig
  let hostler: RunningHostler
  let app: Upstream

  const stacks = (...names: string[]) =>
    rig.stacks(names.map((name) => ({ name, stack: name, labels: { port: app.port } })))
  const proxy = async () => (await hostler.state()).proxies[0]
  const status = async (host: string) => (await rig.ask(host)).status
  const untilServed = (host: string) => until(`${host} is served`, async () => (await status(host)) === 200)

  async function start(template?: { name: string; text: string }, ...names: string[]): Promise<void> {
    rig.write('templates/haproxy/.keep', '')
    if (template) rig.write(`templates/haproxy/${template.name}`, template.text)
    stacks(...names)
    hostler = await rig.start()
  }

  beforeEach(async () => {
    rig = await createRig()
    Object.assign(rig.env, { HOSTLER_TEMPLATES: rig.path('templates') })
    app = await startUpstream('app')
    rig.keep(app)
  })
  afterEach(() => rig?.close())

  test('one backend that HAProxy refuses is left out and named; the rest goes on; mended, it is there at once', async () => {
    const broken = `${BACKEND}{{#if (eq name "bad")}}\n  nonsense here\n{{/if}}\n`
    await start({ name: '_backend.hbs', text: broken }, 'good', 'bad')
    expect([await status(GOOD), await status(BAD)]).toEqual([200, 404])
    const [refused] = (await proxy())?.refused ?? []
    expect(refused).toMatchObject({ backend: 'bad', reason: expect.stringContaining("unknown keyword 'nonsense'") })
    expect(rig.read('out/haproxy-backends.cfg')).not.toContain('bad')
    expect(rig.read('out/domain.map')).toBe(`${GOOD} good\n`)
    stacks('good', 'bad', 'more')
    await untilServed('more.ci.example.com')
    rig.write('templates/haproxy/_backend.hbs', BACKEND)
    await untilServed(BAD)
    await until('nothing is refused', async () => (await proxy())?.refused.length === 0)
    rig.write('templates/haproxy/_backend.hbs', broken)
    await until('it is left out again', async () => (await status(BAD)) === 404)
    expect(await status(GOOD)).toBe(200)
  })

  test('a template that asks for an unknown field keeps the last good output, and says where and what is meant', async () => {
    await start(undefined, 'good')
    const before = rig.read('out/haproxy-backends.cfg')
    rig.write('templates/haproxy/_backend.hbs', BACKEND.replace('{{name}}\n', '{{nmae}}\n'))
    const told = await until('it is told', async () => {
      const { status, body } = await hostler.get('/readyz')
      return status === 503 && body
    })
    expect(told).toContain('template _backend.hbs line 1: no field is called \\"nmae\\" here. Did you mean name?')
    stacks('good', 'late')
    await until('the route is planned', async () => (await hostler.state()).plan.routes.length === 2)
    expect([await status(GOOD), await status('late.ci.example.com')]).toEqual([200, 404])
    expect(rig.read('out/haproxy-backends.cfg')).toBe(before)
    rmSync(rig.path('templates/haproxy/_backend.hbs'))
    await untilServed('late.ci.example.com')
    await hostler.ready()
  })

  test('a reload that fails though the check passed takes the files back, is told, and succeeds later', async () => {
    await start(undefined, 'good')
    const before = rig.read('out/haproxy-backends.cfg')
    const port = await freePort()
    const other = createServer((socket) => socket.destroy())
    await new Promise<void>((resolve) => other.listen(port, '127.0.0.1', resolve))
    try {
      rig.write(
        'templates/haproxy/more.cfg.hbs',
        `frontend more\n  bind 127.0.0.1:${port}\n  default_backend be_sorry\n`,
      )
      stacks('good', 'late')
      await until('it is told', async () => /cannot bind/i.test((await proxy())?.error ?? ''))
      expect((await hostler.get('/readyz')).status).toBe(503)
      // A load that fails resets the connections that its sockets had been given: it is tried again all the time here.
      const served = async () => [await status(GOOD), await status('late.ci.example.com')].join()
      await until('the old configuration serves', async () => (await served()) === '200,404')
      const isTakenBack = () => rig.read('out/haproxy-backends.cfg') === before && !existsSync(rig.path('out/more.cfg'))
      await until('the files are taken back', isTakenBack)
    } finally {
      await new Promise((resolve) => other.close(resolve))
    }
    await untilServed('late.ci.example.com')
    await hostler.ready()
    expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(404)
    expect((await proxy())?.failures).toBeLessThan(10)
  })
})
