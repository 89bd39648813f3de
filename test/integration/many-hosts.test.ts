import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { createRuntimeSocket } from '../../src/proxies/haproxy/runtime/socket.js'
import { startConsul } from '../support/consul.js'
import { startDockerd, type TestContainer, type TestDockerd } from '../support/dockerd.js'
import { startEtcd } from '../support/etcd.js'
import { keepAliveClients } from '../support/haproxy.js'
import { type RunningHostler, startHostler } from '../support/hostler.js'
import { createLan, type Lan, type LanHost } from '../support/lan.js'
import { createRig, type Rig } from '../support/rig.js'
import { describeWith } from '../support/servers.js'
import { tempDir } from '../support/temp.js'
import { until } from '../support/wait.js'

const LEASE_MS = 2000
/** How long anything may take that has no limit of its own; on an idle machine it is a fraction of that. */
const PATIENCE_MS = 30_000
const NAMES = ['a', 'b', 'c'] as const
type Name = (typeof NAMES)[number]

interface Host extends LanHost {
  readonly name: Name
  readonly dockerd: TestDockerd
}

/** What all Hostlers share. */
interface SharedRegistry {
  /** Settings of every Hostler that reads or writes there. */
  readonly env: Readonly<Record<string, string>>
  kill(): Promise<void>
  resume(memory: 'kept' | 'lost'): Promise<void>
  stop(): Promise<void>
}

const REGISTRIES = {
  async etcd(address: string): Promise<SharedRegistry> {
    const etcd = await startEtcd({ address })
    const env = { ETCD_ENDPOINT: etcd.endpoint, HOSTLER_ETCD_LEASE: `${LEASE_MS}ms` }
    return { ...etcd, env, resume: (memory) => etcd.resume(memory === 'kept' ? 'same' : 'empty') }
  },
  async consul(address: string): Promise<SharedRegistry> {
    const consul = await startConsul({ address })
    return { ...consul, env: { CONSUL_HTTP_ADDR: consul.url, HOSTLER_CONSUL_LEASE: `${LEASE_MS}ms` } }
  },
}

describeWith(['haproxy', 'dockerd', 'busybox', 'etcd', 'consul', 'ip'], 'many hosts', () => {
  let lan: Lan
  const hosts = new Map<Name, Host>()
  const host = (name: Name) => hosts.get(name) as Host
  let publishedPort = 18_000

  beforeAll(async () => {
    lan = await createLan()
    for (const name of NAMES) {
      const added = await lan.addHost()
      hosts.set(name, { ...added, name, dockerd: await startDockerd({ within: added.within }) })
    }
  })
  afterAll(async () => {
    await Promise.all([...hosts.values()].map(({ dockerd }) => dockerd.stop()))
    await lan?.close()
  })

  describe.each(['etcd', 'consul'] as const)('with %s', (kind) => {
    let registry: SharedRegistry
    const agents = new Map<Name, RunningHostler>()
    const proxies: Rig[] = []
    const running = new Map<Rig, RunningHostler>()
    /** What runs, by stack: the hosts that it runs on. */
    const world = new Map<string, Map<Name, TestContainer>>()
    const stateDirs = new Map(NAMES.map((name) => [name, tempDir()]))

    async function startAgent(name: Name): Promise<void> {
      const { address, dockerd, within } = host(name)
      const env = {
        HOSTLER_SOURCES: 'docker',
        DOCKER_HOST: dockerd.host,
        HOSTLER_PROXY: 'none',
        HOSTLER_REGISTRIES: kind,
        HOSTLER_ANNOUNCE_NAME: name,
        HOSTLER_ANNOUNCE_ADDRESS: address,
        HOSTLER_STATE_DIR: stateDirs.get(name) as string,
        HOSTLER_PRIVATE_LISTEN: `${address}:0`,
        ...registry.env,
      }
      const agent = startHostler(['run'], env, '/', within)
      agents.set(name, agent)
      await agent.get('/healthz')
    }

    async function addProxy(name: Name): Promise<Rig> {
      const { address, within } = host(name)
      const places = { HOSTLER_BIND: address, HOSTLER_PRIVATE_LISTEN: `${address}:0` }
      const rig = await createRig({ HOSTLER_SOURCES: kind, ...places, ...registry.env }, within)
      proxies.push(rig)
      running.set(rig, await rig.start())
      return rig
    }

    /** Runs a container of the stack on a host; it publishes its port there and answers with `STACK-HOST`. */
    async function run(stack: string, on: Name): Promise<void> {
      const container = await host(on).dockerd.run({
        name: `${stack}-${on}`,
        labels: { 'hostler.port': '80', 'hostler.stack': stack, 'hostler.service': 'web' },
        publish: { 80: publishedPort++ },
        create: { Hostname: `${stack}-${on}` },
      })
      world.set(stack, (world.get(stack) ?? new Map()).set(on, container))
    }

    async function remove(stack: string, on: Name): Promise<void> {
      await world.get(stack)?.get(on)?.container.remove({ force: true })
      world.get(stack)?.delete(on)
    }

    const hostOf = (stack: string) => `${stack}.ci.example.com`

    /** Who answers for a stack at a proxy, asked often enough to hear everybody. */
    async function answering(rig: Rig, stack: string): Promise<string[]> {
      const heard = new Set<string>()
      for (let asked = 0; asked < 4; asked++) {
        const { status, body } = await rig.ask(hostOf(stack))
        heard.add(status === 200 ? body.trim() : [404, 503].includes(status) ? 'nobody' : `status ${status}`)
      }
      return [...heard].sort()
    }

    /** The servers that HAProxy has for a stack. */
    async function serving(rig: Rig, stack: string): Promise<string[]> {
      const socket = createRuntimeSocket(rig.path('state/haproxy-admin.sock'))
      const { text } = await socket.ask('show servers state', new AbortController().signal)
      const names = text.split('\n').map((line) => line.split(' ')[3] ?? '')
      const ours = names.filter((name) => NAMES.some((on) => name === `${stack}-${on}`)).sort()
      return ours.length > 0 ? ours : ['nobody']
    }

    /**
     * Both proxies serve exactly what runs, save for what is told. They are asked when HAProxy has no other servers: a
     * worker of 2.6 dies of a request that is about to be tried again when its server is deleted.
     */
    async function served(told: Record<string, readonly string[]> = {}, timeoutMs = PATIENCE_MS): Promise<void> {
      const deadline = performance.now() + timeoutMs
      const names = (stack: string) => [...(world.get(stack)?.keys() ?? [])].map((name) => `${stack}-${name}`).sort()
      for (const rig of proxies) {
        for (const stack of world.keys()) {
          const wanted = String(told[stack] ?? (names(stack).length > 0 ? names(stack) : 'nobody'))
          for (const look of [serving, answering]) {
            let seen = ''
            const isSo = async () => {
              seen = String(await look(rig, stack))
              return seen === wanted
            }
            const what = `${look.name} for ${stack} at proxy ${proxies.indexOf(rig)}: ${wanted}`
            await until(what, isSo, Math.max(deadline - performance.now(), 1000)).catch((cause) => {
              throw new Error(`${what}; it is ${seen}`, { cause })
            })
          }
        }
      }
    }

    /** Asks both proxies for these stacks all the time; not one request may fail. */
    async function whileAsked(
      stacks: readonly string[],
      what: () => Promise<void>,
      at: readonly Rig[] = proxies,
    ): Promise<void> {
      const clients = at.flatMap((rig) =>
        stacks.map((stack) => {
          const url = `http://${rig.env['HOSTLER_BIND']}:${rig.ports.http}/`
          return { stack, ...keepAliveClients(url, 1, { host: hostOf(stack) }, 25) }
        }),
      )
      let failed: string[] = []
      try {
        await what()
      } finally {
        const ends = await Promise.all(clients.map(async ({ stack, stop }) => ({ stack, ...(await stop()) })))
        failed = ends.flatMap(({ stack, answered, failures }) => [
          ...failures.map((failure) => `${stack}: ${failure}`),
          ...(answered === 0 ? [`${stack}: nobody asked`] : []),
        ])
      }
      expect(failed).toEqual([])
    }

    beforeAll(async () => {
      registry = await REGISTRIES[kind](lan.address)
      await run('steady', 'c')
      await run('spread', 'a')
      await run('spread', 'c')
      await Promise.all(NAMES.map((name) => startAgent(name)))
      await Promise.all([addProxy('a'), addProxy('b')])
      await served()
    })

    afterAll(async () => {
      await Promise.all(proxies.map((rig) => rig.close()))
      await Promise.all([...agents.values()].map((agent) => agent.stop()))
      await registry?.stop()
      await Promise.all(
        [...world.values()].flatMap((on) => [...on.values()]).map(({ container }) => container.remove({ force: true })),
      )
    })

    test('containers come and go on each host, and both proxies serve exactly what runs', async () => {
      await whileAsked(['steady', 'spread'], async () => {
        for (const name of NAMES) {
          await run(`app-${name}`, name)
          await run('everywhere', name)
          await served()
        }
        for (const name of NAMES) {
          await remove(`app-${name}`, name)
          await remove('everywhere', name)
          await served()
        }
      })
    })

    test('an agent that is killed takes its own routes along within its lease, and nobody else’s; it comes back', async () => {
      await run('lonely', 'a')
      await served()
      await whileAsked(['steady', 'spread'], async () => {
        await agents.get('a')?.stop('SIGKILL')
        await served({ lonely: ['nobody'], spread: ['spread-c'] }, LEASE_MS + 2000)
        await startAgent('a')
        await served()
      })
    })

    test.each(['kept', 'lost'] as const)(
      'a registry that restarts with its state %s: no request fails, and all is in step again',
      async (memory) => {
        await run('leaving', 'b')
        await served()
        await whileAsked(['steady', 'spread', 'lonely'], async () => {
          await registry.kill()
          // What a Consul has forgotten is waited for longer than this test may take.
          if (memory === 'kept') await remove('leaving', 'b')
          await run('coming', 'b')
          // Longer than anything lasts there that is not refreshed.
          await new Promise((resolve) => setTimeout(resolve, LEASE_MS * 2))
          await registry.resume(memory)
          await served()
          await remove('coming', 'b')
          await served()
        })
      },
    )

    test('a proxy whose Hostler is started anew while the registry is away serves what it knew', async () => {
      const [first, second] = proxies as [Rig, Rig]
      await registry.kill()
      await whileAsked(['steady', 'spread', 'lonely'], async () => {
        await running.get(second)?.stop('SIGKILL')
        running.set(second, await second.start(['run'], { ready: false }))
        await running.get(first)?.stop()
        running.set(first, await first.start(['run'], { ready: false }))
        await served()
      }, [second])
      await whileAsked(['steady', 'spread', 'lonely'], async () => {
        await registry.resume('kept')
        await run('late', 'c')
        await served()
      })
    })
  })
})
