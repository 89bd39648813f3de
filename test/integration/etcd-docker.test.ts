import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { startDockerd, type TestDockerd } from '../support/dockerd.js'
import { startEtcd, type TestEtcd } from '../support/etcd.js'
import { type RunningHostler, startHostler } from '../support/hostler.js'
import { describeWith } from '../support/servers.js'
import { tempDir } from '../support/temp.js'
import { until } from '../support/wait.js'

/** Tells what it sees of containers that are not running too. */
const POLICY = `export const container = (one) => ({
  ['/seen' + one.Name]: { status: one.State.Status, greeting: one.Config.Env.find((text) => text.startsWith('GREETING=')) },
})`

describeWith(['dockerd', 'busybox', 'etcd'], 'real containers in etcd', () => {
  let dockerd: TestDockerd
  let etcd: TestEtcd
  let hostler: RunningHostler

  beforeAll(async () => {
    const folder = tempDir()
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
    writeFileSync(join(folder, 'seen.js'), POLICY)
    ;[dockerd, etcd] = await Promise.all([startDockerd(), startEtcd()])
    await dockerd.createNetwork('dns')
    hostler = startHostler(['run'], {
      DOCKER_HOST: dockerd.host,
      HOSTLER_PROXY: 'none',
      HOSTLER_REGISTRIES: 'etcd',
      KONTENA_REGISTRATOR_POLICIES: `hostler,skydns,${join(folder, 'seen.js')}`,
      SKYDNS_DOMAIN: 'ci.test',
      SKYDNS_NETWORK: 'dns',
      ETCD_ENDPOINT: etcd.endpoint,
      HOSTLER_ANNOUNCE_NAME: 'host-a',
      HOSTLER_ANNOUNCE_ADDRESS: '10.9.8.7',
      HOSTLER_STATE_DIR: join(folder, 'state'),
      HOSTLER_PRIVATE_LISTEN: '127.0.0.1:0',
      HOSTLER_ETCD_LEASE: '2s',
    })
    await hostler.ready()
  })

  afterAll(async () => {
    await hostler?.stop()
    await Promise.all([dockerd?.stop(), etcd?.stop()])
  })

  const read = (key: string) => etcd.client.get(key).string()
  const shows = (key: string, wanted: string | null) =>
    until(`${key} is ${wanted}`, async () => (await read(key)) === wanted)

  test('skydns: a container has a name as long as it runs, at its address in the network', async () => {
    const { container, address } = await dockerd.run({
      ...{ name: 'web', networks: ['apps', 'dns'] },
      create: { Hostname: 'web-host' },
    })
    const key = '/skydns/test/ci/web-host'
    await shows(key, JSON.stringify({ host: await address('dns') }))
    await container.stop({ t: 0 })
    await shows(key, null)
    await container.start()
    await shows(key, JSON.stringify({ host: await address('dns') }))
    await container.remove({ force: true })
    await shows(key, null)
  })

  test('a policy is asked of every container, also one that is stopped or has no label, with all that Docker tells', async () => {
    const { container } = await dockerd.run({ name: 'plain', env: ['GREETING=hello'], start: false })
    const said = (status: string) => JSON.stringify({ status, greeting: 'GREETING=hello' })
    await shows('/seen/plain', said('created'))
    await container.start()
    await shows('/seen/plain', said('running'))
    await container.pause()
    await shows('/seen/plain', said('paused'))
    await container.unpause()
    await container.stop({ t: 0 })
    await shows('/seen/plain', said('exited'))
    await container.rename({ name: 'other' })
    await shows('/seen/other', said('exited'))
    await shows('/seen/plain', null)
    await container.remove()
    await shows('/seen/other', null)
  })

  test('hostler: only what takes part is announced, by the port that is published', async () => {
    const { id, container } = await dockerd.run({
      ...{ name: 'shop', labels: { 'hostler.port': '80' }, publish: { 80: 0 }, env: ['SECRET=hidden'] },
    })
    const key = `/hostler/instances/host-a/docker/${id}`
    const text = await until('it is announced as running', async () => {
      const said = await read(key)
      return said?.includes('"running"') ? said : undefined
    })
    expect(text).not.toContain('hidden')
    expect(JSON.parse(text)).toMatchObject({
      ...{ name: 'shop', state: 'running', networks: [] },
      ports: [{ port: 80, published: { address: '10.9.8.7', port: expect.any(Number) } }],
    })
    expect(Object.keys(await etcd.all('/hostler/instances/'))).toEqual([key])
    await container.remove({ force: true })
    await shows(key, null)
  })

  test('the daemon’s outage takes nothing away', async () => {
    const { id } = await dockerd.run({ name: 'stays', labels: { 'hostler.port': '80' }, publish: { 80: 0 } })
    const key = `/hostler/instances/host-a/docker/${id}`
    await until('it is announced', () => read(key))
    await dockerd.halt()
    await until('the outage is known', async () => (await hostler.state()).sources[0]?.error)
    await etcd.kill()
    await etcd.resume('empty')
    await until('it is announced again', () => read(key))
    await dockerd.resume()
    await until(
      'what ended with the daemon is known',
      async () => JSON.parse((await read(key)) ?? '{}').state === 'stopped',
    )
  })
})
