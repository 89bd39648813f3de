import { createServer } from 'node:http'
import { describe, expect, test } from '@jest/globals'
import { createPages } from '../../../src/http/public/pages.js'
import { createPublicServer, type PublicServer } from '../../../src/http/public-server.js'
import { silentLogger } from '../../../src/lib/logger.js'
import { afterThisTest, BROWSER, call, echo, lineTo, seen, startApp, WAKE } from '../../support/public-port.js'
import { createTown, type Town, type TownOptions } from '../../support/town.js'
import { until } from '../../support/wait.js'

/** Loopback addresses: whoever listens on every address has all of them. */
const SUBNET = '127.0.7'

interface Village extends Town {
  readonly port: number
  readonly server: PublicServer
}

/** The real waker and sleeper around an engine in memory, the public port before them, and an app that is really there. */
async function createVisitedTown(options: Omit<TownOptions, 'subnet' | 'countSessions'>): Promise<Village> {
  let server: PublicServer | undefined
  const town = await createTown({
    ...options,
    subnet: SUBNET,
    countSessions: async (backends) => server?.sessions.on(backends) ?? 0,
  })
  const { world, waker, clock } = town
  const log = silentLogger()
  server = createPublicServer({
    ...{ world, waker, clock, log },
    listen: { host: '127.0.0.1', port: 0 },
    settings: WAKE,
    domain: 'ci.example.com',
    pages: createPages({ overlay: '', log, clock }),
    limits: { drainMs: 0 },
  })
  const { port } = await server.start()
  afterThisTest(async () => {
    await Promise.all([server?.stop(), clock.pass(1)])
    await town.close()
  })
  return Object.assign(town, { port, server })
}

const shop = (port: number, more: Record<string, string> = {}) => ({
  port: `${port}`,
  host: 'shop.test',
  wake: 'true',
  ...more,
})
const starts = ({ engine }: Town) => engine.asked.filter((asked) => !asked.startsWith('inspect'))

/** Lets time pass, for those in memory and for the sockets, until something has come of it. */
async function passing<T>(town: Town, promise: Promise<T>): Promise<T> {
  let isOver = false
  const over = () => {
    isOver = true
  }
  promise.then(over, over)
  await until('it is over', async () => {
    if (!isOver) await town.advance(50)
    return isOver
  })
  return promise
}

/** An app on every address of this machine. */
const startEverywhere = async () => {
  const app = createServer()
  const port = await startApp(echo, app, '0.0.0.0')
  return { port, app }
}

describe('the public port before the real waker', () => {
  test('a hundred requests for a sleeping stack start it once, and are all answered by it', async () => {
    const { port } = await startEverywhere()
    const town = await createVisitedTown({
      build: (engine) => engine.add('shop', shop(port), { state: 'stopped', bootMs: 700 }),
    })
    const waiting = Array.from({ length: 100 }, (_, index) =>
      call({ to: town, host: 'shop.test', method: 'POST', path: `/${index}`, body: `${index}` }),
    )
    await until('all are held', () => town.server.held() === 100)
    await town.advance(800)
    const replies = await Promise.all(waiting)
    expect(replies.map((reply) => `${reply.status} ${seen(reply).url}`)).toEqual(replies.map((_, i) => `200 /${i}`))
    expect(starts(town)).toEqual(['start shop'])
  })

  test('a page load is told what happens, and gets the app when it asks again', async () => {
    const { port } = await startEverywhere()
    const town = await createVisitedTown({
      build: (engine) => engine.add('shop', shop(port), { state: 'stopped', bootMs: 5_000 }),
    })
    const waiting = call({ to: town, host: 'shop.test', headers: BROWSER })
    await until('it is held', () => town.server.held() === 1)
    await town.advance(2_000)
    const page = await waiting
    expect([page.status, page.headers['retry-after']]).toEqual([503, '3'])
    expect(page.body).toMatch(/<li class="probing">shop<span>started, not answering yet<\/span><\/li>/)
    const events = lineTo(town.port)
    events.say('GET /.hostler/wake-events HTTP/1.1\r\nHost: shop.test\r\n\r\n')
    await events.hears(/event: progress/)
    await town.advance(4_000)
    await events.hears(/event: over/)
    expect((await call({ to: town, host: 'shop.test', headers: BROWSER })).status).toBe(200)
  })

  test('a start that fails is told with its reason, and not tried again at once', async () => {
    const { port } = await startEverywhere()
    const town = await createVisitedTown({
      build: (engine) =>
        engine.add('shop', shop(port), { state: 'stopped', exitsAfterMs: 100, exitCode: 3, bootMs: 500 }),
    })
    const reply = await passing(town, call({ to: town, host: 'shop.test' }))
    expect(reply.status).toBe(502)
    expect(JSON.parse(reply.body).detail).toMatch(/^shop: its container ended with code 3 after 0\.1 s/)
    const page = await call({ to: town, host: 'shop.test', headers: BROWSER })
    expect(page.status).toBe(502)
    expect(page.body).toContain('<p class="reason">its container ended with code 3 after 0.1 s</p>')
    expect(starts(town)).toEqual(['start shop'])
  })
})

describe('the public port before the real sleeper', () => {
  test('a request for a stack that falls asleep keeps it awake, and is answered', async () => {
    const { port } = await startEverywhere()
    const town = await createVisitedTown({ build: (engine) => engine.add('shop', shop(port)) })
    town.proxy.applyMs = 500
    const sleeping = town.sleeper.sleep('shop', 'idle')
    await town.settle()
    expect(town.waker.state('shop')?.phase).toBe('falling-asleep')
    const reply = await passing(town, call({ to: town, host: 'shop.test' }))
    expect([reply.status, await sleeping, starts(town)]).toEqual([200, 'cancelled', []])
  })

  test('a silent WebSocket keeps it awake as long as it is open', async () => {
    const { port, app } = await startEverywhere()
    app.on('upgrade', (_, socket) => {
      socket.on('end', () => socket.end())
      socket.on('error', () => undefined).resume()
      socket.write('HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n')
    })
    const town = await createVisitedTown({ build: (engine) => engine.add('shop', shop(port)), drainMs: 1_000 })
    const line = lineTo(town.port)
    line.say('GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    await line.hears(/101 Yes/)
    const first = town.sleeper.sleep('shop', 'idle')
    await town.advance(5_000)
    expect([await first, starts(town)]).toEqual(['cancelled', []])
    line.socket.destroy()
    await until('it is closed', () => town.server.sessions.ofGroup('shop') === 0)
    const second = town.sleeper.sleep('shop', 'idle')
    await town.advance(5_000)
    expect([await second, starts(town)]).toEqual(['asleep', ['stop shop']])
  })
})
