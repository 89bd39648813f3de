import { copyFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { startDockerd, type TestContainer, type TestDockerd } from '../support/dockerd.js'
import { type RunningHostler, startHostler } from '../support/hostler.js'
import { freePort } from '../support/ports.js'
import { describeWith } from '../support/servers.js'
import { tempDir } from '../support/temp.js'
import { until } from '../support/wait.js'

const BASE_CONFIG = fileURLToPath(new URL('../../haproxy/haproxy.cfg', import.meta.url))

describeWith(['dockerd', 'busybox', 'haproxy'], 'real containers behind a real HAProxy', () => {
  let dockerd: TestDockerd
  let hostler: RunningHostler
  let port: number
  const compose = (project: string, service: string, more: Record<string, string> = {}) => ({
    'com.docker.compose.project': project,
    'com.docker.compose.service': service,
    'hostler.port': '80',
    ...more,
  })

  beforeAll(async () => {
    const folder = tempDir()
    port = await freePort()
    copyFileSync(BASE_CONFIG, join(folder, 'haproxy.cfg'))
    dockerd = await startDockerd()
    hostler = startHostler(['run'], {
      DOCKER_HOST: dockerd.host,
      HOSTLER_DOMAIN: 'ci.test',
      HOSTLER_BIND: '127.0.0.1',
      HOSTLER_HTTP_PORT: String(port),
      HOSTLER_PRIVATE_LISTEN: '127.0.0.1:0',
      HOSTLER_STATE_DIR: join(folder, 'state'),
      HAPROXY_CONFIG: join(folder, 'haproxy.cfg'),
      HAPROXY_BACKEND_CONFIG: join(folder, 'haproxy-backends.cfg'),
      HAPROXY_DOMAIN_MAP: join(folder, 'domain.map'),
    })
    await hostler.ready()
  })

  afterAll(async () => {
    await hostler?.stop()
    await dockerd?.stop()
  })

  const get = (host: string) =>
    new Promise<{ status: number; body: string }>((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port, headers: { host }, agent: false, timeout: 1000 }, (response) => {
        let body = ''
        response.on('data', (chunk) => {
          body += chunk
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: body.trim() }))
      })
      asked.on('error', reject)
      asked.on('timeout', () => asked.destroy(new Error('no answer')))
      asked.end()
    })
  const answers = async (host: string, status = 200) =>
    until(`${host} answers ${status}; hostler says:\n${hostler.log().slice(-3000)}`, async () => {
      const answer = await get(host)
      return answer.status === status && answer
    })
  /** What the container answers with. */
  const hostname = async (name: string) => (await dockerd.docker.getContainer(name).inspect()).Config.Hostname
  /** Who answers, asked often enough that every server of a round robin has its turn. */
  const whoAnswers = async (host: string) => {
    const bodies = []
    for (let asked = 0; asked < 12; asked++) bodies.push((await get(host)).body)
    return [...new Set(bodies)].sort()
  }
  const servers = async (backend: string) =>
    (await hostler.state()).plan.backends.find(({ name }) => name === backend)?.servers.map(({ name }) => name) ?? []
  /** In the plan and in force: what HAProxy applied last is newer than the plan's change. */
  const settled = (backend: string, ...names: string[]) =>
    until(`${backend} is served by ${names.join(', ')}`, async () => {
      const same = (await servers(backend)).join() === names.join()
      return same && (await whoAnswers(`${backend}.ci.test`)).length === names.length
    })

  let second: TestContainer

  test('two stacks answer, each at its hostname', async () => {
    await dockerd.run({ name: 'r1-web-1', labels: compose('app-r1', 'web') })
    await dockerd.run({ name: 'r2-web-1', labels: compose('app-r2', 'web') })
    expect((await answers('app-r1.ci.test')).body).toBe(await hostname('r1-web-1'))
    expect((await answers('app-r2.ci.test')).body).toBe(await hostname('r2-web-1'))
    expect((await get('app-r3.ci.test')).status).toBe(404)
  })

  test('a second container of a stack takes its share', async () => {
    second = await dockerd.run({ name: 'r1-web-2', labels: compose('app-r1', 'web') })
    await settled('app-r1', 'r1-web-1', 'r1-web-2')
  })

  test('one that is killed takes no more', async () => {
    await second.container.kill()
    await settled('app-r1', 'r1-web-1')
    expect(await whoAnswers('app-r1.ci.test')).toEqual([await hostname('r1-web-1')])
  })

  test('one that is paused keeps the hostname and gets 503 for it; unpaused, it answers again', async () => {
    const { container } = await dockerd.run({ name: 'r4', labels: compose('app-r4', 'web') })
    await answers('app-r4.ci.test')
    await container.pause()
    await answers('app-r4.ci.test', 503)
    await container.unpause()
    await answers('app-r4.ci.test')
  })

  test('one with a health check answers only when it is healthy', async () => {
    const { container } = await dockerd.run({
      name: 'r5',
      labels: compose('app-r5', 'web'),
      health: 'test -f /tmp/healthy',
    })
    await answers('app-r5.ci.test', 503)
    const exec = await container.exec({ Cmd: ['/bin/busybox', 'touch', '/tmp/healthy'] })
    await exec.start({})
    await answers('app-r5.ci.test')
  })

  test('a bad label is told and harms nobody', async () => {
    await dockerd.run({
      name: 'bad',
      labels: { ...compose('bad', 'web'), 'hostler.host': 'a b"c{{d}}\n', 'hostler.port': '70000' },
    })
    await dockerd.run({ name: 'good', labels: compose('good', 'web') })
    await answers('good.ci.test')
    const { rejections } = (await hostler.state()).plan
    expect(rejections.map(({ container, label }) => `${container} ${label}`)).toEqual([
      'bad hostler.host',
      'bad hostler.port',
    ])
  })

  test('a stack that is removed is unknown again', async () => {
    await dockerd.docker.getContainer('r2-web-1').remove({ force: true })
    await answers('app-r2.ci.test', 404)
  })

  test('host network and published ports are reached too', async () => {
    const hostPort = await freePort()
    await dockerd.run({
      name: 'hostnet',
      networks: ['host'],
      env: [`PORT=${hostPort}`],
      labels: { 'hostler.port': String(hostPort) },
    })
    await answers('hostnet.ci.test')
  })

  test('the daemon restarts: routes stay while it is away, and are followed again afterwards', async () => {
    await dockerd.restart()
    await dockerd.docker
      .getContainer('good')
      .start()
      .catch(() => undefined)
    await dockerd.run({ name: 'after', labels: compose('after', 'web') })
    await answers('after.ci.test')
    await until('the source is well again', async () => (await hostler.get('/readyz')).status === 200)
  })

  test('it ends in order and leaves no HAProxy behind', async () => {
    const pid = (await hostler.state()).proxies[0]?.details['pid']
    expect(await hostler.stop()).toBe(0)
    expect(() => process.kill(Number(pid), 0)).toThrow('ESRCH')
  })
})
