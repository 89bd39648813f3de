import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { startConsul, type TestConsul } from '../support/consul.js'
import { type RunningHostler, startHostler } from '../support/hostler.js'
import { createRig, type Rig, type StackEntry, stacksYaml } from '../support/rig.js'
import { describeWith } from '../support/servers.js'
import { tempDir } from '../support/temp.js'
import { startUpstream } from '../support/upstreams.js'
import { until } from '../support/wait.js'

/** Longer than a start takes on a machine that has much else to do. */
const LEASE_MS = 8000
/** Of a member of the gossip. */
const FAILED = 4

/** A machine with containers, an agent of Consul and a Hostler that only announces. */
interface Host {
  readonly consul: TestConsul
  hostler: RunningHostler | undefined
  stacks(entries: readonly StackEntry[]): void
  /** Starts its Hostler, again where it was killed. */
  start(): Promise<void>
}

describeWith(['consul', 'haproxy'], 'hosts with containers, and a proxy elsewhere, with Consul between them', () => {
  let server: TestConsul
  let rig: Rig
  let proxy: RunningHostler
  const hosts: Host[] = []
  const ports = new Map<string, number>()

  beforeAll(async () => {
    server = await startConsul()
    rig = await createRig({ HOSTLER_SOURCES: 'consul', CONSUL_HTTP_ADDR: server.url })
    for (const name of ['web-a', 'web-b', 'api-b', 'new-a']) {
      const upstream = await startUpstream(name)
      ports.set(name, upstream.port)
      rig.keep(upstream)
    }
    hosts.push(await startHost('host-a'), await startHost('host-b'))
    at(0).stacks([entry('web-a', 'shop')])
    at(1).stacks([entry('web-b', 'shop'), entry('api-b', 'api')])
    for (const host of hosts) await host.start()
    proxy = await rig.start()
  })
  afterAll(async () => {
    for (const { hostler } of hosts) await hostler?.stop()
    await rig?.close()
    for (const { consul } of hosts) await consul.stop()
    await server?.stop()
  })

  async function startHost(name: string): Promise<Host> {
    const consul = await startConsul({ of: server, node: name })
    const dir = tempDir()
    const path = join(dir, 'stacks.yml')
    const env = {
      ...{ HOSTLER_SOURCES: 'file', HOSTLER_FILE: path, HOSTLER_PROXY: 'none', HOSTLER_REGISTRIES: 'consul' },
      ...{ HOSTLER_DOMAIN: 'ci.example.com', HOSTLER_ANNOUNCE_NAME: name, CONSUL_HTTP_ADDR: consul.url },
      ...{ HOSTLER_CONSUL_LEASE: `${LEASE_MS}ms`, HOSTLER_PRIVATE_LISTEN: '127.0.0.1:0', HOSTLER_STATE_DIR: dir },
      HOSTLER_POLL_INTERVAL: '10m',
    }
    const host: Host = {
      consul,
      hostler: undefined,
      stacks: (entries) => writeFileSync(path, stacksYaml(entries)),
      async start() {
        host.hostler = startHostler(['run'], env)
        await host.hostler.ready()
      },
    }
    return host
  }

  const at = (index: number): Host => hosts[index] as Host
  const entry = (name: string, stack: string): StackEntry => ({
    ...{ name, stack, service: 'web' },
    labels: { port: ports.get(name) ?? 0 },
  })
  /** Which apps answer at a host name, of twenty requests in a row. */
  async function answering(host: string): Promise<string> {
    const answers = await Promise.all(Array.from({ length: 20 }, () => rig.ask(host)))
    return [...new Set(answers.map(({ echo, status }) => echo?.app ?? String(status)))].sort().join(' ')
  }
  const answers = (host: string, apps: string, timeoutMs?: number) =>
    until(`${host} is answered by ${apps}`, async () => (await answering(host)) === apps, timeoutMs)
  const seesServerFail = async ({ consul }: Host) => {
    const members = await consul.call<{ Name: string; Status: number }[]>('GET', '/v1/agent/members')
    return members.some(({ Name, Status }) => Name === server.node && Status === FAILED)
  }
  const hasEverything = async () => {
    const services = await server.call<Record<string, unknown>>('GET', '/v1/catalog/services')
    return 'api-web' in services && 'shop-web' in services
  }
  const SHOP = 'shop.ci.example.com'
  const API = 'api.ci.example.com'
  const NEW = 'new.ci.example.com'

  test('what runs on any of them is served, one stack on two hosts by both', async () => {
    await answers(SHOP, 'web-a web-b')
    await answers(API, 'api-b')
    expect((await proxy.state()).problems).toEqual([])
  })

  test('what comes to one is served, and what goes is not', async () => {
    at(0).stacks([entry('web-a', 'shop'), entry('new-a', 'new')])
    await answers(NEW, 'new-a')
    at(0).stacks([entry('web-a', 'shop')])
    await until('it is gone', async () => (await rig.ask(NEW)).echo === undefined)
    await answers(SHOP, 'web-a web-b')
  })

  test('an agent that is killed takes its own with it, within the lease, and brings it back', async () => {
    await at(1).hostler?.stop('SIGKILL')
    await answers(SHOP, 'web-a', LEASE_MS + 2000)
    await until('what only it had is gone', async () => (await rig.ask(API)).echo === undefined)
    await at(1).start()
    await answers(SHOP, 'web-a web-b')
    await answers(API, 'api-b')
  })

  test('one that is stopped and started in time goes unnoticed', async () => {
    await at(1).hostler?.stop()
    await at(1).start()
    expect(await answering(SHOP)).toBe('web-a web-b')
  })

  test('while the server is away, and has lost all it knew, everything is served on', async () => {
    const wrong: string[] = []
    const over = new AbortController()
    const watch = (async () => {
      while (!over.signal.aborted) {
        const { echo, status } = await rig.ask(API)
        if (echo?.app !== 'api-b') wrong.push(String(status))
      }
    })()
    try {
      await server.kill()
      await until('the outage is told', async () => (await proxy.state()).sources[0]?.error !== undefined)
      // An agent that has missed it would tell everything again only within a minute.
      await until('the agents know', async () => (await Promise.all(hosts.map(seesServerFail))).every(Boolean))
      await server.resume('lost')
      for (const { consul } of hosts) await consul.call('PUT', `/v1/agent/join/${server.gossip}`)
      await until('the agents have told it everything again', hasEverything)
      await until('it is read again', async () => (await proxy.state()).sources[0]?.error === undefined)
    } finally {
      over.abort()
      await watch
    }
    expect(wrong).toEqual([])
    await answers(SHOP, 'web-a web-b')
  })

  test('an agent of Consul that comes back with nothing is told everything again', async () => {
    await at(0).consul.kill()
    await at(0).consul.resume('lost')
    await until(
      'it has its service',
      async () => {
        const services = await at(0).consul.call<Record<string, unknown>>('GET', '/v1/agent/services')
        return Object.keys(services).some((id) => id.startsWith('shop-web'))
      },
      5000,
    )
    await answers(SHOP, 'web-a web-b')
  })
})
