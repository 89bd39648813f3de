import { mkdirSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { RunningHostler } from '../support/hostler.js'
import { operatorConfig } from '../support/operator-config.js'
import { makePem, servedSerial } from '../support/pem.js'
import { createRig, type Rig } from '../support/rig.js'
import { describeWith } from '../support/servers.js'
import { startUpstream, type Upstream } from '../support/upstreams.js'
import { until } from '../support/wait.js'

const HOST = 'app.ci.example.com'

describeWith(['haproxy', 'openssl'], "the operator's own haproxy.cfg", () => {
  let rig: Rig
  let hostler: RunningHostler
  let app: Upstream
  let other: Upstream

  const config = (more: { sorry?: string; lines?: string } = {}) =>
    operatorConfig({
      http: rig.ports.http,
      map: rig.path('out/domain.map'),
      https: { port: rig.ports.https, certificate: rig.path('own-certs') },
      ...(more.sorry !== undefined && { sorry: more.sorry }),
      more: `    errorfile 503 ${rig.path('own-503.http')}\n${more.lines ?? ''}`,
    })
  const unavailable = (text: string) => `HTTP/1.0 503 Service Unavailable\r\nContent-Type: text/plain\r\n\r\n${text}\n`
  const readyz = async () => (await hostler.get('/readyz')).body

  const stacks = (...more: string[]) =>
    rig.stacks([
      { name: 'app', stack: 'app', labels: { port: app.port } },
      { name: 'asleep', stack: 'asleep', state: 'paused', labels: { port: 1 } },
      ...more.map((name) => ({ name, stack: name, labels: { port: other.port } })),
    ])

  beforeAll(async () => {
    // Ours would bind other ports than theirs.
    rig = await createRig({ HOSTLER_HTTP_PORT: '1', HOSTLER_HTTPS_PORT: '2' })
    ;[app, other] = [await startUpstream('app'), await startUpstream('other')]
    rig.keep(app, other)
    mkdirSync(rig.path('own-certs'))
    rig.write('own-certs/site.pem', (await makePem(HOST)).both)
    rig.write('own-503.http', unavailable('first words'))
    rig.write('haproxy.cfg', config({ sorry: 'theirs' }))
    stacks()
    hostler = await rig.start()
  })
  afterAll(() => rig?.close())

  test('is used as it stands, with its own page for unknown hosts, and ours are left out', async () => {
    expect((await rig.ask(HOST)).echo?.app).toBe('app')
    expect((await rig.ask(HOST, '/', { tls: true })).echo?.headers['x-forwarded-proto']).toBe('https')
    expect(await rig.ask('nobody.example.com')).toMatchObject({ status: 410, body: 'theirs' })
    expect(rig.read('out/haproxy-frontends.cfg')).not.toMatch(/^frontend/m)
    expect(rig.read('out/haproxy-backends.cfg')).not.toContain('backend be_sorry')
    expect(rig.read('haproxy.cfg')).toBe(config({ sorry: 'theirs' }))
  })

  test('routes follow there too', async () => {
    stacks('app-r2')
    await rig.untilServedBy('other', 'app-r2.ci.example.com')
    stacks()
    await until('it is gone', async () => (await rig.ask('app-r2.ci.example.com')).status === 410)
  })

  test('an edit is checked and loaded', async () => {
    rig.write('haproxy.cfg', config({ sorry: 'theirs', lines: '    http-response set-header X-Edit one\n' }))
    await until('the edit is in force', async () => (await rig.ask(HOST)).headers['x-edit'] === 'one')
  })

  test('a broken edit keeps the old one running and is told; what follows waits until it is mended', async () => {
    rig.write('haproxy.cfg', config({ sorry: 'theirs', lines: '    nonsense here\n' }))
    await until('it is told', async () => (await readyz()).includes('nonsense'))
    expect((await hostler.get('/readyz')).status).toBe(503)
    expect(await readyz()).toContain('haproxy.cfg:')
    const { stdout } = await rig.run(['status'], { HOSTLER_PRIVATE_LISTEN: listenOf(hostler) })
    expect(stdout).toContain('nonsense')
    stacks('app-r3')
    await until('the route is planned', async () => (await hostler.state()).plan.routes.length === 3)
    expect((await rig.ask(HOST)).headers['x-edit']).toBe('one')
    expect((await rig.ask('app-r3.ci.example.com')).status).toBe(410)
    rig.write('haproxy.cfg', config({ sorry: 'theirs', lines: '    http-response set-header X-Edit two\n' }))
    await rig.untilServedBy('other', 'app-r3.ci.example.com')
    await hostler.ready()
    expect((await rig.ask(HOST)).headers['x-edit']).toBe('two')
  })

  test('an edited error file is loaded', async () => {
    const page = async () => (await rig.ask('asleep.ci.example.com')).body.trim()
    expect(await page()).toBe('first words')
    rig.write('own-503.http', unavailable('second words'))
    await until('the new words are there', async () => (await page()) === 'second words')
  })

  test('a certificate that is renewed, or new, in a folder that it names is served', async () => {
    const [renewed, added] = await Promise.all([makePem(HOST), makePem('new.example.com')])
    rig.write('own-certs/site.pem', renewed.both)
    await until('it is served', async () => (await servedSerial(rig.ports.https, HOST)) === renewed.serial)
    rig.write('own-certs/new.pem', added.both)
    await until('it is served', async () => (await servedSerial(rig.ports.https, 'new.example.com')) === added.serial)
  })

  test('without a be_sorry of its own it gets ours, and gives it up again', async () => {
    rig.write('haproxy.cfg', config())
    await until('ours answers', async () => (await rig.ask('nobody.example.com')).status === 404)
    rig.write('haproxy.cfg', config({ sorry: 'theirs again' }))
    await until('theirs answers', async () => (await rig.ask('nobody.example.com')).body === 'theirs again')
    await hostler.ready()
  })
})

const listenOf = (hostler: RunningHostler): string => /"listen":"([^"]+)"/.exec(hostler.log())?.[1] ?? ''
