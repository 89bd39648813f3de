import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { statSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import type { RunningHostler } from '../support/hostler.js'
import {
  type AnswerMap,
  type ContainerFacts,
  type MetadataServer,
  metadataContainer,
  metadataTree,
  startMetadataServer,
} from '../support/metadata-server.js'
import { operatorConfig } from '../support/operator-config.js'
import { makePem, type Pem, servedSerial } from '../support/pem.js'
import { createRig, type Rig } from '../support/rig.js'
import { describeWith } from '../support/servers.js'
import { startProxyProtocolUpstream, startUpstream, type Upstream } from '../support/upstreams.js'
import { until } from '../support/wait.js'

/** What rancher-haproxy's users set, as they set it, and nothing that it did not know. */
const variables = (rig: Rig, metadata: MetadataServer): Record<string, string> => ({
  STACK_DOMAIN: 'ci.example.com',
  RANCHER_LABEL: 'com.example.port',
  RANCHER_PROXY_LABEL: 'com.example.proxy',
  RANCHER_API_HOST: metadata.host,
  RANCHER_API_VERSION: '2015-12-19',
  HAPROXY_CONFIG: rig.path('haproxy.cfg'),
  HAPROXY_BACKEND_CONFIG: rig.path('out/haproxy-backends.cfg'),
  HAPROXY_DOMAIN_MAP: rig.path('out/domain.map'),
  HAPROXY_SSL_CERT: rig.path('server.pem'),
  ENABLE_SSL: 'true',
  SSL_BASE64_ENCODED: 'false',
  ENABLE_STATS: 'true',
  STATS_PORT: String(rig.ports.stats),
  STATS_USERNAME: 'ops',
  STATS_PASSWORD: 'secret',
  SYSLOG_FACILITY: 'local2',
})

/** Only what lets several tests run on one machine: ports, and where state is kept. */
const OURS = [
  'HOSTLER_STATE_DIR',
  'HOSTLER_BIND',
  'HOSTLER_HTTP_PORT',
  'HOSTLER_HTTPS_PORT',
  'HOSTLER_PRIVATE_LISTEN',
  'HAPROXY_STOP_TIMEOUT',
]

describeWith(['haproxy', 'openssl'], "rancher-haproxy's environment, unchanged", () => {
  let rig: Rig
  let metadata: MetadataServer
  let plain: Upstream
  let proxied: Upstream
  let syslog: Socket
  let pem: Pem
  let lines = ''

  const base = () =>
    operatorConfig({
      http: rig.ports.http,
      map: rig.path('out/domain.map'),
      https: { port: rig.ports.https, certificate: '"${HAPROXY_SSL_CERT}"' },
      sorry: 'sorry',
      global: `    log "\${SYSLOG_HOST}:${(syslog.address() as AddressInfo).port}" "\${SYSLOG_FACILITY}"\n`,
      end: `.if streq("$ENABLE_STATS",true)
listen stats
    bind "127.0.0.1:\${STATS_PORT}"
    stats enable
    stats uri /
    stats auth "\${STATS_USERNAME}:\${STATS_PASSWORD}"
.endif
`,
    })

  const self = (more: AnswerMap = {}): AnswerMap => ({
    host: { agent_ip: '127.0.0.1' },
    service: { metadata: { aliases: { app: ['www', 'shop'] }, ...more } },
  })

  const container = (name: string, facts: Partial<ContainerFacts> & { port: number; proxy?: string }) =>
    metadataContainer({
      name,
      uuid: `uuid-of-${name}`,
      labels: {
        'com.example.port': String(facts.port),
        ...(facts.proxy !== undefined && { 'com.example.proxy': facts.proxy }),
      },
      ...facts,
    })

  const tree = (...more: AnswerMap[]) =>
    metadataTree([
      container('app_web_2', { stack: 'app', service: 'web', port: proxied.port, proxy: 'send-proxy-v2' }),
      container('app_web_1', { stack: 'app', service: 'web', port: proxied.port, proxy: 'send-proxy-v2' }),
      container('early_web_1', { stack: 'early', service: 'web', port: 80, ip: '' }),
      metadataContainer({ name: 'stranger', stack: 'stranger' }),
      ...more,
    ])
  const late = () => container('late_web_1', { stack: 'late', service: 'web', port: plain.port })

  beforeEach(async () => {
    ;[plain, proxied] = [await startUpstream('plain'), await startProxyProtocolUpstream('proxied')]
    pem = await makePem('ci.example.com')
    metadata = await startMetadataServer({ self: self({ ssl_cert: pem.certificate, ssl_key: pem.key }) })
    lines = ''
    syslog = createSocket('udp4').on('message', (message) => {
      lines += `${message}\n`
    })
    syslog.bind(0, '127.0.0.1')
    await once(syslog, 'listening')
    const made = await createRig()
    for (const name of Object.keys(made.env))
      if (!OURS.includes(name)) delete (made.env as Record<string, string>)[name]
    Object.assign(made.env, variables(made, metadata))
    rig = made
    rig.keep(plain, proxied)
    metadata.set(tree())
    rig.write('haproxy.cfg', base())
  })
  afterEach(async () => {
    await rig?.close()
    await metadata?.close()
    syslog?.close()
  })

  async function expectServing(): Promise<void> {
    for (const name of ['app', 'www', 'shop']) {
      expect((await rig.ask(`${name}.ci.example.com`)).echo?.proxy).toBe('v2 TCP4 127.0.0.1')
    }
    expect((await rig.ask('nobody.ci.example.com')).body).toBe('sorry')
    expect(await servedSerial(rig.ports.https, 'app.ci.example.com')).toBe(pem.serial)
    expect(statSync(rig.path('server.pem')).mode & 0o777).toBe(0o600)
    // local2 is 18, info is 6.
    await until('the request is logged there', () => /^<150>.* app\/web-uuid-of-app_web_/m.test(lines))
  }

  const expectedMap = (...more: string[]) =>
    [
      ...['app.ci.example.com app', 'early.ci.example.com early', ...more],
      ...['shop.ci.example.com app', 'www.ci.example.com app'],
    ]
      .map((line) => `${line}\n`)
      .join('')

  function expectFiles(...more: string[]): void {
    expect(rig.read('out/domain.map')).toBe(expectedMap(...more))
    expect(rig.read('out/haproxy-backends.cfg')).toContain(`backend app
  mode http
  server web-uuid-of-app_web_1 127.0.0.1:${proxied.port} send-proxy-v2
  server web-uuid-of-app_web_2 127.0.0.1:${proxied.port} send-proxy-v2
`)
  }

  test('generate-maps and haproxy, two processes that share a folder', async () => {
    const haproxy = await rig.start(['haproxy'], { ready: false })
    const generator = await rig.start(['generate-maps'], { env: { HOSTLER_STATE_DIR: rig.path('other-state') } })
    await until('haproxy has them', async () => (await haproxy.get('/readyz')).status === 200)
    expectFiles()
    await expectServing()
    metadata.set(tree(late()))
    await rig.untilServedBy('plain', 'late.ci.example.com')
    expectFiles('late.ci.example.com late')

    metadata.fault('down')
    await until('the outage is told', async () => (await generator.get('/readyz')).status === 503)
    expectFiles('late.ci.example.com late')
    await rig.untilServedBy('plain', 'late.ci.example.com')

    expect(await generator.stop()).toBe(0)
    const again = await rig.start(['generate-maps'], {
      env: { HOSTLER_STATE_DIR: rig.path('third-state') },
      ready: false,
    })
    await until('the outage is told', async () => (await again.get('/readyz')).body.includes('metadata'))
    expectFiles('late.ci.example.com late')
    metadata.fault(undefined)
    metadata.set(tree())
    await until('the stack is gone', async () => (await rig.ask('late.ci.example.com')).body === 'sorry')
    expect(await haproxy.stop()).toBe(0)
  })

  test('run, which is both', async () => {
    const hostler = await rig.start(['run'])
    expectFiles()
    await expectServing()
    const stats = `http://127.0.0.1:${rig.ports.stats}/`
    expect((await fetch(stats)).status).toBe(401)
    const authorization = `Basic ${Buffer.from('ops:secret').toString('base64')}`
    expect((await fetch(stats, { headers: { authorization } })).status).toBe(200)
    expect(hostler.log()).toMatch(/"container":"early_web_1".*no address yet/)
    metadata.set(tree(late()))
    await rig.untilServedBy('plain', 'late.ci.example.com')
    metadata.setSelf({ ...self(), service: { metadata: { aliases: { late: 'alias' } } } })
    await rig.untilServedBy('plain', 'alias.ci.example.com')
    expect((await rig.ask('www.ci.example.com')).body).toBe('sorry')
    const before = rig.read('out/haproxy-backends.cfg')
    for (const fault of ['garbage', 'down'] as const) {
      metadata.fault(fault)
      metadata.reload()
      await until(`${fault} is told`, async () => (await hostler.get('/readyz')).status === 503)
      metadata.fault(undefined)
      await hostler.ready()
    }
    expect(rig.read('out/haproxy-backends.cfg')).toBe(before)
    await rig.untilServedBy('plain', 'late.ci.example.com')
  })

  test.each(['2015-07-25', '2015-12-19', '2016-07-29', 'latest'])('every version of metadata: %s', async (version) => {
    const { code, stdout, stderr } = await rig.run(['render'], {
      RANCHER_API_VERSION: version,
      HOSTLER_LOG_LEVEL: 'error',
    })
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toContain(expectedMap())
  })

  test('a certificate in base64, and ours for the frontends where the operator has none', async () => {
    const base64 = (text: string) => Buffer.from(text).toString('base64')
    metadata.setSelf(self({ ssl_cert: base64(pem.certificate), ssl_key: base64(pem.key) }))
    rig.write('haproxy.cfg', 'defaults\n  mode http\n  timeout connect 5s\n  timeout client 9s\n  timeout server 9s\n')
    await rig.start(['run'], {
      env: { SSL_BASE64_ENCODED: 'true', ENABLE_SSL_REDIRECTION: 'true', SSL_REDIRECTION_TYPE: '307' },
    })
    expect(await servedSerial(rig.ports.https, 'app.ci.example.com')).toBe(pem.serial)
    expect((await rig.ask('app.ci.example.com')).status).toBe(307)
    expect((await rig.ask('app.ci.example.com', '/', { tls: true })).echo?.app).toBe('proxied')
  })

  test('a certificate file that is there wins', async () => {
    const own = await makePem('own.example.com')
    rig.write('server.pem', own.both)
    await rig.start(['run'])
    expect(await servedSerial(rig.ports.https, 'app.ci.example.com')).toBe(own.serial)
    expect(rig.read('server.pem')).toBe(own.both)
  })

  test('a certificate that metadata could not give at the start is filled in later', async () => {
    metadata.fault('500', /ssl_/)
    const hostler: RunningHostler = await rig.start(['run'], { ready: false })
    await until('its lack is told', () => hostler.log().includes('the certificate could not be taken from metadata'))
    expect(hostler.log()).not.toContain(pem.key.split('\n')[1])
    metadata.fault(undefined)
    await until('it is served', async () => (await servedSerial(rig.ports.https, 'app.ci.example.com')) === pem.serial)
    await hostler.ready()
  })
})
