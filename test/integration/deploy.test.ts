import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { execa } from 'execa'
import { importAppImage } from '../support/app-image.mjs'
import { startDockerd, type TestDockerd } from '../support/dockerd.js'
import { freePort } from '../support/ports.js'
import { startRegistry, type TestRegistry } from '../support/registry.js'
import { createRig, type Rig } from '../support/rig.js'
import { describeWith } from '../support/servers.js'
import { until } from '../support/wait.js'

/** SHA-256 of `bar`, as predecessor 2 kept passwords. */
const BAR = 'fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9'
const JSON_TYPE = ['-H', 'Content-Type: application/json']
const FORM_TYPE: readonly string[] = []
const PROBLEM = expect.stringMatching(/^application.problem\+json/)

interface Reply {
  readonly status: number
  readonly type: string
  readonly body: Record<string, unknown>
}

describeWith(['dockerd', 'haproxy', 'curl', 'busybox'], 'deploying through the private port, by curl', () => {
  let dockerd: TestDockerd
  let registry: TestRegistry
  let rig: Rig
  let baseUrl: string
  let token: string

  beforeAll(async () => {
    dockerd = await startDockerd()
    registry = await startRegistry()
    await importAppImage(dockerd.docker, { image: 'mock-app:latest', port: 9000 })
    await dockerd.createNetwork('traefiknet')
    const privatePort = await freePort()
    baseUrl = `localhost:${privatePort}`
    rig = await createRig({
      HOSTLER_SOURCES: 'docker',
      DOCKER_HOST: dockerd.host,
      HOSTLER_DOMAIN: 'ci.test',
      HOSTLER_PUBLIC_LISTEN: `127.0.0.1:${await freePort()}`,
      HOSTLER_PRIVATE_LISTEN: `127.0.0.1:${privatePort}`,
    })
    rig.write('passwd.txt', `foo,${BAR}\n`)
    // As its compose example starts it.
    await rig.start([
      ...['-cookie-fallback-url=http://ci.test/home', '-enable-mgmt-auth=true', '-traefik-check-enabled=true'],
      ...[`-userspass-file=${rig.path('passwd.txt')}`, 'run'],
    ])
    token = String((await login('bar')).body['token'])
  })
  afterEach(async () => {
    for (const { Id } of await deployed()) await dockerd.docker.getContainer(Id).remove({ force: true })
  })
  afterAll(async () => {
    await rig?.close()
    await registry?.close()
    await dockerd?.stop()
  })

  const deployed = () => dockerd.docker.listContainers({ all: true })

  async function curl(...args: string[]): Promise<Reply> {
    const { stdout } = await execa('curl', [
      '-L',
      '-s',
      '--max-time',
      '60',
      '-w',
      '\n%{http_code} %{content_type}',
      ...args,
    ])
    const [, body = '', status, type = ''] = /^(.*)\n(\d+) ?(.*)$/s.exec(stdout) ?? []
    return { status: Number(status), type, body: JSON.parse(body) as Reply['body'] }
  }
  const login = (password: string) =>
    curl('-d', `{"username":"foo", "password":"${password}"}`, ...JSON_TYPE, '-X', 'POST', `${baseUrl}/login`)
  const withToken = (given = token) => ['--header', `token: ${given}`]
  const post = (data: object | string, { type = JSON_TYPE, given = token } = {}) => {
    const text = typeof data === 'string' ? data : JSON.stringify(data)
    return curl(...withToken(given), ...type, '-X', 'POST', '--data', text, `${baseUrl}/deploy/`)
  }
  const list = async () =>
    (await curl(...withToken(), ...JSON_TYPE, `${baseUrl}/deploy/`)).body['instances'] as object[]

  /** What its scripts send, a JSON text with slashes escaped as they are there. */
  const minion = (name: string): string => `{
    "name":"${name}",
    "network":"traefiknet",
    "image":"mock-app:latest",
    "labels": {
      "health-check": "http:\\/\\/${name}:9000\\/status",
      "traefik.enable": "true",
      "traefik.http.services.${name}.loadbalancer.server.port": "9000",
      "traefik.http.routers.${name}.entrypoints": "websecure"
    },
    "envs": {"CONNSTR":"db 1", "IDLE":"1m"}
  }`

  const asked = (name: string) => rig.ask('anything.test', '/echo', { headers: { cookie: `instance=${name}` } })

  describe("predecessor 2's scripts", () => {
    test('log in, deploy, list, start and remove; the container gets its route and answers', async () => {
      const { status, body } = await post(minion('minion-1'))
      expect([status, body]).toEqual([200, { id: expect.stringMatching(/^[0-9a-f]{64}$/) }])
      await until('its route answers', async () => (await asked('minion-1')).status === 200)
      expect(JSON.parse((await asked('minion-1')).body)).toMatchObject({ url: '/echo' })

      expect(await list()).toMatchObject([{ id: body['id'], ContainerName: 'minion-1', status: 'running' }])
      await dockerd.docker.getContainer('minion-1').stop()
      const started = await curl(...withToken(), ...JSON_TYPE, '-X', 'PUT', `${baseUrl}/deploy/minion-1`)
      expect(started.body).toEqual({ id: body['id'] })
      expect((await dockerd.docker.getContainer('minion-1').inspect()).State.Running).toBe(true)
      await until('its route answers again', async () => (await asked('minion-1')).status === 200)

      const removed = await curl('-v', ...withToken(), ...JSON_TYPE, '-X', 'DELETE', `${baseUrl}/deploy/minion-1`)
      expect(removed.body).toEqual({ result: 'ok' })
      expect(await deployed()).toEqual([])
    })

    test('twice make one container, and its variables and labels are there', async () => {
      const first = await post(minion('minion-1'))
      const again = await post(minion('minion-1'))
      expect([again.status, again.body]).toEqual([200, first.body])
      const { Config } = await dockerd.docker.getContainer('minion-1').inspect()
      expect(Config.Hostname).toBe('minion-1')
      expect(Config.Env).toEqual(expect.arrayContaining(['CONNSTR=db 1', 'IDLE=1m']))
      expect(Config.Labels).toMatchObject({ origin: 'spawner', 'health-check': 'http://minion-1:9000/status' })
      const other = await post(minion('minion-1').replace('db 1', 'db 2'))
      expect([other.status, other.type]).toEqual([409, PROBLEM])
      expect(other.body['detail']).toMatch(/minion-1 was deployed with other content/)
      expect((await deployed()).map(({ Id }) => Id)).toEqual([first.body['id']])
    })
  })

  test('one with a route of its own answers at its hostname too, of an image that had to be pulled', async () => {
    const image = `${registry.host}/app:r1`
    // What curl sends unless told otherwise.
    const { status } = await post(
      {
        name: 'app-r1',
        network: 'traefiknet',
        image,
        labels: { 'hostler.routes.web.port': '80' },
        command: ['/bin/serve'],
      },
      { type: [...FORM_TYPE] },
    )
    expect(status).toBe(200)
    await until('it answers', async () => (await rig.ask('app-r1.ci.test')).status === 200)
    expect((await rig.ask('app-r1.ci.test')).status).toBe(200)
  })

  describe('what cannot be done is told precisely, and nothing is started or left', () => {
    const app = { name: 'app', network: 'traefiknet', image: 'mock-app:latest' }
    afterEach(async () => {
      expect(await deployed()).toEqual([])
      expect(await list()).toEqual([])
    })

    test.each<[string, () => Promise<Reply>, number, RegExp]>([
      ['a wrong password', () => login('baz'), 401, /user name or the password is wrong/],
      ['no token', () => curl('-X', 'POST', '--data', '{}', `${baseUrl}/deploy/`), 401, /A token is needed/],
      ['a forged token', () => post(app, { given: '0'.repeat(32) }), 401, /not one of ours/],
      ['an image that does not exist', () => post({ ...app, image: `${registry.host}/app:r0` }), 422, /app:r0/],
      ['a network that does not exist', () => post({ ...app, network: 'nowhere' }), 422, /network "nowhere"/],
      ['the network of the host', () => post({ ...app, network: 'host' }), 400, /^network: /],
      ['a program that is not in the image', () => post({ ...app, command: ['/bin/nothing'] }), 422, /\/bin\/nothing/],
      ['a body that is no JSON', () => post('{"name":'), 400, /JSON/],
      ['a field that nobody knows', () => post({ ...app, volumes: ['/:/host'] }), 400, /volumes/],
      [
        'a health check that points elsewhere',
        () => post({ ...app, labels: { healthcheck: 'http://169.254.169.254/' } }),
        422,
        /must point at the container itself/,
      ],
      [
        'the start of one that is not there',
        () => curl(...withToken(), '-X', 'PUT', `${baseUrl}/deploy/app`),
        404,
        /No container/,
      ],
    ])('%s', async (_, call, status, detail) => {
      const reply = await call()
      expect([reply.status, reply.type]).toEqual([status, PROBLEM])
      expect(reply.body['detail']).toMatch(detail)
      expect(JSON.stringify(reply.body)).not.toContain(rig.dir)
    })
  })

  test('a container of somebody else is neither taken, started nor removed', async () => {
    const { id } = await dockerd.run({ name: 'database', start: false })
    const taken = await post({ name: 'database', network: 'traefiknet', image: 'mock-app:latest' })
    expect([taken.status, taken.body['detail']]).toEqual([409, 'The name database is in use. Choose another one.'])
    for (const method of ['PUT', 'DELETE'])
      expect((await curl(...withToken(), '-X', method, `${baseUrl}/deploy/${id}`)).status).toBe(404)
    expect((await dockerd.docker.getContainer(id).inspect()).State.Status).toBe('created')
  })
})
