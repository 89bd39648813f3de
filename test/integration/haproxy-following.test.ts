import { renameSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { keepAliveClients } from '../support/haproxy.js'
import type { RunningHostler } from '../support/hostler.js'
import { createRig, type Rig, type StackEntry } from '../support/rig.js'
import { describeWith } from '../support/servers.js'
import { startUpstream, type Upstream } from '../support/upstreams.js'
import { until } from '../support/wait.js'

let rig: Rig
let hostler: RunningHostler
let one: Upstream
let two: Upstream
let three: Upstream

const web = (name: string, upstream: Upstream, more: Partial<StackEntry> = {}): StackEntry => ({
  name,
  stack: 'app',
  service: 'web',
  ...more,
  labels: { port: upstream.port, ...more.labels },
})

const HOST = 'app.ci.example.com'
const status = async (host = HOST) => (await rig.ask(host)).status

/** The apps that answer a row of requests, each named once. */
async function answering(host = HOST): Promise<string[]> {
  const answers = await Promise.all([1, 2, 3, 4, 5, 6].map(() => rig.ask(host)))
  return [...new Set(answers.map(({ echo, status }) => echo?.app ?? String(status)))].sort()
}

const untilAnswering = (...apps: string[]) =>
  until(`${apps} answer`, async () => String(await answering()) === String(apps))

const WAYS = [
  { way: 'by single steps', how: 'runtime', runtime: 'true' },
  { way: 'by reloads', how: 'reload', runtime: 'false' },
] as const

for (const { way, how, runtime } of WAYS)
  describeWith(['haproxy'], `following what runs, ${way}`, () => {
    beforeAll(async () => {
      rig = await createRig()
      ;[one, two, three] = [await startUpstream('one'), await startUpstream('two'), await startUpstream('three')]
      rig.keep(one, two, three)
      rig.stacks([])
      hostler = await rig.start([], { env: { HAPROXY_RUNTIME: runtime } })
    })
    beforeEach(async () => {
      rig.stacks([web('one', one)])
      await untilAnswering('one')
    })
    afterAll(() => rig?.close())

    test('a stack that appears gets its host, and loses it when it goes', async () => {
      rig.stacks([web('one', one), web('two', two, { stack: 'other' })])
      await rig.untilServedBy('two', 'other.ci.example.com')
      rig.stacks([web('one', one)])
      await until('nobody answers', async () => (await status('other.ci.example.com')) === 404)
      expect(await status()).toBe(200)
    })

    test('scaling up and down moves the traffic', async () => {
      rig.stacks([web('one', one), web('two', two), web('three', three)])
      await untilAnswering('one', 'three', 'two')
      rig.stacks([web('two', two)])
      await untilAnswering('two')
    })

    test.each([
      ['paused', { state: 'paused' }],
      ['stopping', { state: 'stopping' }],
      ['unhealthy', { health: 'unhealthy' }],
      ['starting', { health: 'starting' }],
    ])('one that is %s takes no traffic, and its host says so', async (reason, more) => {
      rig.stacks([web('one', one, more), web('two', two)])
      await untilAnswering('two')
      rig.stacks([web('one', one, more)])
      await until('the host answers 503', async () => (await status()) === 503)
      expect((await hostler.state()).plan.backends[0]?.waiting).toEqual([{ instance: 'one', reason }])
    })

    test('one that has stopped leaves nothing behind', async () => {
      rig.stacks([web('one', one, { state: 'stopped' })])
      await until('its host is unknown', async () => (await status()) === 404)
    })

    test('the first holder keeps a host; the second is told, and takes over when the first is gone', async () => {
      const second = web('two', two, { stack: 'late', createdAt: 9000, labels: { host: HOST } })
      rig.stacks([second, web('one', one)])
      const [rejection] = await until('the second is refused', async () => {
        const { rejections } = (await hostler.state()).plan
        return rejections.length > 0 && rejections
      })
      expect(rejection).toMatchObject({ container: 'two', label: 'hostler.host', value: HOST })
      expect(rejection?.reason).toContain('held by one')
      expect(await answering()).toEqual(['one'])
      rig.stacks([second])
      await untilAnswering('two')
      expect((await hostler.state()).plan.rejections).toEqual([])
    })

    test('a bad label costs its own route only', async () => {
      rig.stacks([web('one', one), web('two', two, { stack: 'bad', labels: { path: '/x y\n  bind :1' } })])
      await until('it is refused', async () => (await hostler.state()).plan.rejections.length > 0)
      expect(await answering()).toEqual(['one'])
      expect(rig.read('out/haproxy-backends.cfg')).not.toContain('bind :1')
    })

    test('a list that is broken off, or gone, changes nothing, and is told', async () => {
      const before = rig.read('out/haproxy-backends.cfg')
      rig.write('stacks.yml', 'instances:\n  - { name: one, addr')
      await until('it is told', async () => (await hostler.get('/readyz')).status === 503)
      expect((await hostler.get('/readyz')).body).toContain('stacks.yml')
      renameSync(rig.path('stacks.yml'), rig.path('gone.yml'))
      await hostler.get('/readyz')
      expect(await answering()).toEqual(['one'])
      expect(rig.read('out/haproxy-backends.cfg')).toBe(before)
      rig.stacks([web('one', one), web('two', two)])
      await untilAnswering('one', 'two')
      await hostler.ready()
    })

    test('an edit that changes no route reloads nothing', async () => {
      const readWith = async (...strangers: string[]) => {
        rig.stacks([web('one', one), ...strangers.map((name) => ({ name, labels: {} }))])
        const instances = strangers.length + 1
        await until('it is read', async () => (await hostler.state()).sources[0]?.instances === instances)
      }
      const applied = async () => (await hostler.state()).proxies[0]?.applies[how]
      // 3.4 deletes backends that an earlier change has emptied. When the second is read, the first is done with.
      await readWith('one stranger')
      await readWith('one stranger', 'another')
      const before = await applied()
      await readWith('one stranger', 'another', 'a third')
      await readWith()
      expect(await applied()).toBe(before)
    })

    test('a file that somebody else edited is put right again by the next round', async () => {
      rig.write('out/domain.map', 'evil.example.com app\n')
      rig.stacks([web('one', one), web('two', two, { stack: 'other' })])
      await rig.untilServedBy('two', 'other.ci.example.com')
      expect(rig.read('out/domain.map')).toBe(`${HOST} app\nother.ci.example.com other\n`)
    })

    test('thirty changes break no request of four keep-alive clients', async () => {
      const url = `http://127.0.0.1:${rig.ports.http}/`
      const clients = keepAliveClients(url, 4, { host: HOST })
      for (let round = 0; round < 30; round++) {
        const before = clients.answered()
        const host = `app-r${round}.ci.example.com`
        const more = round % 2 === 0 ? web('two', two) : web('three', three, { stack: `app-r${round}` })
        rig.stacks([web('one', one), more])
        if (round % 2 === 0) await untilAnswering('one', 'two')
        else await rig.untilServedBy('three', host)
        await until('the clients go on', () => clients.answered() > before + 8)
      }
      await untilAnswering('one')
      const { failures } = await clients.stop()
      expect(failures).toEqual([])
      const [proxy] = (await hostler.state()).proxies
      expect(proxy?.failures).toBe(0)
      expect(proxy?.applies[how]).toBeGreaterThanOrEqual(30)
      expect(proxy?.applies[how === 'runtime' ? 'reload' : 'runtime']).toBeUndefined()
    })
  })
