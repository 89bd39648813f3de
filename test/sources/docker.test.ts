import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { fromInspect, fromListEntry } from '../../src/sources/docker/decode.js'
import { ownContainerIds } from '../../src/sources/docker/own-container.js'
import { createVantage, toInstance } from '../../src/sources/docker/vantage.js'
import { startDockerd, type TestDockerd } from '../support/dockerd.js'
import { freePort } from '../support/ports.js'
import { describeWith } from '../support/servers.js'
import { until } from '../support/wait.js'
import { describeSourceContract } from './contract.js'
import { openGate } from './docker-gate.js'
import { dockerSource, list, listed } from './docker-source.js'

const PORT_80 = { 'hostler.port': '80' }

describeWith(['dockerd', 'busybox'], 'the docker source lists', () => {
  let engine: TestDockerd
  beforeAll(async () => {
    engine = await startDockerd()
  })
  afterAll(() => engine?.stop())

  describeSourceContract('docker', async () => {
    const gate = await openGate(engine.socket)
    const there = new Map<string, string>()
    const put = async (names: string[]) => {
      const gone = [...there].filter(([name]) => !names.includes(name))
      await Promise.all(gone.map(([, id]) => engine.docker.getContainer(id).remove({ force: true })))
      for (const [name] of gone) there.delete(name)
      const fresh = names.filter((name) => !there.has(name))
      const made = await Promise.all(fresh.map((name) => engine.run({ name, labels: PORT_80 })))
      for (const { name, id } of made) there.set(name, id)
    }
    return {
      source: dockerSource(gate.host),
      put,
      breakOff: gate.cut,
      mend: gate.mend,
      close: async () => {
        await gate.close()
        await put([])
      },
    }
  })

  test('a container with its labels, its address, its ports and its time of creation', async () => {
    const container = await engine.run({
      name: 'plain',
      labels: { ...PORT_80, 'com.docker.compose.project': 'shop' },
      expose: [8080, 80],
    })
    const { Created } = await container.container.inspect()
    expect(await listed(dockerSource(engine.host), 'plain')).toEqual({
      id: container.id,
      source: 'docker',
      name: 'plain',
      labels: { ...PORT_80, 'com.docker.compose.project': 'shop' },
      state: 'running',
      health: 'none',
      createdAt: Math.floor(Date.parse(Created) / 1000) * 1000,
      networks: [{ name: 'apps', address: await container.address(), shared: false }],
      ports: [{ port: 80 }, { port: 8080 }],
    })
  })

  test('only containers that could take part', async () => {
    await engine.run({ name: 'unlabelled' })
    const names = (await list(dockerSource(engine.host))).map(({ name }) => name)
    expect(names).not.toContain('unlabelled')
  })

  test('a container in several networks with each of them, by name, and the ones that the proxy shares', async () => {
    const [zebra, aardvark] = [await engine.createNetwork('zebra'), await engine.createNetwork('aardvark')]
    await engine.run({ name: 'proxy', networks: [zebra] })
    const both = await engine.run({ name: 'both', labels: PORT_80, networks: [zebra, aardvark] })
    const expected = [
      { name: 'aardvark', address: await both.address('aardvark'), shared: false },
      { name: 'zebra', address: await both.address('zebra'), shared: true },
    ]
    expect((await listed(dockerSource(engine.host, { proxyContainer: 'proxy' }), 'both')).networks).toEqual(expected)
  })

  test('our own container as the proxy, found by its host name, and its gateway as the address of the host', async () => {
    const own = await engine.run({ name: 'own' })
    await engine.run({ name: 'on-host', labels: PORT_80, networks: ['host'], env: [`PORT=${await freePort()}`] })
    await engine.run({ name: 'beside', labels: PORT_80 })
    const surroundings = { hostname: own.id.slice(0, 12), mounts: '', cgroups: '' }
    const source = dockerSource(engine.host, {}, { surroundings })
    const { NetworkSettings } = await own.container.inspect()
    expect((await listed(source, 'on-host')).networks).toEqual([
      { name: 'host', address: NetworkSettings.Networks['apps']?.Gateway, shared: true },
    ])
    expect((await listed(source, 'beside')).networks[0]?.shared).toBe(true)
  })

  test('the container that we run in, known by its mounts', async () => {
    const cmd = ['sh', '-c', 'cat /proc/self/mountinfo > /www/mounts; cat /proc/self/cgroup > /www/cgroups; serve']
    const own = await engine.run({ name: 'self', cmd, hostConfig: { NetworkMode: engine.network } })
    const base = `http://${await own.address(engine.network)}`
    const read = (name: string) => until(`${name} can be read`, () => fetch(`${base}/${name}`).then((r) => r.text()))
    const [mounts, cgroups] = [await read('mounts'), await read('cgroups')]
    expect(ownContainerIds({ hostname: 'chosen', mounts, cgroups })[0]).toBe(own.id)
    expect(ownContainerIds({ hostname: own.id.slice(0, 12), mounts: '', cgroups: '' })).toEqual([own.id.slice(0, 12)])
  })

  test('a container on the host’s network by the host’s address, with the ports that its image exposes', async () => {
    const port = await freePort()
    await engine.run({ name: 'hosted', labels: PORT_80, networks: ['host'], env: [`PORT=${port}`], expose: [port] })
    const source = dockerSource(engine.host, { address: '127.0.0.1' })
    const { networks, ports } = await listed(source, 'hosted')
    expect(networks).toEqual([{ name: 'host', address: '127.0.0.1', shared: true }])
    expect(ports).toEqual([{ port }])
    const reached = await until('it answers there', () => fetch(`http://${networks[0]?.address}:${port}/`))
    expect(reached.status).toBe(200)
  })

  test('a container that uses another one’s network at that one’s addresses', async () => {
    const owner = await engine.run({ name: 'owner', publish: { 80: await freePort() } })
    await engine.run({ name: 'guest', labels: PORT_80, networks: [`container:${owner.id}`], cmd: ['sleep', '1000'] })
    const guest = await listed(dockerSource(engine.host), 'guest')
    expect(guest.networks).toEqual([{ name: 'apps', address: await owner.address(), shared: false }])
    expect(guest.ports.map(({ port }) => port)).toEqual([80])
  })

  test('published ports at the address that they are bound to, or at the host’s', async () => {
    const [everywhere, loopback] = [await freePort(), await freePort()]
    await engine.run({
      name: 'published',
      labels: PORT_80,
      expose: [80, 81, 82],
      hostConfig: {
        NetworkMode: 'apps',
        PortBindings: {
          '80/tcp': [{ HostPort: String(everywhere) }],
          '81/tcp': [{ HostIp: '127.0.0.1', HostPort: String(loopback) }],
          '53/udp': [{ HostPort: String(everywhere) }],
        },
      },
    })
    const source = dockerSource(engine.host, { reach: 'published', address: '127.0.0.1' })
    const { networks, ports } = await listed(source, 'published')
    expect(networks).toEqual([])
    expect(ports).toEqual([
      { port: 80, published: { address: '127.0.0.1', port: everywhere } },
      { port: 81, published: { address: '127.0.0.1', port: loopback } },
      { port: 82 },
    ])
    const reached = await until('it answers there', () => fetch(`http://127.0.0.1:${everywhere}/`))
    expect(reached.status).toBe(200)
  })

  test('a container that does not run with its ports, without addresses, at the cost of one inspect ever', async () => {
    await engine.run({ name: 'asleep', labels: PORT_80, publish: { 80: await freePort() }, start: false })
    const gate = await openGate(engine.socket)
    const source = dockerSource(gate.host)
    const asleep = await listed(source, 'asleep')
    expect(asleep).toMatchObject({ state: 'stopped', networks: [], ports: [{ port: 80 }] })
    expect(asleep.ports[0]).not.toHaveProperty('published')
    gate.forget()
    expect(await listed(source, 'asleep')).toBe(asleep)
    expect(gate.requests()).toEqual(['GET /containers/json'])
    await gate.close()
  })

  test('the same as inspecting does, whatever the state, the network and the health', async () => {
    await engine.run({ name: 'sick', labels: PORT_80, health: 'false' })
    await engine.run({ name: 'well', labels: PORT_80, health: 'true' })
    const paused = await engine.run({ name: 'paused', labels: PORT_80, health: 'true' })
    const ended = await engine.run({ name: 'ended', labels: PORT_80, publish: { 80: await freePort() } })
    await engine.run({ name: 'linked', labels: PORT_80, networks: ['none'] })
    await paused.container.pause()
    await ended.container.stop()
    await until('the health is known', async () => {
      const healths = (await list(dockerSource(engine.host))).map(({ health }) => health)
      return healths.includes('unhealthy') && healths.includes('healthy') && !healths.includes('starting')
    })

    const vantage = createVantage(
      { reach: 'network', address: '192.0.2.1', remoteHost: undefined, rootless: false },
      undefined,
    )
    const context = { source: 'docker', vantage, joined: undefined, stopping: false }
    const entries = await engine.docker.listContainers({ all: true })
    expect(entries.length).toBeGreaterThan(10)
    for (const entry of entries) {
      const byList = fromListEntry(entry, false)
      const byInspect = fromInspect(await engine.docker.getContainer(entry.Id).inspect())
      if (!byList || !byInspect) throw new Error('not decoded')
      const [one, other] = [toInstance(byList, context), toInstance(byInspect, context)]
      // Where the list says that it does not know the ports, only the rest is compared.
      expect(byList.complete ? one : { ...one, ports: [] }).toEqual(byList.complete ? other : { ...other, ports: [] })
    }
    const states = (await list(dockerSource(engine.host))).map(
      ({ name, state, health }) => `${name} ${state} ${health}`,
    )
    expect(states).toEqual(
      expect.arrayContaining([
        'sick running unhealthy',
        'well running healthy',
        'paused paused none',
        'ended stopped none',
      ]),
    )
  })
})
