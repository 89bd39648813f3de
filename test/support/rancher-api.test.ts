import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { type ApiVersion, RANCHER_IMAGE, type RancherApi, type Service, startRancherApi } from './rancher-api.js'
import { until } from './wait.js'

let api: RancherApi
beforeEach(async () => {
  api = await startRancherApi()
})
afterEach(() => api.close())

async function ask(method: string, path: string, body?: object, keys = `${api.accessKey}:${api.secretKey}`) {
  const url = path.startsWith('http') ? path : `${api.url().replace('/v2-beta', '')}${path}`
  const response = await fetch(url, {
    method,
    headers: { authorization: `Basic ${Buffer.from(keys).toString('base64')}` },
    ...(body && { body: JSON.stringify(body) }),
  })
  // biome-ignore lint/suspicious/noExplicitAny: answers of any kind
  return { status: response.status, body: (await response.json()) as any }
}

const project = (version: ApiVersion = 'v2-beta') => `/${version}/projects/${api.world.project('Default').id}`

/** A service that can run. */
const lodge = (more: Partial<Service> = {}) =>
  api.add({
    name: 'web',
    state: 'inactive',
    publicEndpoints: [],
    launchConfig: { imageUuid: `docker:${RANCHER_IMAGE}`, ports: ['80/tcp'] },
    ...more,
  })

describe('the double of Rancher', () => {
  test('refuses wrong keys, and words errors as Rancher does', async () => {
    for (const keys of ['', 'a:b', `${api.accessKey}:`]) {
      expect(await ask('GET', '/v2-beta/projects', undefined, keys)).toMatchObject({
        status: 401,
        body: { type: 'error', status: 401, code: 'Unauthorized' },
      })
    }
    expect(await ask('GET', '/v3/projects')).toMatchObject({ status: 404, body: { type: 'error', code: 'NotFound' } })
  })

  test('gives short pages whatever is asked for, each once', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) api.add({ name })
    const names: string[] = []
    let next: string | null = `${project()}/services?limit=1000`
    while (next !== null) {
      const page: Awaited<ReturnType<typeof ask>> = await ask('GET', next)
      expect(page.body.data.length).toBeLessThanOrEqual(2)
      names.push(...page.body.data.map(({ name }: Service) => name))
      next = page.body.pagination.next
    }
    expect(names).toEqual(['a', 'b', 'c', 'd', 'e'])
  })

  test.each([
    ['v2-beta', 'stacks', 'stackId', 'stack', 200],
    ['v1', 'environments', 'environmentId', 'environment', 404],
  ] as const)('speaks %s', async (version, word, field, link, stacks) => {
    const { id, stackId } = api.add({ name: 'web', stack: 'shop' })
    const { body } = await ask('GET', `${project(version)}/services/${id}`)
    expect(body).toMatchObject({ id, name: 'web', [field]: stackId, state: 'active', healthState: 'healthy' })
    expect((await ask('GET', body.links[link])).body).toMatchObject({ id: stackId, name: 'shop' })
    expect((await ask('GET', body.links.account)).body).toMatchObject({ type: 'project', name: 'Default' })
    expect((await ask('GET', `${project(version)}/${word}?name=shop`)).body.data).toHaveLength(1)
    expect((await ask('GET', `${project(version)}/${word}/${stackId}/services`)).body.data).toHaveLength(1)
    expect((await ask('GET', `${project(version)}/stacks`)).status).toBe(stacks)
  })

  test('takes an action only where it offers it, and does it a moment later', async () => {
    const { id } = lodge()
    const path = `${project()}/services/${id}`
    const look = async () => (await ask('GET', path)).body
    expect(Object.keys((await look()).actions)).toEqual(['activate', 'remove'])
    expect(await ask('POST', `${path}/?action=deactivate`)).toMatchObject({
      status: 422,
      body: { code: 'ActionNotAvailable' },
    })
    const asked = await ask('POST', (await look()).actions.activate)
    expect([asked.status, asked.body.state, asked.body.transitioning]).toEqual([202, 'activating', 'yes'])
    expect(asked.body.actions.activate).toBeUndefined()
    const active = await until('it is active', async () => (await look()).state === 'active' && look())
    const [{ ipAddress, port }] = await until('its endpoints are told', () =>
      look().then(({ publicEndpoints }) => publicEndpoints?.length > 0 && publicEndpoints),
    )
    await until('its app answers', () => fetch(`http://${ipAddress}:${port}`))
    await ask('POST', active.actions.deactivate)
    expect((await look()).state).toBe('deactivating')
    await until('it is inactive', async () => (await look()).state === 'inactive')
    await expect(fetch(`http://${ipAddress}:${port}`)).rejects.toThrow()
  })

  test('starts again what ends by itself, unless it is to run once', async () => {
    const config = { imageUuid: `docker:${RANCHER_IMAGE}`, environment: { EXIT: '3' } }
    const labels = { 'io.rancher.container.start_once': 'true' }
    const [again, once] = [lodge({ launchConfig: config }), lodge({ name: 'job', launchConfig: { ...config, labels } })]
    for (const service of [again, once]) api.world.act(service, 'activate')
    await until('one is started again', () => api.world.starts(again.id) > 1)
    await until('the other has run', () => once.healthState === 'started-once')
    expect(api.world.starts(once.id)).toBe(1)
  })

  test('takes a name once a stack, in any case, and only such as it likes', async () => {
    const { stackId } = api.add({ name: 'web' })
    const create = (name: string) => ask('POST', `${project()}/services`, { name, stackId, launchConfig: {} })
    expect((await create('Web')).body).toMatchObject({ status: 422, code: 'NotUnique', fieldName: 'name' })
    expect((await create('a b')).body).toMatchObject({ status: 422, code: 'InvalidCharacters' })
    const { status, body } = await create('web2')
    expect([status, body.state]).toEqual([201, 'registering'])
  })

  test('changes what is put, and removes, after which it can be asked for a while longer', async () => {
    const { id } = api.add({ name: 'web' })
    const path = `${project()}/services/${id}`
    expect((await ask('PUT', path, { name: 'new' })).body.name).toBe('new')
    expect((await ask('DELETE', path)).body.state).toBe('removing')
    await until('it is removed', async () => (await ask('GET', path)).body.state === 'removed')
    expect((await ask('GET', `${project()}/services`)).body.data).toEqual([])
    await until('it is gone', async () => (await ask('GET', path)).status === 404)
  })

  test('tells endpoints later than everything else', async () => {
    api.world.endpointsMs = 60_000
    const service = lodge()
    api.world.act(service, 'activate')
    await until('it is active', () => service.state === 'active')
    expect([service.healthState, service.publicEndpoints]).toEqual(['healthy', []])
  })

  test('gives a service its public ports when it is made, and each of its containers a host of its own', async () => {
    const { stackId } = api.add({ name: 'db' })
    const launchConfig = { imageUuid: `docker:${RANCHER_IMAGE}`, ports: ['80/tcp'] }
    const wanted = { name: 'web', stackId, scale: 2, launchConfig }
    const service = api.world.services.get((await ask('POST', `${project()}/services`, wanted)).body.id) as Service
    service.secondaryLaunchConfigs = [{ ports: ['3306:3306'] }]
    await until('it is made', () => service.state === 'inactive')
    const outer = Number(/^(\d+):80\/tcp$/.exec(service.launchConfig?.ports?.[0] ?? '')?.[1])
    api.world.act(service, 'activate')
    await until('all endpoints are told', () => service.publicEndpoints?.length === 4)
    expect(service.publicEndpoints?.map(({ ipAddress, port }) => `${ipAddress} ${port}`)).toEqual([
      ...[`127.0.0.1 ${outer}`, '127.0.0.1 3306'],
      ...[`127.0.0.2 ${outer}`, '127.0.0.2 3306'],
    ])
  })

  test('calls a service initializing as a whole while one of its containers is', async () => {
    const launchConfig = { imageUuid: `docker:${RANCHER_IMAGE}`, ports: ['80/tcp'], healthCheck: { port: 80 } }
    const service = lodge({ launchConfig })
    api.world.act(service, 'activate')
    await until('it is well', () => service.state === 'active' && service.healthState === 'healthy')
    api.world.healthMs = 60_000
    await ask('PUT', `${project()}/services/${service.id}`, { scale: 2 })
    await until('there are two', () => service.publicEndpoints?.length === 2)
    expect(service.healthState).toBe('initializing')
  })

  test('restarts the containers of a service one after the other', async () => {
    const service = lodge({ scale: 2 })
    api.world.act(service, 'activate')
    await until('it is active', () => service.state === 'active')
    api.world.act(service, 'restart')
    expect([service.state, api.world.actions(service)]).toEqual([
      'restarting',
      expect.arrayContaining(['activate', 'deactivate']),
    ])
    await until('it has', () => service.state === 'active' && api.world.starts(service.id) === 4)
  })

  test('lists a project that is not active, and tells nothing of it', async () => {
    api.world.project('Default').state = 'inactive'
    expect((await ask('GET', '/v2-beta/projects')).body.data).toMatchObject([{ name: 'Default', state: 'inactive' }])
    expect(await ask('GET', `${project()}/services`)).toMatchObject({ status: 403, body: { code: 'Forbidden' } })
  })
})
