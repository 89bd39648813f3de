import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { RunningHostler } from '../support/hostler.js'
import { freePort } from '../support/ports.js'
import {
  type LaunchConfig,
  RANCHER_IMAGE,
  type RancherApi,
  type Service,
  startRancherApi,
} from '../support/rancher-api.js'
import { createRig, type Rig } from '../support/rig.js'
import { describeWith } from '../support/servers.js'
import { until } from '../support/wait.js'

const settingsFor = async (api: RancherApi) => ({
  HOSTLER_SOURCES: 'rancher-api',
  HOSTLER_DOMAIN: 'ci.test',
  HOSTLER_PUBLIC_LISTEN: `127.0.0.1:${await freePort()}`,
  RANCHER_URL: api.url(),
  CATTLE_ACCESS_KEY: api.accessKey,
  CATTLE_SECRET_KEY: api.secretKey,
  RANCHER_POLL_INTERVAL: '100ms',
})

describeWith(['haproxy'], 'services of Rancher behind a real HAProxy', () => {
  const token = 'a-token-of-the-tests-0123456789'
  let api: RancherApi
  let rig: Rig
  let hostler: RunningHostler
  let privatePort: string

  beforeAll(async () => {
    api = await startRancherApi()
    privatePort = `127.0.0.1:${await freePort()}`
    rig = await createRig({
      ...(await settingsFor(api)),
      HOSTLER_PRIVATE_LISTEN: privatePort,
      HOSTLER_SLEEP_INTERVAL: '100ms',
      HOSTLER_TOKEN: token,
    })
    hostler = await rig.start()
  })
  afterAll(async () => {
    await rig?.close()
    await api?.close()
  })

  interface Lodged extends LaunchConfig {
    readonly labels?: Record<string, string>
    readonly name?: string
    readonly scale?: number
  }
  /** A service of that stack which can run, and does not. */
  function lodge(stack: string, { labels = {}, name = 'web', project = 'Default', scale = 1, ...more }: Lodged = {}) {
    const config = { imageUuid: `docker:${RANCHER_IMAGE}`, ports: ['80/tcp'], ...more }
    const wakes = { 'hostler.port': '80', 'hostler.wake': 'true', ...labels }
    const launchConfig = { ...config, labels: wakes }
    return api.add({ name, stack, scale, state: 'registering', publicEndpoints: [], launchConfig })
  }
  const phase = (stack: string, wanted: string) =>
    until(
      `${stack} is ${wanted}; hostler says:\n${hostler.log().slice(-4000)}`,
      async () =>
        (await hostler.state()).lifecycle?.groups.find(({ name }) => name === `Default/${stack}`)?.phase === wanted,
    )
  const routed = (stack: string) =>
    until(`${stack} has a route`, async () => (await rig.ask(`${stack}.ci.test`, '/robots.txt')).status !== 404)
  const settled = (service: Service, state: string) => until(`it is ${state}`, () => service.state === state)

  test('the first request wakes one, hostler sleep puts it to sleep, and the next request wakes it again', async () => {
    const service = lodge('shop')
    await phase('shop', 'asleep')
    await routed('shop')
    expect(service.state).toBe('inactive')
    for (const starts of [1, 2]) {
      const answers = await Promise.all(Array.from({ length: 20 }, () => rig.ask('shop.ci.test')))
      expect(new Set(answers.map(({ status, body }) => `${status} ${body.includes('hello from web')}`))).toEqual(
        new Set(['200 true']),
      )
      expect([service.state, api.world.starts(service.id)]).toEqual(['active', starts])
      const slept = await rig.run(['sleep', 'shop'], { HOSTLER_PRIVATE_LISTEN: privatePort })
      expect([slept.code, slept.stdout]).toEqual([0, expect.stringMatching(/^Default\/shop asleep/)])
      expect([service.state, api.world.portOf(service.id)]).toEqual(['inactive', undefined])
    }
  })

  test('one without traffic of its own wakes and sleeps with its stack, however often', async () => {
    const database = lodge('pair', { name: 'db', labels: { 'hostler.port': 'none' } })
    lodge('pair')
    await phase('pair', 'asleep')
    await routed('pair')
    // Long enough for each of its states to be seen.
    api.world.transitMs = 300
    for (const starts of [1, 2, 3, 4]) {
      expect((await rig.ask('pair.ci.test')).status).toBe(200)
      expect([database.state, api.world.starts(database.id)]).toEqual(['active', starts])
      await rig.run(['sleep', 'pair'], { HOSTLER_PRIVATE_LISTEN: privatePort })
      expect(database.state).toBe('inactive')
    }
    api.world.transitMs = 40
    expect(hostler.log()).not.toContain('again and again')
  })

  test('one that nobody uses goes to sleep by itself, by being stopped, though it was to be paused', async () => {
    const service = lodge('idle', { labels: { 'hostler.idle': '1s', 'hostler.on-idle': 'pause' } })
    await phase('idle', 'asleep')
    await routed('idle')
    expect((await rig.ask('idle.ci.test')).status).toBe(200)
    await settled(service, 'inactive')
    await phase('idle', 'asleep')
  })

  test('one whose endpoints are told long after it is active wakes all the same', async () => {
    lodge('late')
    await phase('late', 'asleep')
    await routed('late')
    api.world.endpointsMs = 1500
    const answer = await rig.ask('late.ci.test')
    api.world.endpointsMs = 20
    expect([answer.status, answer.body]).toEqual([200, expect.stringContaining('hello from web')])
  })

  test('one of several containers serves while another comes up, and while they are restarted one by one', async () => {
    const service = lodge('scaled', { scale: 2, healthCheck: { port: 80 } })
    await phase('scaled', 'asleep')
    await routed('scaled')
    expect((await rig.ask('scaled.ci.test')).status).toBe(200)
    const servers = async () =>
      (await hostler.state()).plan.backends.find(({ name }) => name === 'scaled')?.servers.length ?? 0
    await until('both serve', async () => (await servers()) === 2)
    api.world.healthMs = 60_000
    api.world.update(service, { scale: 3 })
    await until('the third serves, though Rancher calls the service initializing', async () => (await servers()) === 3)
    expect(service.healthState).toBe('initializing')

    api.world.act(service, 'restart')
    await until('one is being restarted', () => service.state === 'restarting' && api.world.starts(service.id) === 4)
    for (let request = 0; request < 10; request++) expect((await rig.ask('scaled.ci.test')).status).toBe(200)
    expect(await servers()).toBeGreaterThan(1)
    api.world.healthMs = 40
  })

  test('one that cannot be started is told of at once, and Rancher does not go on trying', async () => {
    const service = lodge('broken', { imageUuid: 'docker:localhost/nope:1' })
    await phase('broken', 'asleep')
    await routed('broken')
    const answer = await rig.ask('broken.ci.test')
    expect([answer.status, answer.body]).toEqual([502, expect.stringContaining('could not be started')])
    expect(service.state).toBe('inactive')
    expect(hostler.log()).toMatch(/localhost\/nope:1.* failed to pull/)
  })

  test('what is deployed through the private port is a service, and is routed to', async () => {
    const send = (method: string, path: string, body?: object) =>
      fetch(`http://${privatePort}${path}`, {
        ...{ method, headers: { token, 'content-type': 'application/json' } },
        ...(body && { body: JSON.stringify(body) }),
      })
    const request = { name: 'app-r1', network: 'managed', image: RANCHER_IMAGE, labels: { 'hostler.port': '80' } }
    const greedy = { ...request, labels: { 'io.rancher.container.create_agent': 'true' } }
    const refused = await send('POST', '/deploy', greedy)
    expect([refused.status, await refused.text()]).toEqual([422, expect.stringContaining('create_agent')])
    const deployed = await send('POST', '/deploy', {
      ...request,
      labels: { ...request.labels, 'hostler.stack': 'deployed' },
    })
    const { id } = (await deployed.json()) as { id: string }
    expect([deployed.status, api.world.services.get(id)?.state]).toEqual([200, 'active'])
    await until('it answers', async () => (await rig.ask('deployed.ci.test')).body.includes('hello from app-r1'))

    // Names are unique in a stack, and others may have them elsewhere.
    api.add({ name: 'app-r1', stack: 'foreign', createdTS: 1 })
    const labels = { 'hostler.port': '80', 'hostler.stack': 'twice' }
    const [twice, again] = [0, 0].map(() => send('POST', '/deploy', { ...request, labels }))
    const second = (await (await twice)?.json()) as { id: string }
    expect([(await again)?.status, second.id === id]).toEqual([200, false])
    const ambiguous = await send('DELETE', '/deploy/app-r1')
    expect([ambiguous.status, await ambiguous.text()]).toEqual([409, expect.stringContaining(`${id}, ${second.id}`)])
    expect((await send('DELETE', `/deploy/${second.id}`)).status).toBe(200)
    expect((await send('DELETE', '/deploy/app-r1')).status).toBe(200)
    api.world.services.forEach(({ stackId, id: one }) => {
      if (api.world.stacks.get(stackId)?.name === 'foreign') api.world.services.delete(one)
    })
    expect(
      [...api.world.services.values()].filter(({ name, state }) => name === 'app-r1' && state !== 'removed'),
    ).toEqual([])
  })

  test('while Rancher does not answer, its routes stay, and status says why', async () => {
    const service = lodge('stays')
    await phase('stays', 'asleep')
    await routed('stays')
    expect((await rig.ask('stays.ci.test')).status).toBe(200)
    api.fault('503')
    await until('it is told', async () =>
      (await hostler.state()).sources.some(({ error = '' }) => /\/v2-beta\/\S+ answered 503/.test(error)),
    )
    expect((await rig.ask('stays.ci.test')).status).toBe(200)
    api.fault(undefined)
    await until('it is over', async () => (await hostler.state()).sources.every(({ error }) => error === undefined))
    expect(service.state).toBe('active')
    expect(hostler.log()).not.toContain(api.secretKey)
  })
})

describeWith(['haproxy'], 'two environments of Rancher behind a real HAProxy', () => {
  test('when one is deactivated, nothing is taken away from the other', async () => {
    const api = await startRancherApi()
    const rig = await createRig(await settingsFor(api))
    try {
      for (const project of ['Default', 'Other']) {
        const launchConfig = { imageUuid: `docker:${RANCHER_IMAGE}`, ports: ['80'], labels: { 'hostler.port': '80' } }
        const facts = { name: project, stack: project.toLowerCase(), project, launchConfig }
        api.world.act(api.add({ ...facts, state: 'inactive', publicEndpoints: [] }), 'activate')
      }
      const hostler = await rig.start()
      const answers = (host: string) => rig.ask(`${host}.ci.test`)
      for (const [host, name] of [
        ['default', 'Default'],
        ['other', 'Other'],
      ] as const)
        await until(`${host} answers`, async () => (await answers(host)).body.includes(`hello from ${name}`))
      api.world.project('Other').state = 'inactive'
      await until('its route is gone', async () => (await answers('other')).status === 404)
      expect((await answers('default')).body).toContain('hello from Default')
      expect((await hostler.state()).sources.every(({ error }) => error === undefined)).toBe(true)
      expect(hostler.log()).toMatch(/a project of Rancher is not active/)
    } finally {
      await rig.close()
      await api.close()
    }
  })
})
