import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { systemClock } from '../../../../src/lib/clock.js'
import { createEtcdClient, type EtcdClient } from '../../../../src/lib/etcd/client.js'
import type { FilePolicyOptions } from '../../../../src/registries/etcd/policies/file-policy.js'
import type { ConfigSpec, Policy } from '../../../../src/registries/etcd/policies/policy.js'
import { createPolicySet } from '../../../../src/registries/etcd/policies/policy-set.js'
import { createRetries } from '../../../../src/registries/etcd/policies/retries.js'
import { skydns } from '../../../../src/registries/etcd/policies/skydns.js'
import { createFakeClock } from '../../../support/clock.js'
import { startEtcd, type TestEtcd } from '../../../support/etcd.js'
import { describeWith } from '../../../support/servers.js'
import { tempDir } from '../../../support/temp.js'
import { until } from '../../../support/wait.js'

const address = { ca: '', cert: '', key: '', username: '', password: '' }
const never = new AbortController().signal

/** What the files of policies say is said by tests; that files are modules has tests of its own. */
describe('the policies of the settings', () => {
  const stops: (() => Promise<unknown>)[] = []
  let dir = ''
  let services = ''
  let opened: string[] = []
  let closed: string[] = []
  let broken = false
  let config: ConfigSpec | undefined
  beforeEach(() => {
    dir = tempDir()
    services = join(tempDir(), 'services')
    mkdirSync(services)
    ;[opened, closed, broken, config] = [[], [], false, { properties: { at: { type: 'string', default: 'x' } } }]
  })
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop()
  })

  async function open({ name, path }: FilePolicyOptions): Promise<Policy> {
    opened.push(name)
    if (broken) throw new Error('it is broken')
    return {
      ...{ name, origin: path, prefix: () => undefined, evaluate: async () => [] },
      ...(config && { config }),
      close: async () => void closed.push(name),
    }
  }

  function start(policies: string[], { client, folder = services }: { client?: EtcdClient; folder?: string } = {}) {
    const clock = createFakeClock()
    const set = createPolicySet({
      ...{ policies, folder, open, clock: systemClock, retries: createRetries({ clock }) },
      client: client ?? createEtcdClient({ ...address, endpoints: ['http://127.0.0.1:1'] }),
      builtIns: [skydns({ domain: 'local', network: '' })],
    })
    let changes = 0
    const end = new AbortController()
    const run = () => {
      const running = set.run(() => changes++, end.signal)
      stops.push(async () => {
        end.abort()
        await running
      })
    }
    const look = () => set.services(never)
    const names = async () => (await look()).services.map(({ name }) => name)
    /** Both folders are: what is edited from now on is noticed. */
    const followed = () => until('its files are followed', () => changes === 2)
    return { clock, run, look, names, followed }
  }
  const file = (path: string, text = '{}') => writeFileSync(join(services, path), text)

  test('a glob that finds nothing is told and says nothing for certain, until its files come', async () => {
    const glob = join(dir, 'later', '*.js')
    const set = start([glob, 'skydns'])
    set.run()
    expect(await set.look()).toMatchObject({
      services: [{ name: 'skydns' }],
      isWhole: false,
      troubles: [expect.stringContaining(`no file is called ${glob} (HOSTLER_POLICIES); what was announced stays`)],
    })
    mkdirSync(join(dir, 'later'))
    writeFileSync(join(dir, 'later', 'mine.js'), '')
    expect(await set.look()).toMatchObject({ isWhole: true, troubles: [] })
    expect(await set.names()).toEqual(['skydns', 'mine'])
  })

  test('files that come later are found by their glob, and one of a name that is taken is told', async () => {
    for (const folder of ['a', 'b']) mkdirSync(join(dir, folder))
    writeFileSync(join(dir, 'a', 'one.js'), '')
    const set = start([join(dir, '*', '*.js')])
    set.run()
    expect(await set.names()).toEqual(['one'])
    await set.followed()
    writeFileSync(join(dir, 'b', 'two.js'), '')
    await until('the new one is at work', async () => (await set.names()).includes('two'))
    writeFileSync(join(dir, 'b', 'one.js'), '')
    await until('it is told', async () => (await set.look()).troubles.length > 0)
    expect((await set.look()).troubles).toEqual([
      expect.stringContaining(`two policies are called "one" (HOSTLER_POLICIES); give each file a name of its own`),
    ])
    expect(new Set(opened)).toEqual(new Set(['one', 'two']))
    expect(await set.names()).toEqual(['one', 'two'])
  })

  test('one that cannot be loaded is loaded again after a while', async () => {
    broken = true
    const set = start([join(dir, 'one.js')])
    expect(await set.look()).toMatchObject({
      services: [],
      isWhole: false,
      troubles: [/it is broken/].map(expect.stringMatching),
    })
    broken = false
    await set.look()
    expect(opened).toHaveLength(1)
    await set.clock.pass(1000)
    expect(await set.look()).toMatchObject({ services: [{ name: 'one' }], isWhole: true, troubles: [] })
    await set.clock.pass(3_600_000)
    await set.look()
    expect(opened).toHaveLength(2)
  })

  test('one whose config is no schema is closed again', async () => {
    config = { type: 'nonsense' }
    const set = start([join(dir, 'one.js')])
    expect((await set.look()).troubles).toEqual([expect.stringContaining('one.js')])
    expect(closed).toEqual(['one'])
  })

  test('one that is edited keeps its services while its configurations cannot be read', async () => {
    file('one.json', '{"at":"a"}')
    writeFileSync(join(dir, 'one.js'), '')
    const set = start([join(dir, '*.js')])
    set.run()
    await set.look()
    await set.followed()
    file('one.json', '{"at":')
    writeFileSync(join(dir, 'one.js'), '// edited')
    await until('it is loaded anew', async () => (await set.look()) && opened.length === 2)
    const { services: now, troubles } = await set.look()
    expect(now).toMatchObject([{ name: 'one', config: { at: 'a' } }])
    expect(troubles).toEqual([expect.stringContaining('it is no JSON (line 1, column 7)')])
    expect(closed).toEqual(['one'])
  })

  test.each([
    ['that is not there', () => rmSync(services, { recursive: true }), 'ENOENT'],
    ['that is a file', () => renameSync(join(services, 'one.json'), services.replace(/services$/, 'x')), 'ENOTDIR'],
  ])('a folder of configurations %s is told, and leaves it open what is wanted', async (_what, spoil, code) => {
    file('one.json')
    spoil()
    const folder = code === 'ENOTDIR' ? services.replace(/services$/, 'x') : services
    const { services: found, isWhole, troubles } = await start([join(dir, 'one.js')], { folder }).look()
    expect([found, isWhole]).toEqual([[], false])
    expect(troubles).toEqual([
      `policy one: not all of its configurations are known: ${folder} cannot be read (${code}); what is known stays`,
    ])
  })

  test('a configuration that is a folder is told, and the others go on', async () => {
    mkdirSync(join(services, 'one', 'bad.json'), { recursive: true })
    file('one/good.json')
    const { services: found, isWhole, troubles } = await start([join(dir, 'one.js')]).look()
    expect([found.map(({ name }) => name), isWhole]).toEqual([['one/good'], false])
    expect(troubles).toEqual([
      expect.stringContaining('bad.json is not a configuration of it: it cannot be read (EISDIR)'),
    ])
  })

  test('a file that is called like the policy does not hide its configuration', async () => {
    file('one')
    file('one.json', '{"at":"a"}')
    expect(await start([join(dir, 'one.js')]).look()).toMatchObject({
      services: [{ name: 'one', config: { at: 'a' } }],
      troubles: [],
    })
  })

  describeWith(['etcd'], 'with configurations in etcd', () => {
    let etcd: TestEtcd
    let client: EtcdClient
    beforeAll(async () => {
      etcd = await startEtcd()
      client = createEtcdClient({ ...address, endpoints: [etcd.endpoint] })
    })
    afterAll(async () => {
      client.close()
      await etcd.stop()
    })
    const put = (key: string, at: string) => etcd.client.put(key).value(JSON.stringify({ at })).exec()
    const at = (path: string) => {
      config = { etcdPath: path, properties: { at: { type: 'string' } } }
    }

    test('a single look finds them', async () => {
      at('/first')
      await put('/first/a', 'a')
      expect(await start([join(dir, 'one.js')], { client }).look()).toMatchObject({
        services: [{ name: 'one/a', config: { at: 'a' }, origin: "etcd's /first/a" }],
        ...{ isWhole: true, troubles: [] },
      })
    })

    test('a name that the folder has too is told, and the folder’s counts; so are two keys of one name', async () => {
      at('/one')
      mkdirSync(join(services, 'one'))
      file('one/a.json', '{"at":"folder"}')
      for (const key of ['/one/a', '/one/', '/one']) await put(key, key)
      const set = start([join(dir, 'one.js')], { client })
      set.run()
      const before = await set.look()
      expect(before.services.map(({ name, config: { at } }) => [name, at])).toEqual([
        ['one/a', 'folder'],
        ['one', '/one'],
      ])
      expect(before.troubles).toEqual([
        expect.stringContaining("etcd's /one and etcd's /one/ are the same configuration; the first one counts"),
        expect.stringContaining(`${join(services, 'one', 'a.json')} and etcd's /one/a are the same`),
      ])
      const again = await set.look()
      expect(again.services.every((service, index) => service === before.services[index])).toBe(true)
      await etcd.client.delete().key('/one').exec()
      await until('the other key counts', async () => (await set.look()).services[1]?.config['at'] === '/one/')
      await put('/one', 'back')
      await until('the first key counts again', async () => (await set.look()).services[1]?.config['at'] === 'back')
    })
  })

  test('what etcd has cannot be read: that is told, and those of the folder are at work', async () => {
    config = { etcdPath: '/one', properties: { at: { type: 'string' } } }
    file('one.json', '{"at":"a"}')
    const { services: found, isWhole, troubles } = await start([join(dir, 'one.js')]).look()
    expect([found.map(({ name }) => name), isWhole]).toEqual([['one'], false])
    expect(troubles).toEqual([expect.stringMatching(/those below \/one in etcd cannot be read: .*127\.0\.0\.1:1/)])
  })
})
