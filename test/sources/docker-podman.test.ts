import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { isLive } from '../../src/model/instance.js'
import { ownContainerIds } from '../../src/sources/docker/own-container.js'
import { startPodman, type TestPodman } from '../support/podman.js'
import { freePort } from '../support/ports.js'
import { describeWith } from '../support/servers.js'
import { until } from '../support/wait.js'
import { describeSourceContract } from './contract.js'
import { openGate } from './docker-gate.js'
import { dockerSource, type Followed, follow, list, listed } from './docker-source.js'

const LABELS = { 'hostler.port': '80' }

describeWith(['podman', 'netavark', 'busybox'], 'the docker source on Podman', () => {
  let engine: TestPodman
  let followed: Followed | undefined
  beforeAll(async () => {
    engine = await startPodman()
  })
  afterAll(() => engine?.stop())
  afterEach(async () => {
    await followed?.stop()
    followed = undefined
    engine.removeContainers()
  })

  describeSourceContract('podman', async () => {
    const gate = await openGate(engine.socket)
    const there = new Set<string>()
    const put = async (names: string[]) => {
      const gone = [...there].filter((name) => !names.includes(name))
      if (gone.length > 0) engine.podman('rm', '--force', '--time', '0', ...gone)
      for (const name of names) if (!there.has(name)) await engine.run({ name, labels: LABELS })
      for (const name of gone) there.delete(name)
      for (const name of names) there.add(name)
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

  test('lists a container with its address and every port, though Podman’s list has published ports only', async () => {
    const published = await freePort()
    const { id } = await engine.run({ name: 'web', labels: LABELS, expose: [80, 8080], publish: { 80: published } })
    const web = await listed(dockerSource(engine.host), 'web')
    expect(web).toMatchObject({ id, name: 'web', state: 'running', health: 'none', labels: LABELS })
    expect(web.networks).toEqual([{ name: 'apps', address: expect.stringMatching(/^10\./), shared: false }])
    expect(web.ports).toEqual([{ port: 80, published: { address: '127.0.0.1', port: published } }, { port: 8080 }])
    const reached = await until('it answers', () => fetch(`http://${web.networks[0]?.address}/`))
    expect(reached.status).toBe(200)
  })

  test('inspects each container once; later passes are one list call', async () => {
    await engine.run({ name: 'web', labels: LABELS })
    await engine.run({ name: 'asleep', labels: LABELS, start: false })
    const gate = await openGate(engine.socket)
    const source = dockerSource(gate.host)
    const first = await list(source)
    expect(first.map(({ name, state }) => `${name} ${state}`).sort()).toEqual(['asleep stopped', 'web running'])
    expect(gate.count('inspect')).toBe(2)
    gate.forget()
    expect(await list(source)).toBe(first)
    expect(gate.requests()).toEqual(['GET /containers/json'])
    await gate.close()
  })

  test('lists what is on the host’s network, and what uses another container’s', async () => {
    const port = await freePort()
    await engine.run({ name: 'hosted', labels: LABELS, networks: ['host'], expose: [port], env: [`PORT=${port}`] })
    const owner = await engine.run({ name: 'owner' })
    await engine.run({ name: 'guest', labels: LABELS, networks: [`container:${owner.id}`], cmd: ['sleep', '1000'] })
    const source = dockerSource(engine.host, { address: '127.0.0.1' })
    expect((await listed(source, 'hosted')).networks).toEqual([{ name: 'host', address: '127.0.0.1', shared: true }])
    const { networks } = await listed(source, 'guest')
    expect(networks).toEqual([{ name: 'apps', address: await owner.address('apps'), shared: false }])
  })

  test('knows the container that we run in by its mounts', async () => {
    const cmd = ['sh', '-c', 'cat /proc/self/mountinfo > /www/mounts; cat /proc/self/cgroup > /www/cgroups; serve']
    const own = await engine.run({ name: 'self', cmd, hostConfig: { NetworkMode: engine.network } })
    const base = `http://${await own.address(engine.network)}`
    const read = (name: string) => until(`${name} can be read`, () => fetch(`${base}/${name}`).then((r) => r.text()))
    const [mounts, cgroups] = [await read('mounts'), await read('cgroups')]
    expect(ownContainerIds({ hostname: 'chosen', mounts, cgroups })[0]).toBe(own.id)
    expect(ownContainerIds({ hostname: own.id.slice(0, 12), mounts: '', cgroups: '' })).toEqual([own.id.slice(0, 12)])
  })

  test('follows a life from creation to removal without a list', async () => {
    const gate = await openGate(engine.socket)
    followed = await follow(dockerSource(gate.host))
    gate.forget()
    const { container } = await engine.run({ name: 'web', labels: LABELS })
    await followed.sees('web', 'live', isLive)
    await container.pause()
    await followed.sees('web', 'paused', ({ state }) => state === 'paused')
    await container.unpause()
    await followed.sees('web', 'live again', isLive)
    await container.rename({ name: 'shop' })
    await followed.sees('shop', 'known by its new name', isLive)
    await container.stop()
    await followed.sees('shop', 'stopped', ({ state }) => state === 'stopped')
    await container.start()
    await followed.sees('shop', 'live once more', isLive)
    await container.remove({ force: true })
    await until('it is gone', () => followed?.latest('shop') === undefined)
    expect(gate.count('list')).toBe(0)
    expect(followed.failures).toEqual([])
    await gate.close()
  })

  test('knows health from inspecting, by event and in every full pass', async () => {
    await engine.run({ name: 'web', labels: LABELS, health: 'test ! -e /tmp/ill' })
    const source = dockerSource(engine.host)
    expect((await listed(source, 'web')).health).toBe('starting')
    engine.podman('healthcheck', 'run', 'web')
    expect((await listed(source, 'web')).health).toBe('healthy')
    followed = await follow(source)
    engine.podman('exec', 'web', 'touch', '/tmp/ill')
    expect(() => engine.podman('healthcheck', 'run', 'web')).toThrow()
    await followed.sees('web', 'unhealthy', ({ health }) => health === 'unhealthy')
  })

  test('goes through a restart of the service, which its containers survive', async () => {
    await engine.run({ name: 'web', labels: LABELS })
    followed = await follow(dockerSource(engine.host))
    const before = followed.latest('web')
    const reported = followed.reports.length
    await engine.halt()
    await until('the outage is told', () => followed?.failures.length === 1)
    await engine.resume()
    await until('it reports again', () => (followed?.reports.length ?? 0) > reported)
    expect(followed.latest('web')).toBe(before)
    expect(followed.failures).toHaveLength(1)
  })
})
