import { createHash, randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { execa } from 'execa'
import { APP, type Inn, openInn } from '../support/inn.js'
import { describeWith } from '../support/servers.js'
import { until } from '../support/wait.js'
import { openWebSocket } from '../support/web-socket.js'

interface Echoed {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly bodyBytes: number
  readonly sha256: string
}

const sha256 = (body: Buffer): string => createHash('sha256').update(body).digest('hex')

describeWith(
  ['dockerd', 'haproxy', 'curl'],
  'what a sleeping stack gives its first request, through a real HAProxy',
  () => {
    let inn: Inn
    const asleep = async (stack: string, labels: Record<string, string> = {}, env: readonly string[] = []) => {
      await inn.lodge(stack, { start: false, labels, env })
      await inn.phase(stack, 'asleep')
      await inn.settled()
    }
    const curl = (host: string, ...args: string[]) =>
      execa('curl', ['-sS', '--max-time', '30', '--resolve', `${host}:${inn.rig.ports.http}:127.0.0.1`, ...args], {
        reject: false,
      })
    const url = (host: string, path = '/') => `http://${host}:${inn.rig.ports.http}${path}`

    beforeAll(async () => {
      inn = await openInn({ HOSTLER_WAKE_GRACE: '100ms' })
      await inn.open()
    })
    afterAll(() => inn?.close())

    test('curl gets the answer of the app, without a redirect', async () => {
      await asleep('plain')
      const { stdout } = await curl('plain.ci.test', '-w', ' %{http_code} %{num_redirects}', url('plain.ci.test'))
      expect(stdout).toMatch(/hello from .* 200 0$/s)
    })

    test.each([
      ['with a length', []],
      ['in chunks', ['-H', 'Transfer-Encoding: chunked']],
    ])('a body of 5 MB %s comes through whole, and once', async (what, headers) => {
      const stack = what === 'in chunks' ? 'chunked' : 'whole'
      await asleep(stack)
      const body = randomBytes(5 << 20)
      const host = `${stack}.ci.test`
      const { stdout } = await execa(
        'curl',
        ['-sS', '--max-time', '30', '--resolve', `${host}:${inn.rig.ports.http}:127.0.0.1`, ...headers].concat([
          '-X',
          'PUT',
          '-H',
          `x-id: ${stack}`,
          '--data-binary',
          '@-',
          url(host, '/echo?a=1'),
        ]),
        { input: body },
      )
      const echoed = JSON.parse(stdout) as Echoed
      expect(echoed).toMatchObject({ method: 'PUT', url: '/echo?a=1', bodyBytes: body.length, sha256: sha256(body) })
      const seen = await inn.rig.ask(host, `/seen/${stack}`)
      expect(JSON.parse(seen.body)).toEqual({ count: 1 })
    })

    test('a WebSocket is opened', async () => {
      await asleep('socket')
      const socket = await openWebSocket('socket.ci.test', inn.rig.ports.http)
      expect(await socket.echo('good morning')).toBe('good morning')
      await socket.close()
    })

    test('a page load gets a page that waits, then the app', async () => {
      await asleep('page', {}, ['START_MS=1000'])
      const browser = { headers: { accept: 'text/html', 'sec-fetch-mode': 'navigate' } }
      const first = await inn.rig.ask('page.ci.test', '/', browser)
      expect([first.status, first.headers['cache-control'], first.headers['refresh']]).toEqual([503, 'no-store', '3'])
      expect(first.headers['retry-after']).toBe('3')
      expect(first.body).toContain('page is waking up')
      await inn.phase('page', 'awake')
      const second = await inn.rig.ask('page.ci.test', '/', browser)
      expect([second.status, second.body]).toEqual([200, expect.stringContaining('hello from')])
    })

    test('two hundred requests at once start it once, and all are answered', async () => {
      await asleep('crowd', {}, ['START_MS=300'])
      const answers = await Promise.all(Array.from({ length: 200 }, () => inn.rig.ask('crowd.ci.test', '/echo')))
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
      expect(await inn.starts('crowd-web-1')).toBe(1)
    })

    test('a client that hangs up holds no place any longer', async () => {
      await asleep('left', {}, ['START_MS=20000'])
      const held = async () => (await inn.hostler().state()).lifecycle?.held
      for (const [length, body] of [
        [0, ''],
        [1, 'x'],
        [4 << 20, 'x'.repeat(300_000)],
      ] as const) {
        const socket = connect(inn.rig.ports.http, '127.0.0.1')
        socket.on('error', () => undefined)
        socket.write(`POST / HTTP/1.1\r\nHost: left.ci.test\r\nContent-Length: ${length}\r\n\r\n${body}`)
        await until('it is held', async () => (await held()) === 1)
        socket.destroy()
        await until('nobody is', async () => (await held()) === 0)
      }
    })

    test.each(['/robots.txt', '/favicon.ico', '/healthz'])('%s wakes nobody', async (path) => {
      if (path === '/robots.txt') await asleep('quiet')
      const answer = await inn.rig.ask('quiet.ci.test', path)
      expect([answer.status, answer.headers['retry-after']]).toEqual([503, '60'])
      expect(await inn.starts('quiet-web-1')).toBe(0)
    })

    test('an unknown host is a 404', async () => {
      expect((await inn.rig.ask('nobody.ci.test')).status).toBe(404)
    })

    test('an app that ends at its start is told of within moments, and not started again and again', async () => {
      await asleep('broken', {}, ['EXIT=3'])
      const answer = await inn.rig.ask('broken.ci.test')
      expect([answer.status, JSON.parse(answer.body).detail]).toEqual([502, expect.stringContaining('code 3')])
      const more = await Promise.all(Array.from({ length: 50 }, () => inn.rig.ask('broken.ci.test')))
      expect(new Set(more.map(({ status }) => status))).toEqual(new Set([502]))
      // Once for the first request, once for the fifty unless a second was over, which it may not have been.
      expect(await inn.starts('broken-web-1')).toBeLessThanOrEqual(3)
    })

    test('a group starts in the order of what depends on what', async () => {
      const project = { 'com.docker.compose.project': 'shop', 'hostler.wake': 'true' }
      const database = { ...project, 'com.docker.compose.service': 'db', 'hostler.port': 'none' }
      await inn.dockerd.run({
        ...{ name: 'shop-db-1', start: false, create: { Image: APP }, env: ['START_MS=300'] },
        labels: database,
      })
      await inn.lodge('shop', {
        start: false,
        labels: {
          ...{ ...project, 'com.docker.compose.service': 'web' },
          'com.docker.compose.depends_on': 'db:service_started:false',
        },
      })
      // Its database alone is a stack that sleeps, too.
      await until('the web part is known', async () =>
        (await inn.hostler().state()).plan.backends.some(({ group }) => group === 'shop'),
      )
      await inn.phase('shop', 'asleep')
      await inn.settled()
      expect((await inn.rig.ask('shop.ci.test')).status).toBe(200)
      const startedAt = async (name: string) =>
        Date.parse((await inn.dockerd.docker.getContainer(name).inspect()).State.StartedAt)
      expect(await startedAt('shop-db-1')).toBeLessThan(await startedAt('shop-web-1'))
    })

    test('a stack that somebody starts is held for until it answers, though nobody may wake it', async () => {
      await inn.lodge('fresh', { labels: { 'hostler.wake': 'false' }, env: ['START_MS=700'] })
      await until('its route is there', async () => (await inn.rig.ask('fresh.ci.test')).status !== 404)
      expect((await inn.rig.ask('fresh.ci.test')).status).toBe(200)
    })

    test('hostler wake and hostler sleep do as they say', async () => {
      await asleep('called')
      const env = {
        HOSTLER_PRIVATE_LISTEN: /"listen":"([^"]+)"[^\n]*hostler has started/.exec(inn.hostler().log())?.[1] ?? '',
      }
      const woken = await inn.rig.run(['wake', 'called-web-1'], env)
      expect([woken.code, woken.stdout]).toEqual([0, expect.stringMatching(/^called awake/)])
      expect(await inn.stateOf('called-web-1')).toBe('running')
      const slept = await inn.rig.run(['sleep', 'called'], env)
      expect([slept.code, slept.stdout]).toEqual([0, expect.stringMatching(/^called asleep/)])
      expect(await inn.stateOf('called-web-1')).toBe('exited')
      const unknown = await inn.rig.run(['wake', 'caled'], env)
      expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining('Did you mean called?')])
    })
  },
)
