import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from '@jest/globals'
import { WebSocket } from 'undici'
import { freePort } from './ports.js'
import { until } from './wait.js'

const APP = fileURLToPath(new URL('app/app.mjs', import.meta.url))

let running: ChildProcess | undefined
afterEach(async () => {
  if (!running || running.exitCode !== null || running.signalCode !== null) return
  running.kill('SIGKILL')
  await once(running, 'exit')
})

/** The app of the tests' image, without a container around it. */
async function startApp(env: Record<string, string> = {}) {
  const port = await freePort()
  const child = spawn(process.execPath, [APP], { env: { PORT: String(port), HOSTNAME: 'app-1', ...env } })
  running = child
  let log = ''
  child.stdout.on('data', (chunk) => {
    log += chunk
  })
  child.stderr.on('data', (chunk) => {
    log += chunk
  })
  const ended = once(child, 'exit').then(([code]) => code as number)
  const get = (path: string, init: RequestInit = {}) => fetch(`http://127.0.0.1:${port}${path}`, init)
  const says = (line: string) => until(`it says "${line}"`, () => log.includes(line))
  return { port, child, ended, get, says, log: () => log }
}

async function serve(env: Record<string, string> = {}) {
  const app = await startApp(env)
  await app.says('listening after')
  return app
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

describe('its environment', () => {
  test('delays its start, or ends it', async () => {
    const late = await startApp({ START_MS: '300' })
    await late.says('listening after')
    expect(Number(/after (\d+) ms/.exec(late.log())?.[1])).toBeGreaterThanOrEqual(300)
    late.child.kill('SIGTERM')
    expect(await late.ended).toBe(0)
    expect(await (await startApp({ EXIT: '7' })).ended).toBe(7)
  })

  test('lets it go on serving after TERM, and tell so', async () => {
    const app = await serve({ STOP_MS: '3000' })
    expect((await app.get('/')).headers.get('x-stopping')).toBeNull()
    app.child.kill('SIGTERM')
    await app.says('TERM: ending in 3000 ms')
    expect((await app.get('/')).headers.get('x-stopping')).toBe('1')
    expect(await app.ended).toBe(0)
    expect(app.log()).toMatch(/late GET \/\n.*exit 0: TERM/s)
  })

  test('lets it not hear TERM', async () => {
    const app = await serve({ IGNORE_TERM: '1' })
    app.child.kill('SIGTERM')
    await app.says('TERM: ignored')
    expect((await app.get('/')).ok).toBe(true)
  })

  test('ends it when it is idle, and not while a request is under way', async () => {
    const app = await serve({ IDLE_EXIT_MS: '1000' })
    expect(await (await app.get('/slow?ms=1500')).text()).toBe('slow from app-1\n')
    expect(await app.ended).toBe(0)
    await app.says('exit 0: idle')
  })
})

describe('its answers', () => {
  test('echo tells the request, body gives the body, byte for byte', async () => {
    const { get } = await serve()
    const body = randomBytes(300_000)
    const told = await get('/echo?a=b', { method: 'PUT', body, headers: { 'x-it': 'e' } })
    expect(await told.json()).toMatchObject({
      ...{ name: 'app-1', method: 'PUT', url: '/echo?a=b', httpVersion: '1.1', headers: { 'x-it': 'e' } },
      ...{ bodyBytes: body.length, sha256: sha256(body) },
    })
    const stream = Readable.toWeb(Readable.from([body.subarray(0, 5), body.subarray(5)]))
    const back = await get('/body', { method: 'POST', body: stream, duplex: 'half' } as RequestInit)
    expect(Buffer.from(await back.arrayBuffer()).equals(body)).toBe(true)
  })

  test('pieces, ticks and downloads come as asked for', async () => {
    const { get } = await serve()
    expect((await (await get('/chunks?n=3&size=5')).text()).length).toBe(15)
    const events = await get('/events?n=2&ms=1')
    expect(events.headers.get('content-type')).toBe('text/event-stream')
    expect(await events.text()).toBe('id: 0\ndata: tick\n\nid: 1\ndata: tick\n\n')
    const download = await get('/download?bytes=1000003&size=1000')
    expect(download.headers.get('content-length')).toBe('1000003')
    const bytes = Buffer.from(await download.arrayBuffer())
    expect(bytes.length).toBe(1_000_003)
    expect(bytes.subarray(0, 16).toString()).toBe('hostler hostler ')
  })

  test('health is what it was set to; other paths say hello', async () => {
    const { get } = await serve({ HEALTH: '500' })
    expect((await get('/health')).status).toBe(500)
    expect((await get('/health?status=204', { method: 'POST' })).status).toBe(200)
    expect((await get('/health')).status).toBe(204)
    expect((await get('/status/418')).status).toBe(418)
    expect(await (await get('/constructor')).text()).toContain('hello from app-1')
  })

  test('counts what came', async () => {
    const { get } = await serve()
    for (const id of ['a', 'b', 'a']) await get('/', { headers: { 'x-id': id } })
    expect(await (await get('/seen/a')).json()).toEqual({ count: 2 })
    expect(await (await get('/seen')).json()).toEqual({ requests: 5, webSockets: 0, stopping: false })
  })

  test('ends, or drops the connection, when it is asked to', async () => {
    const { get, ended } = await serve()
    await expect(get('/drop')).rejects.toThrow()
    expect(await (await get('/exit?code=9')).text()).toBe('exiting\n')
    expect(await ended).toBe(9)
  })
})

describe('its WebSocket', () => {
  test('sends back what it gets, of any size', async () => {
    const { port, get } = await serve()
    const socket = new WebSocket(`ws://127.0.0.1:${port}/any`, 'chat')
    socket.binaryType = 'arraybuffer'
    await once(socket, 'open')
    expect(socket.protocol).toBe('chat')
    for (const size of [0, 5, 126, 70_000]) {
      const sent = randomBytes(size)
      const [message] = await Promise.all([once(socket, 'message'), socket.send(sent)])
      expect(Buffer.from((message[0] as { data: ArrayBuffer }).data).equals(sent)).toBe(true)
    }
    expect(await (await get('/seen')).json()).toMatchObject({ webSockets: 1 })
    socket.close(1000)
    await once(socket, 'close')
    await until('it is closed there', async () => (await (await get('/seen')).text()).includes('"webSockets":0'))
  })

  test('ticks when asked to, and answers a ping', async () => {
    const { port } = await serve()
    const ticking = new WebSocket(`ws://127.0.0.1:${port}/?ms=10`)
    const [message] = await once(ticking, 'message')
    expect((message as { data: unknown }).data).toBe('tick')
    ticking.close()

    const raw = connect(port, '127.0.0.1')
    raw.write(
      'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    )
    const [head] = await once(raw, 'data')
    // The example of RFC 6455, section 1.3.
    expect(String(head)).toContain('Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=')
    raw.write(Buffer.from([0x89, 0x82, 0, 0, 0, 0, 0x68, 0x69]))
    const [pong] = await once(raw, 'data')
    expect([...(pong as Buffer)]).toEqual([0x8a, 2, 0x68, 0x69])
    raw.destroy()
  })
})
