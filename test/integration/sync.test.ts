import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { stringify } from 'yaml'
import { startConsul, type TestConsul } from '../support/consul.js'
import { clear, servicesOf, statusOf } from '../support/consul-rig.js'
import { type RunningHostler, runHostler, startHostler } from '../support/hostler.js'
import { freePort } from '../support/ports.js'
import { type RancherApi, startRancherApi } from '../support/rancher-api.js'
import { describeWith } from '../support/servers.js'
import { tempDir } from '../support/temp.js'
import { until } from '../support/wait.js'

describeWith(['consul'], 'hostler sync', () => {
  let consul: TestConsul
  let rancher: RancherApi
  let running: RunningHostler | undefined
  beforeAll(async () => {
    consul = await startConsul()
    rancher = await startRancherApi()
  })
  afterAll(async () => {
    await rancher?.close()
    await consul?.stop()
  })
  beforeEach(async () => {
    await clear(consul)
    rancher.put([])
  })
  afterEach(async () => {
    await running?.stop('SIGKILL')
    running = undefined
  })

  const keys = () => ['-s', `accesskey=${rancher.accessKey}`, '-s', `secretkey=${rancher.secretKey}`]
  const at = (...endpoints: [string, number][]) => endpoints.map(([ipAddress, port]) => ({ ipAddress, port }))
  const ids = async () => Object.keys(await servicesOf(consul)).sort()

  /** A folder of its own, so that no other run's state is read. */
  const environment = async (more: Record<string, string> = {}) => ({
    HOSTLER_PRIVATE_LISTEN: `127.0.0.1:${await freePort()}`,
    HOSTLER_STATE_DIR: tempDir(),
    HOSTLER_ANNOUNCE_ADDRESS: '127.0.0.1',
    ...more,
  })

  test("does what Rancon's quick start says: a label, one pass, another name, one more pass", async () => {
    rancher.add({ name: 'myservice', stack: 'teststack', labels: { rancon: 'any' } })
    const line = ['sync', 'rancher', 'consul', '-s', `url=${rancher.url('v1')}`, ...keys(), '-b', `url=${consul.url}`]
    expect(await runHostler(line, {})).toMatchObject({
      ...{ code: 0, stderr: '' },
      stdout: 'consul: 1 announced, 1 written, 0 taken back\n',
    })
    expect(await servicesOf(consul)).toMatchObject({
      'myservice-10-0-0-7-8080': {
        ...{ Service: 'myservice', Address: '10.0.0.7', Port: 8080 },
        Tags: ['rancon', 'rancon-cleanup-id-default'],
      },
    })
    rancher.put([])
    rancher.add({ name: 'myservice', stack: 'teststack', labels: { 'rancon.name': '%NAME%-%STACK%' } })
    expect(await runHostler(line, {})).toMatchObject({ stdout: 'consul: 1 announced, 1 written, 1 taken back\n' })
    expect(await ids()).toEqual(['myservice-teststack-10-0-0-7-8080'])
  })

  test('announces each public endpoint, with the environment, under an id and a cleanup id of choice', async () => {
    const labels = { 'rancon.name': '%ENVIRONMENT%-%NAME%', 'rancon.tag': 'urlprefix-%STACK%,v2' }
    rancher.add({ name: 'web', stack: 'shop', labels, publicEndpoints: at(['10.0.0.7', 80], ['10.0.0.8', 80]) })
    rancher.add({ name: 'plain', stack: 'shop' })
    const options = ['-b', `url=${consul.url}`, '-b', 'id_schema=%NAME%_%HOST%', '-b', 'cleanup_id=Mine']
    const result = await runHostler(
      ['sync', 'rancher', 'consul', '-s', `url=${rancher.url()}`, ...keys(), ...options],
      {},
    )
    expect(result).toMatchObject({ code: 0, stderr: '' })
    expect(await ids()).toEqual(['default-web-10-0-0-7', 'default-web-10-0-0-8'])
    expect(Object.values(await servicesOf(consul))[0]?.Tags).toEqual([
      ...['urlprefix-shop', 'v2', 'rancon', 'rancon-cleanup-id-mine'],
    ])
  })

  test('takes its words from the environment, and finds the agent by the host of each endpoint', async () => {
    rancher.add({ name: 'web', labels: { rancon: '' }, publicEndpoints: at(['127.0.0.1', 80]) })
    const result = await runHostler(['sync'], {
      ...(await environment()),
      ...{ RANCON_SOURCE: 'rancher', RANCON_BACKEND: 'consul' },
      RANCON_SOURCE_OPTIONS: `url=${rancher.url()},accesskey=${rancher.accessKey},secretkey=${rancher.secretKey}`,
      RANCON_BACKEND_OPTIONS: `url=http://%HOST%:${consul.port}`,
    })
    expect(result).toMatchObject({ code: 0, stderr: '' })
    expect(await ids()).toEqual(['web-127-0-0-1-80'])
  })

  test('finds the agents of earlier passes again when nothing is announced any more', async () => {
    const line = [
      'sync',
      'rancher',
      'consul',
      '-s',
      `url=${rancher.url()}`,
      ...keys(),
      '-b',
      `url=http://%HOST%:${consul.port}`,
    ]
    const env = await environment()
    rancher.add({ name: 'web', labels: { rancon: '' }, publicEndpoints: at(['127.0.0.1', 80]) })
    expect(await runHostler(line, env)).toMatchObject({ code: 0, stderr: '' })
    rancher.put([])
    expect(await runHostler(line, env)).toMatchObject({
      code: 0,
      stdout: 'consul: 0 announced, 0 written, 1 taken back\n',
    })
    expect(await ids()).toEqual([])
  })

  test('leaves the address of Consul in the settings file as it is, and takes --set', async () => {
    const config = join(tempDir(), 'hostler.yml')
    writeFileSync(config, stringify({ consul: { url: consul.url } }))
    rancher.add({ name: 'web', labels: { rancon: '' } })
    const line = [
      '--config',
      config,
      '--set',
      'consul.cleanupId=set',
      'sync',
      'rancher',
      'consul',
      '-s',
      `url=${rancher.url()}`,
    ]
    expect(await runHostler([...line, ...keys()], {})).toMatchObject({ code: 0, stderr: '' })
    expect(Object.values(await servicesOf(consul))[0]?.Tags).toContain('rancon-cleanup-id-set')
  })

  test('runs on with -c, and follows; health and metrics are told; a crash is noticed within the lease', async () => {
    rancher.add({ name: 'web', labels: { rancon: '' } })
    const options = ['-b', `url=${consul.url}`, '-b', 'lease=2s', '-c', '-w1']
    const line = ['sync', '-c', '-w1', 'rancher', 'consul', '-s', `url=${rancher.url()}`, ...keys(), ...options]
    running = startHostler(line, await environment({ HOSTLER_ANNOUNCE_NAME: 'sync-host' }))
    await until('it is announced', async () => (await ids()).includes('web-10-0-0-7-8080'))
    rancher.add({ name: 'api', labels: { rancon: '' } })
    await until('the other one is', async () => (await ids()).includes('api-10-0-0-7-8080'))
    expect(await running.get('/health')).toMatchObject({ status: 200 })
    expect((await running.get('/metrics')).body).toMatch(/registry="consul"/)
    expect((await running.state()).registries).toMatchObject([{ name: 'consul', entries: 2 }])
    expect(running.log()).not.toContain(rancher.secretKey)
    await running.stop('SIGKILL')
    await until('it is critical', async () => (await statusOf(consul, 'web-10-0-0-7-8080')) === 'critical', 4000)
  })

  test('takes everything back at its end when it is told to', async () => {
    const line = ['sync', 'rancher', 'consul', '-s', `url=${rancher.url()}`, ...keys(), '-b', `url=${consul.url}`, '-c']
    rancher.add({ name: 'web', labels: { rancon: '' } })
    running = startHostler(line, await environment({ HOSTLER_ANNOUNCE_WITHDRAW: 'true' }))
    await until('it is announced', async () => (await ids()).includes('web-10-0-0-7-8080'))
    expect(await running.stop()).toBe(0)
    expect(await ids()).toEqual([])
  })

  test('takes any source: a file, with labels of both kinds', async () => {
    const path = join(tempDir(), 'stacks.yml')
    const instances = [
      { name: 'web-1', stack: 'shop', service: 'web', address: '10.0.0.1', labels: { 'hostler.port': '9001' } },
      { name: 'db', stack: 'shop', address: '10.0.0.2', labels: { 'hostler.port': 'none' } },
      { name: 'odd', stack: 'shop', address: '10.0.0.3', labels: { 'rancon.name': 'a b', 'hostler.port': '1' } },
    ]
    writeFileSync(path, stringify({ instances }))
    const result = await runHostler(['sync', 'file', 'consul', '-s', `path=${path}`, '-b', `url=${consul.url}`], {
      HOSTLER_ANNOUNCE_NAME: 'h1',
    })
    expect(result.code).toBe(1)
    expect(result.stdout).toMatch(/^consul: 1 announced, 1 written, 0 taken back\n {2}container odd: "a b" is no name/)
    expect(await ids()).toEqual(['shop-web-10-0-0-1-9001-h1'])
  })

  test('deletes nothing when Rancher refuses the keys or is away, and says so without them', async () => {
    rancher.add({ name: 'web', labels: { rancon: '' } })
    const line = (url: string, secret: string) => [
      ...['sync', 'rancher', 'consul', '-s', `url=${url}`, '-s', `accesskey=${rancher.accessKey}`],
      ...['-s', `secretkey=${secret}`, '-b', `url=${consul.url}`],
    ]
    await runHostler(line(rancher.url(), rancher.secretKey), {})
    const refused = await runHostler(line(rancher.url(), 'wr0ng-s3cret'), {})
    expect([refused.code, refused.stdout]).toEqual([3, ''])
    expect(refused.stderr).not.toContain('wr0ng-s3cret')
    const away = await runHostler(line(`http://127.0.0.1:${await freePort()}/v1`, rancher.secretKey), {})
    expect([away.code, away.stdout]).toEqual([3, ''])
    expect(away.stderr).not.toContain(rancher.secretKey)
    rancher.fault('503')
    const unwell = await runHostler(line(rancher.url(), rancher.secretKey), {})
    rancher.fault(undefined)
    expect([unwell.code, unwell.stdout]).toEqual([3, ''])
    expect(unwell.stderr).toMatch(/answered 503/)
    expect(await ids()).toEqual(['web-10-0-0-7-8080'])
  })

  test('ends with 3 when the registry is away', async () => {
    const path = join(tempDir(), 'stacks.yml')
    writeFileSync(path, stringify({ instances: [] }))
    const endpoints = `http://127.0.0.1:${await freePort()}`
    const etcd = await runHostler(['sync', 'file', 'etcd', '-s', `path=${path}`, '-b', `endpoints=${endpoints}`], {})
    expect(etcd).toMatchObject({ code: 3, stdout: '', stderr: expect.stringMatching(/etcd at http:\S+ failed/) })
    const url = `http://ann:s3cret@127.0.0.1:${await freePort()}`
    const result = await runHostler(['sync', 'file', 'consul', '-s', `path=${path}`, '-b', `url=${url}`], {})
    expect(result).toMatchObject({ code: 3, stdout: '', stderr: expect.stringContaining('is Consul up there?') })
    expect(result.stderr).not.toContain('s3cret')
  })

  test.each([
    [['sync', 'rancher', 'consul', '-s', 'secretkye=s3cret'], 2, 'rancher-api has no option called "secretkye"'],
    [['sync', 'file', 'consul', '-b', 'url=http://127.0.0.1:1', '-s', 'path=/nowhere.yml'], 2, '/nowhere.yml'],
    [['sync', 'nowhere', 'consul'], 2, 'no source is called "nowhere"'],
  ])('%j ends with %i', async (args, code, message) => {
    const result = await runHostler(args, {})
    expect(result.code).toBe(code)
    expect(result.stderr).toContain(message)
    expect(result.stderr).not.toContain('s3cret')
  })
})
