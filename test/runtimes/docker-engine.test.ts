import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { codeOf } from '../../src/lib/errors.js'
import type { PullStep, Runtime } from '../../src/runtimes/runtime.js'
import { HEALTH_CHECK, importAppImage } from '../support/app-image.mjs'
import { startDockerd, type TestDockerd } from '../support/dockerd.js'
import { startPodman, type TestPodman } from '../support/podman.js'
import { freePort } from '../support/ports.js'
import { startRegistry, type TestRegistry } from '../support/registry.js'
import { describeWith } from '../support/servers.js'
import { until } from '../support/wait.js'
import { dockerRuntime } from './docker-runtime.js'

const forever = new AbortController().signal

/** What a container can be that was not made through the seam. */
describeWith(['dockerd', 'busybox'], 'the docker runtime and what else Docker has', () => {
  let engine: TestDockerd
  let image: string
  let runtime: Runtime
  beforeAll(async () => {
    engine = await startDockerd()
    image = await importAppImage(engine.docker)
    runtime = dockerRuntime(engine.host)
  })
  afterAll(() => engine?.stop())

  const look = async (idOrName: string) => {
    const found = await runtime.inspect(idOrName, forever)
    if (!found) throw new Error(`${idOrName} is not there`)
    return found
  }
  const isUp = async (address: string) => (await fetch(`http://${address}/`)).ok
  const serve = async (options: Parameters<TestDockerd['run']>[0]) => {
    const container = await engine.run({ ...options, create: { Image: image, ...options?.create } })
    const address = await container.address()
    await until('it answers', () => isUp(address))
    return { ...container, ip: address }
  }

  test('limits and capabilities are those of the specification', async () => {
    const limits = {
      ...{ memoryBytes: 64 << 20, cpus: 0.5, pids: 50, readOnly: true, noNewPrivileges: true },
      ...{ capDrop: ['ALL'], capAdd: ['NET_BIND_SERVICE'] },
    }
    const { id } = await runtime.create(
      { name: 'limited', image, networks: ['apps'], labels: {}, env: {}, limits },
      forever,
    )
    await runtime.start(id, forever)
    const { HostConfig, NetworkSettings } = await engine.docker.getContainer(id).inspect()
    expect(HostConfig).toMatchObject({
      ...{ Memory: 64 << 20, NanoCpus: 500_000_000, PidsLimit: 50, ReadonlyRootfs: true, NetworkMode: 'apps' },
      ...{
        CapDrop: ['ALL'],
        CapAdd: [expect.stringMatching(/^(CAP_)?NET_BIND_SERVICE$/)],
        SecurityOpt: ['no-new-privileges'],
      },
    })
    const address = NetworkSettings.Networks['apps']?.IPAddress ?? ''
    await until('it answers', () => isUp(address))
  })

  test('a container that does not end in its own time is killed then', async () => {
    const { id } = await serve({ env: ['IGNORE_TERM=1'], create: { StopTimeout: 1 } })
    await runtime.stop(id, forever)
    expect(await look(id)).toMatchObject({ state: 'stopped', exitCode: 137 })
  })

  test('anonymous volumes go with it only when asked', async () => {
    const volumes = async () => (await engine.docker.listVolumes()).Volumes.length
    const make = () => engine.run({ create: { Volumes: { '/data': {} } } })
    const before = await volumes()
    const [kept, dropped] = [await make(), await make()]
    expect(await volumes()).toBe(before + 2)
    await runtime.remove(dropped.id, { volumes: true }, forever)
    await runtime.remove(kept.id, { volumes: false }, forever)
    expect(await volumes()).toBe(before + 1)
  })

  test('one that removes itself at its end is stopped, and gone', async () => {
    const { id } = await serve({ hostConfig: { AutoRemove: true } })
    await runtime.stop(id, forever)
    await until('it is gone', async () => (await runtime.inspect(id, forever)) === undefined)
    const other = await serve({ hostConfig: { AutoRemove: true } })
    await runtime.remove(other.id, { volumes: false }, forever)
    expect(await runtime.inspect(other.id, forever)).toBeUndefined()
  })

  test('one that Docker starts again and again is told so, and can be stopped and removed', async () => {
    const { id } = await engine.run({
      ...{ create: { Image: image }, env: ['EXIT=3'], hostConfig: { RestartPolicy: { Name: 'always' } } },
    })
    await until('it has been restarted', async () => (await look(id)).restarts >= 2)
    const between = await until('it waits for its next start', async () => {
      const now = await look(id)
      return now.state === 'restarting' && now
    })
    expect(between.exitCode).toBe(3)
    await runtime.stop(id, forever)
    expect((await look(id)).state).toBe('stopped')
    await runtime.remove(id, { volumes: false }, forever)
  })

  test('a container without network interfaces of its own has no traffic to tell of', async () => {
    const { id } = await engine.run({ networks: ['host'], env: [`PORT=${await freePort()}`] })
    expect(await runtime.traffic(id, forever)).toBeUndefined()
  })

  test('health is looked up', async () => {
    const { id, ip } = await serve({ create: { Healthcheck: HEALTH_CHECK } })
    await until('it is healthy', async () => (await look(id)).health === 'healthy')
    await fetch(`http://${ip}/health?status=503`, { method: 'POST' })
    await until('it is unhealthy', async () => (await look(id)).health === 'unhealthy')
  })

  describe('pulling', () => {
    let registry: TestRegistry
    beforeEach(async () => {
      registry = await startRegistry()
    })
    afterEach(() => registry.close())

    test('gets an image that can be started then, and tells how it goes', async () => {
      const name = `${registry.host}/app:r1`
      const spec = { name: 'pulled', image: name, networks: ['apps'], labels: {}, env: {} }
      await expect(runtime.create(spec, forever)).rejects.toMatchObject({ code: 'no-such-image' })
      const steps: PullStep[] = []
      await runtime.pull(name, (step) => steps.push(step), forever)
      expect(steps.some(({ status }) => /pull complete/i.test(status))).toBe(true)
      expect(steps.some(({ totalBytes }) => totalBytes !== undefined && totalBytes > 0)).toBe(true)
      const { id } = await runtime.create(spec, forever)
      await runtime.start(id, forever)
      expect(await look(id)).toMatchObject({ image: name, state: 'running' })
      await runtime.pull(name, () => undefined, forever)
    })

    test('says that an image is not there, or that its registry is not', async () => {
      const pull = (name: string) => runtime.pull(name, () => undefined, forever).catch(codeOf)
      expect(await pull(`${registry.host}/app:nope`)).toBe('no-such-image')
      expect(await pull(`${registry.host}/other:r1`)).toBe('no-such-image')
      expect(await pull(`127.0.0.1:${await freePort()}/app:r1`)).toBe('refused')
      expect(await pull('NO PE')).toBe('refused')
    })

    test('is left at once when told to', async () => {
      registry.holdLayer()
      const controller = new AbortController()
      const steps: PullStep[] = []
      const pulled = runtime.pull(`${registry.host}/app:r1`, (step) => steps.push(step), controller.signal)
      const reason = pulled.catch((error: unknown) => error)
      await until('it has begun', () => steps.length > 0)
      controller.abort()
      expect(await reason).toBe(controller.signal.reason)
    })
  })
})

describeWith(['podman', 'netavark', 'busybox'], 'the docker runtime and what else Podman has', () => {
  let engine: TestPodman
  beforeAll(async () => {
    engine = await startPodman()
  })
  afterAll(() => engine?.stop())

  test('health is looked up', async () => {
    const runtime = dockerRuntime(engine.host)
    const { id } = await engine.run({ name: 'web', health: 'test ! -e /tmp/ill' })
    const becomes = (health: string) =>
      until(`it is ${health}`, async () => check() && (await runtime.inspect(id, forever))?.health === health)
    // Without systemd it checks only when it is told to.
    const check = () => {
      try {
        return engine.podman('healthcheck', 'run', 'web') !== undefined
      } catch {
        return true
      }
    }
    await becomes('healthy')
    engine.podman('exec', 'web', 'touch', '/tmp/ill')
    await becomes('unhealthy')
  })
})
