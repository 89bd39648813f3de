import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import type { StatePreview } from '../../src/reconcile/preview.js'
import { importAppImage } from '../support/app-image.mjs'
import { type RunOptions, startDockerd, type TestDockerd } from '../support/dockerd.js'
import type { RunningHostler } from '../support/hostler.js'
import { freePort } from '../support/ports.js'
import { createRig, type Rig } from '../support/rig.js'
import { describeWith } from '../support/servers.js'
import { until } from '../support/wait.js'

const APP = 'hostler-app:latest'
const HOME = 'http://portal.test/home'

describeWith(
  ['dockerd', 'haproxy', 'busybox'],
  "predecessor 2's routing by cookie and path, through a real HAProxy",
  () => {
    let dockerd: TestDockerd
    let rig: Rig
    let hostler: RunningHostler

    beforeAll(async () => {
      dockerd = await startDockerd()
      await importAppImage(dockerd.docker, { image: APP })
    })
    afterAll(() => dockerd?.stop())

    /** With its flags, as it was started. */
    async function open(...flags: string[]): Promise<void> {
      rig = await createRig({
        HOSTLER_SOURCES: 'docker',
        DOCKER_HOST: dockerd.host,
        HOSTLER_DOMAIN: 'ci.test',
        HOSTLER_PUBLIC_LISTEN: `127.0.0.1:${await freePort()}`,
      })
      hostler = await rig.start([...flags, 'run'])
    }
    afterEach(async () => {
      for (const { Id } of await dockerd.docker.listContainers({ all: true }))
        await dockerd.docker.getContainer(Id).remove({ force: true })
      await until('their routes are gone', async () => (await hostler.state()).plan.backends.length === 0)
    })

    /** A container as it was deployed there, stopped unless told otherwise; resolves when its route is known. */
    async function spawn(name: string, { labels, ...more }: Partial<RunOptions> = {}): Promise<void> {
      await dockerd.run({
        ...{ name, start: false, create: { Image: APP }, ...more },
        labels: { origin: 'spawner', 'traefik.enable': 'true', ...labels },
      })
      await until(`${name} is known`, async () =>
        (await hostler.state()).plan.backends.some((backend) => backend.name === name),
      )
      await until('HAProxy has what the plan wants', async () => {
        const { proxies } = JSON.parse((await hostler.get('/api/plan')).body) as StatePreview
        return proxies.every(({ how }) => how === 'nothing')
      })
    }
    const inspect = async (name: string) => (await dockerd.docker.getContainer(name).inspect()).State
    /** An app that is told to end before it has begun to listen for that is killed by Docker ten seconds later. */
    const ended = (name: string) => until(`${name} has ended`, async () => (await inspect(name)).Status === 'exited')
    /** How often it was started, by whoever. */
    async function starts(name: string): Promise<number> {
      const now = Math.floor(Date.now() / 1000) + 1
      const filters = { container: [name], event: ['start'] }
      let text = ''
      for await (const chunk of await dockerd.docker.getEvents({ since: 0, until: now, filters })) text += String(chunk)
      return text.split('\n').filter((line) => line.trim() !== '').length
    }

    describe('a cookie', () => {
      beforeAll(() =>
        open(
          ...[`-cookie-fallback-url=${HOME}`, '-cookie-key', 'box', '-http-probe-ok-status=204'],
          ...['-health-check-interval=3s', '-health-check-retries=2'],
        ),
      )
      afterAll(() => rig?.close())

      const ask = (cookie: string, path = '/echo', more: { method?: string } = {}) =>
        rig.ask('whatever.test', path, { headers: cookie === '' ? {} : { cookie }, ...more })
      const outcome = async (cookie: string) => {
        const { status, headers } = await ask(cookie)
        return [status, headers.location]
      }

      test('names a stopped container, which is started, waited for and asked, without a redirect', async () => {
        await spawn('minion-1', { labels: { 'health-check': 'http://minion-1:80/status/204' }, env: ['START_MS=500'] })
        const { status, body } = await ask('a=b; box=minion-1', '/echo?x=1', { method: 'POST' })
        expect([status, JSON.parse(body)]).toEqual([200, expect.objectContaining({ method: 'POST', url: '/echo?x=1' })])
        // From now on the proxy goes there itself.
        await until('HAProxy has the route', async () => {
          const { headers } = JSON.parse((await ask('box=minion-1')).body) as { headers: Record<string, string> }
          return headers['via'] === undefined
        })
        expect(await starts('minion-1')).toBe(1)
      })

      test.each([
        ['no cookie', ''],
        ['a cookie of another name', 'instance=minion-1'],
        ['the name of no container', 'box=minion-6'],
        ['a container that was not deployed so', 'box=database'],
        ['nonsense', 'box=%00"\\x'],
      ])('%s leads to the fallback, and starts nothing', async (_, cookie) => {
        await dockerd.run({ name: 'database', start: false })
        expect(await outcome(cookie)).toEqual([302, HOME])
        expect((await inspect('database')).Status).toBe('created')
      })

      test('who sends something without a cookie is told that nobody is there', async () => {
        const { status, headers } = await ask('', '/', { method: 'POST' })
        expect([status, headers['content-type']]).toEqual([404, 'application/problem+json'])
      })

      test.each<[string, string, Partial<RunOptions>]>([
        // Its check answers, but not with what the flag asks for.
        [
          'sick-1',
          'whose check is not answered as it should be',
          { labels: { 'health-check': 'http://sick-1:80/status/200' } },
        ],
        [
          'sick-2',
          'that never listens',
          { labels: { healthcheck: 'http://sick-2:80/status/204' }, env: ['START_MS=600000'] },
        ],
        ['sick-3', 'that Docker finds unhealthy', { health: 'false' }],
      ])('%s, a container %s, is stopped again, and the client sent to the fallback', async (name, _, options) => {
        await spawn(name, options)
        expect(await outcome(`box=${name}`)).toEqual([302, HOME])
        await ended(name)
        // The next one is told at once; nothing is started in a tight loop.
        expect(await outcome(`box=${name}`)).toEqual([302, HOME])
        expect(await starts(name)).toBeLessThanOrEqual(2)
      })

      test('one that ends at its start leads to the fallback', async () => {
        await spawn('minion-3', { env: ['EXIT=3'] })
        expect(await outcome('box=minion-3')).toEqual([302, HOME])
      })

      test('one that somebody else has started runs on, though it is not asked before it is ready', async () => {
        await spawn('minion-4', { start: true, labels: { 'health-check': 'http://minion-4:80/health' } })
        expect(await outcome('box=minion-4')).toEqual([302, HOME])
        expect((await inspect('minion-4')).Status).toBe('running')
      })

      test('one that ends by itself when idle is started again by the next request', async () => {
        await spawn('minion-5', { env: ['IDLE_EXIT_MS=2000'] })
        expect((await ask('box=minion-5')).status).toBe(200)
        await ended('minion-5')
        // It says nothing before it ends: until that is known, HAProxy finds nobody there.
        await until('it answers again', async () => (await ask('box=minion-5')).status === 200)
      })
    })

    describe('the path', () => {
      beforeAll(() => open('-use-path-routing', '-container-prefix=session', '-redirect-timeout=2s'))
      afterAll(() => rig?.close())

      const ask = (path: string) => rig.ask('whatever.test', path)

      test('names a stopped container, which is started and gets the path as it is', async () => {
        await spawn('minion-1')
        const { status, body } = await ask('/session/minion-1/page?x=1')
        expect([status, body]).toEqual([200, expect.stringContaining('hello from')])
        const log = (await dockerd.docker.getContainer('minion-1').logs({ stdout: true })).toString()
        expect(log).toContain('GET /session/minion-1/page?x=1')
      })

      test('is cut off where its middleware did that, whether held or not', async () => {
        const middleware = 'traefik.http.middlewares.cut.stripprefix.prefixes'
        await spawn('minion-2', { labels: { [middleware]: '/session/minion-2' } })
        const url = async () => (JSON.parse((await ask('/session/minion-2/echo/a?x=1')).body) as { url: string }).url
        expect(await url()).toBe('/echo/a?x=1')
        await until('its route leads there directly', async () => {
          const { backends } = (await hostler.state()).plan
          return backends.some(({ name, servers }) => name === 'minion-2' && servers.length === 1)
        })
        expect(await url()).toBe('/echo/a?x=1')
      })

      test.each(['/', '/session/minion-6/', '/minion-1/', '/session/'])('%s is nobody', async (path) => {
        expect((await ask(path)).status).toBe(404)
      })

      test('what a flag does no more is told at the start', () => {
        expect(hostler.log()).toContain('-redirect-timeout has no effect any more')
      })
    })
  },
)
