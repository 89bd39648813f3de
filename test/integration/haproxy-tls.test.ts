import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { renameSync, rmSync } from 'node:fs'
import { connect } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { describeHaproxys } from '../support/haproxy-bins.js'
import type { RunningHostler } from '../support/hostler.js'
import { makePem, makeWeakPem, type Pem, servedSerial } from '../support/pem.js'
import { createRig, type Rig } from '../support/rig.js'
import { describeWith } from '../support/servers.js'
import { startUpstream } from '../support/upstreams.js'
import { until } from '../support/wait.js'

const HOST = 'app.ci.example.com'

async function rigWithApp(env: Record<string, string> = {}): Promise<Rig> {
  const rig = await createRig(env)
  const app = await startUpstream('app')
  rig.keep(app)
  rig.stacks([{ name: 'app', stack: 'app', labels: { port: app.port } }])
  return rig
}

describeHaproxys(['openssl'], 'HTTPS through HAProxy', ({ bin }) => {
  let rig: Rig
  let hostler: RunningHostler
  let first: Pem
  let folder: Pem

  beforeAll(async () => {
    ;[first, folder] = await Promise.all([makePem('default.example.com'), makePem('other.ci.example.com')])
    rig = await rigWithApp({ ENABLE_SSL: 'true', HAPROXY_BIN: bin })
    rig.write('server.pem', first.both)
    rig.write('certs/other.pem', folder.both)
    hostler = await rig.start()
  })
  afterAll(() => rig?.close())

  const untilServed = (name: string, { serial }: Pem) =>
    until(`${name} gets certificate ${serial}`, async () => (await servedSerial(rig.ports.https, name)) === serial)

  test('the certificate file serves every name, and the app learns that TLS was spoken', async () => {
    expect(await servedSerial(rig.ports.https, HOST)).toBe(first.serial)
    const { status, echo } = await rig.ask(HOST, '/', { tls: true, headers: { 'x-forwarded-proto': 'http' } })
    expect([status, echo?.headers['x-forwarded-proto']]).toEqual([200, 'https'])
    expect((await rig.ask(HOST)).echo?.headers['x-forwarded-proto']).toBe('http')
  })

  test('a client that can speaks HTTP/2', async () => {
    const session = connect(`https://127.0.0.1:${rig.ports.https}`, { servername: HOST, rejectUnauthorized: false })
    const stream = session.request({ ':path': '/', ':authority': HOST })
    const [headers] = await once(stream, 'response')
    expect(headers[':status']).toBe(200)
    session.destroy()
  })

  test('one in the folder serves the names in it', async () => {
    expect(await servedSerial(rig.ports.https, 'other.ci.example.com')).toBe(folder.serial)
  })

  test('one that is called like a host serves that host, whatever names are in it', async () => {
    const [own, wild] = await Promise.all([makePem('unrelated.test'), makePem('unrelated.test')])
    rig.write(`certs/${HOST}.pem`, own.both)
    rig.write('certs/_.wild.example.com.pem', wild.both)
    await untilServed(HOST, own)
    await untilServed('any.wild.example.com', wild)
    rmSync(rig.path(`certs/${HOST}.pem`))
    await untilServed(HOST, first)
  })

  test('a renewed one is served, whether it was written in place or moved there', async () => {
    const [written, moved, renewed] = await Promise.all(
      ['default.example.com', 'default.example.com', 'other.ci.example.com'].map((name) => makePem(name)),
    )
    rig.write('server.pem', written?.both ?? '')
    await untilServed(HOST, written as Pem)
    rig.write('server.pem.new', moved?.both ?? '')
    renameSync(rig.path('server.pem.new'), rig.path('server.pem'))
    await untilServed(HOST, moved as Pem)
    rig.write('certs/other.pem', renewed?.both ?? '')
    await untilServed('other.ci.example.com', renewed as Pem)
  })

  test('one that turns bad is served on as it was, also by a HAProxy that is started anew, until it is good again', async () => {
    const [old, next, weak] = await Promise.all([
      makePem('turns.example.com'),
      makePem('turns.example.com'),
      makeWeakPem('turns.example.com'),
    ])
    rig.write('certs/turns.pem', old.both)
    await untilServed('turns.example.com', old)
    // Fit but for HAProxy, which finds it too weak.
    for (const [bad, reason] of [
      [next.certificate + old.key, 'its key belongs to another certificate'],
      [weak, 'HAProxy refuses it'],
    ]) {
      rig.write('certs/turns.pem', bad ?? '')
      await until('it is told', () => hostler.log().includes(`"reason":"${reason}`))
      await hostler.ready()
      const { pid } = (await hostler.state()).proxies[0]?.details ?? {}
      process.kill(Number(pid), 'SIGKILL')
      await until('another HAProxy runs', async () => {
        const details = (await hostler.state()).proxies[0]?.details
        return details?.['running'] === true && details['pid'] !== pid
      })
      await untilServed('turns.example.com', old)
      expect((await rig.ask(HOST)).status).toBe(200)
    }
    rig.write('certs/turns.pem', next.both)
    await untilServed('turns.example.com', next)
  })

  test('bad ones are left out and told, and the good ones go on', async () => {
    const [good, stranger] = await Promise.all([makePem('good.example.com'), makePem('stranger.example.com')])
    rig.write('certs/a-garbage.pem', 'not a certificate\n')
    rig.write('certs/b-mismatch.pem', stranger.certificate + good.key)
    rig.write('certs/good.pem', good.both)
    await untilServed('good.example.com', good)
    expect(await servedSerial(rig.ports.https, 'stranger.example.com')).not.toBe(stranger.serial)
    expect(hostler.log()).toMatch(/a-garbage\.pem.*the certificate cannot be served and is left out/)
    expect(hostler.log()).toMatch(/b-mismatch\.pem.*its key belongs to another certificate/)
    await hostler.ready()
  })
})

describeWith(['haproxy', 'openssl'], 'HTTPS without a certificate', () => {
  let rig: Rig
  afterAll(() => rig?.close())

  test('plain HTTP goes on, the log says what is missing, and a certificate is served as soon as it is there', async () => {
    rig = await rigWithApp({ ENABLE_SSL: 'true', ENABLE_SSL_REDIRECTION: 'true' })
    const hostler = await rig.start()
    expect((await rig.ask(HOST)).status).toBe(200)
    expect(hostler.log()).toContain('HTTPS is on but there is no certificate')
    const pem = await makePem(HOST)
    rig.write('server.pem', pem.both)
    await until('it is served', async () => (await servedSerial(rig.ports.https, HOST)) === pem.serial)
    const { status, headers } = await rig.ask(HOST)
    expect([status, headers.location]).toEqual([301, `https://${HOST}/`])
    expect((await rig.ask(HOST, '/', { tls: true })).status).toBe(200)
  })
})

describeWith(['haproxy', 'openssl'], 'the redirect to HTTPS', () => {
  let rig: Rig
  afterEach(() => rig?.close())

  test.each(['301', '302', '307', '308'])('is sent with code %s', async (code) => {
    rig = await rigWithApp({ ENABLE_SSL: 'true', ENABLE_SSL_REDIRECTION: 'true', SSL_REDIRECTION_TYPE: code })
    rig.write('server.pem', (await makePem(HOST)).both)
    await rig.start()
    const { status, headers } = await rig.ask(HOST, '/a?b=c', { method: 'POST' })
    expect([String(status), headers.location]).toEqual([code, `https://${HOST}/a?b=c`])
    // Who came through a port of his own cannot be sent to the usual one.
    const { port } = new URL(String((await rig.ask(`${HOST}:${rig.ports.http}`)).headers.location))
    expect(port).toBe(String(rig.ports.https))
  })
})

describeWith(['haproxy'], 'stats page and syslog', () => {
  let rig: Rig
  let syslog: Socket
  let lines = ''

  beforeAll(async () => {
    syslog = createSocket('udp4').on('message', (message) => {
      lines += `${message}\n`
    })
    syslog.bind(0, '127.0.0.1')
    await once(syslog, 'listening')
    const { port } = syslog.address() as AddressInfo
    rig = await rigWithApp({
      ENABLE_STATS: 'true',
      STATS_USERNAME: 'ops',
      STATS_PASSWORD: 'p%4 "w',
      SYSLOG_HOST: `127.0.0.1:${port}`,
      SYSLOG_FACILITY: 'local3',
    })
    await rig.start()
  })
  afterAll(async () => {
    await rig?.close()
    syslog?.close()
  })

  // A connection for each: one that is kept may be closed by HAProxy just when it is used again.
  const stats = (credentials?: string) =>
    fetch(`http://127.0.0.1:${rig.ports.stats}/`, {
      headers: {
        connection: 'close',
        ...(credentials !== undefined && { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` }),
      },
    }).then(async (answer) => ({ status: answer.status, body: await answer.text() }))

  test('the stats page asks for its credentials, and shows the backends', async () => {
    expect((await stats()).status).toBe(401)
    expect((await stats('haproxy:haproxy')).status).toBe(401)
    const { status, body } = await stats('ops:p%4 "w')
    expect(status).toBe(200)
    expect(body).toContain('app')
  })

  test('each request becomes a line of the chosen facility', async () => {
    expect((await rig.ask(HOST, '/for-the-log')).status).toBe(200)
    await until('the line is there', () => lines.includes('/for-the-log'))
    const line = lines.split('\n').find((text) => text.includes('/for-the-log')) ?? ''
    // local3 is 19, info is 6.
    expect(line).toMatch(/^<158>/)
    expect(line).toMatch(/ hostler app\/app /)
  })

  describe('with neither', () => {
    test('nothing listens on the stats port', async () => {
      const other = await rigWithApp()
      try {
        await other.start()
        await expect(fetch(`http://127.0.0.1:${other.ports.stats}/`)).rejects.toThrow()
      } finally {
        await other.close()
      }
    })
  })
})
