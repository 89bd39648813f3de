import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { type Clock, systemClock } from '../../src/lib/clock.js'
import { isLive } from '../../src/model/instance.js'
import { startDockerd, type TestDockerd } from '../support/dockerd.js'
import { freePort } from '../support/ports.js'
import { describeWith } from '../support/servers.js'
import { until } from '../support/wait.js'
import { type Gate, openGate } from './docker-gate.js'
import { dockerSource, type Followed, follow, list, listed } from './docker-source.js'

const LABELS = { 'hostler.port': '80' }
/** Lives through every signal but KILL; says so once it does. */
const STUBBORN = ['sh', '-c', 'trap true HUP TERM QUIT; while true; do sleep 0.05; done']

describeWith(['dockerd', 'busybox'], 'the docker source follows', () => {
  let engine: TestDockerd
  let gate: Gate
  let followed: Followed | undefined

  beforeAll(async () => {
    engine = await startDockerd()
  })
  afterAll(() => engine?.stop())
  beforeEach(async () => {
    gate = await openGate(engine.socket)
  })
  afterEach(async () => {
    await followed?.stop()
    followed = undefined
    await gate.close()
    const all = await engine.docker.listContainers({ all: true })
    await Promise.all(all.map(({ Id }) => engine.docker.getContainer(Id).remove({ force: true })))
  })

  /** Follows through the gate; from then on only what events cost is counted. */
  async function start(clock: Clock = systemClock, docker = {}): Promise<Followed> {
    const now = await follow(dockerSource(gate.host, docker, { clock }))
    followed = now
    gate.forget()
    return now
  }

  test('a life from creation to removal, with one inspect per event and never a list', async () => {
    const seen = await start()
    const { container } = await engine.run({ name: 'web', labels: LABELS })
    await seen.sees('web', 'live', isLive)
    await container.pause()
    await seen.sees('web', 'paused', ({ state }) => state === 'paused')
    await container.unpause()
    await seen.sees('web', 'live again', isLive)
    await container.rename({ name: 'shop' })
    await seen.sees('shop', 'known by its new name', isLive)
    await container.stop()
    await seen.sees('shop', 'stopped', ({ state, networks }) => state === 'stopped' && networks.length === 0)
    await container.start()
    await seen.sees('shop', 'live once more', isLive)
    await container.kill()
    await seen.sees('shop', 'dead', ({ state }) => state === 'stopped')
    await container.remove()
    await until('it is gone', () => seen.latest('shop') === undefined)

    // create, connect, start · pause · unpause · rename · die, disconnect, stop · connect, start · die, disconnect
    expect(gate.count('inspect')).toBeLessThanOrEqual(13)
    expect(gate.count('list')).toBe(0)
    expect(seen.failures).toEqual([])
  })

  test('nothing of a container that takes no part', async () => {
    const seen = await start()
    const other = await engine.run({ name: 'other' })
    await other.container.stop()
    await engine.run({ name: 'web', labels: LABELS })
    await seen.sees('web', 'live', isLive)
    expect(gate.requests().filter((line) => line.includes(other.id))).toEqual([])
    expect(seen.latest('other')).toBeUndefined()
  })

  test('health: no traffic before it is healthy, and none after it is not', async () => {
    const seen = await start()
    await engine.run({ name: 'web', labels: LABELS, health: 'test ! -e /tmp/ill' })
    await seen.sees('web', 'starting', ({ health }) => health === 'starting')
    await seen.sees('web', 'healthy', isLive)
    const exec = await engine.docker.getContainer('web').exec({ Cmd: ['touch', '/tmp/ill'] })
    await exec.start({})
    await seen.sees('web', 'unhealthy', ({ health }) => health === 'unhealthy')
  })

  test('a container that is told to stop takes no traffic from that moment, long before it has ended', async () => {
    const { container } = await engine.run({ name: 'web', labels: LABELS, cmd: STUBBORN, create: { StopTimeout: 1 } })
    const seen = await start()
    const stopped = container.stop()
    await seen.sees('web', 'stopping', ({ state }) => state === 'stopping')
    expect((await container.inspect()).State.Status).toBe('running')
    await seen.sees('web', 'stopped', ({ state }) => state === 'stopped')
    await stopped
    const states = seen.reports.map((report) => report[0]?.state)
    expect(states.slice(states.indexOf('stopping'))).not.toContain('running')
  })

  test('the stop signal that the container has chosen', async () => {
    const create = { StopSignal: 'SIGQUIT', StopTimeout: 1 }
    const { container } = await engine.run({ name: 'web', labels: LABELS, cmd: STUBBORN, create })
    const seen = await start()
    const stopped = container.stop()
    await seen.sees('web', 'stopping', ({ state }) => state === 'stopping')
    await stopped
  })

  test('HUP and other signals of daily life without taking traffic away', async () => {
    const { container } = await engine.run({ name: 'web', labels: LABELS })
    await engine.run({ name: 'later', labels: LABELS, start: false })
    const seen = await start()
    await container.kill({ signal: 'HUP' })
    // Events come in order: once this one is seen, so is the one before.
    await engine.docker.getContainer('later').start()
    await seen.sees('later', 'live', isLive)
    const states = seen.reports.flatMap((report) =>
      report.filter(({ name }) => name === 'web').map(({ state }) => state),
    )
    expect(new Set(states)).toEqual(new Set(['running']))
  })

  test('a container that ignores the signal: a full pass gives it traffic again after its time to stop', async () => {
    let aheadMs = 0
    const clock: Clock = { ...systemClock, elapsed: () => systemClock.elapsed() + aheadMs }
    const { container } = await engine.run({ name: 'web', labels: LABELS, cmd: STUBBORN, create: { StopTimeout: 20 } })
    const source = dockerSource(gate.host, {}, { clock })
    followed = await follow(source)
    await container.kill({ signal: 'TERM' })
    await followed.sees('web', 'stopping', ({ state }) => state === 'stopping')
    aheadMs = 24_000
    expect((await listed(source, 'web')).state).toBe('stopping')
    aheadMs = 25_500
    expect((await listed(source, 'web')).state).toBe('running')
  })

  test('a container that is attached to another network and detached from it', async () => {
    const second = await engine.createNetwork()
    await engine.run({ name: 'web', labels: LABELS })
    const seen = await start()
    const network = engine.docker.getNetwork(second)
    await network.connect({ Container: 'web' })
    await seen.sees('web', 'in both', ({ networks }) => networks.length === 2)
    await network.disconnect({ Container: 'web' })
    await seen.sees('web', 'in one', ({ networks }) => networks.length === 1)
    expect(gate.count('list')).toBe(0)
  })

  test('the proxy’s own container: which networks it shares', async () => {
    const second = await engine.createNetwork()
    await engine.run({ name: 'proxy', networks: [second] })
    await engine.run({ name: 'web', labels: LABELS })
    const seen = await start(systemClock, { proxyContainer: 'proxy' })
    expect(seen.latest('web')?.networks[0]?.shared).toBe(false)
    await engine.docker.getNetwork(engine.network).connect({ Container: 'proxy' })
    await seen.sees('web', 'shared', ({ networks }) => networks[0]?.shared === true)
    expect(gate.count('list')).toBe(0)
  })

  test('the owner of a network that another container uses', async () => {
    const second = await engine.createNetwork()
    const owner = await engine.run({ name: 'owner' })
    await engine.run({ name: 'guest', labels: LABELS, networks: [`container:${owner.id}`], cmd: ['sleep', '1000'] })
    const seen = await start()
    expect(seen.latest('guest')?.networks).toHaveLength(1)
    await engine.docker.getNetwork(second).connect({ Container: 'owner' })
    await seen.sees('guest', 'in both', ({ networks }) => networks.length === 2)
  })

  test('a burst of events, with at most one inspect at a time for each container', async () => {
    const names = Array.from({ length: 8 }, (_, index) => `c${index}`)
    const seen = await start()
    const made = await Promise.all(names.map((name) => engine.run({ name, labels: LABELS, cmd: ['sleep', '1000'] })))
    await Promise.all(made.map(({ container }) => container.kill()))
    await Promise.all(made.slice(0, 4).map(({ container }) => container.start()))
    await Promise.all(made.slice(4).map(({ container }) => container.remove()))
    const expected = names.slice(0, 4).map((name) => `${name} running`)
    const now = () => seen.reports.at(-1)?.map(({ name, state }) => `${name} ${state}`)
    await until('all is told', () => now()?.sort().join() === expected.sort().join())
    expect(gate.count('list')).toBe(0)
    expect(await list(dockerSource(engine.host)).then((all) => all.length)).toBe(4)
  })

  test('what did not change stays the same object, and a full pass agrees with what events told', async () => {
    await engine.run({ name: 'web', labels: LABELS, publish: { 80: await freePort() } })
    const source = dockerSource(gate.host)
    followed = await follow(source)
    const before = followed.latest('web')
    await engine.run({ name: 'shop', labels: LABELS, publish: { 80: await freePort() } })
    const shop = await followed.sees('shop', 'live', isLive)
    expect(followed.latest('web')).toBe(before)
    await until('the events have settled', () => list(source).then((all) => all === followed?.reports.at(-1)))
    expect(await listed(source, 'web')).toBe(before)
    expect(await listed(source, 'shop')).toBe(followed.latest('shop'))
    expect(shop.ports).toHaveLength(1)
  })

  test('through a restart of the engine that ends its containers', async () => {
    await engine.run({ name: 'web', labels: LABELS })
    await engine.run({
      name: 'always',
      labels: LABELS,
      hostConfig: { NetworkMode: 'apps', RestartPolicy: { Name: 'always' } },
    })
    const seen = await start()
    await engine.halt()
    await until('the outage is told', () => seen.failures.length > 0)
    expect(seen.failures).toHaveLength(1)
    expect(seen.failures[0]).toHaveProperty('message', expect.stringContaining(gate.host))
    await engine.resume()
    await seen.sees('web', 'stopped', ({ state }) => state === 'stopped')
    await seen.sees('always', 'live', isLive)
    expect(seen.failures).toHaveLength(1)
    await engine.docker.getContainer('web').start()
    await seen.sees('web', 'live again', isLive)
  })
})

describeWith(['dockerd', 'busybox'], 'the docker source and an engine whose containers survive it', () => {
  let engine: TestDockerd
  beforeAll(async () => {
    engine = await startDockerd({ args: ['--live-restore'] })
  })
  afterAll(() => engine?.stop())

  test('a restart of the engine changes no fact', async () => {
    await engine.run({ name: 'web', labels: LABELS })
    const seen = await follow(dockerSource(engine.host))
    const before = seen.latest('web')
    const reported = seen.reports.length
    await engine.restart()
    await until('it reports again', () => seen.reports.length > reported)
    await seen.sees('web', 'live', isLive)
    expect(seen.latest('web')).toBe(before)
    await seen.stop()
  })
})
