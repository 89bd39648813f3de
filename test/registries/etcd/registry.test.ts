import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { createKeys } from '../../../src/registries/etcd/keys.js'
import { type Agent, startAgent } from '../../support/agent.js'
import { startEtcd, type TestEtcd } from '../../support/etcd.js'
import { startEtcdRegistry } from '../../support/etcd-rig.js'
import { runHostler } from '../../support/hostler.js'
import { instance } from '../../support/instances.js'
import { describeWith } from '../../support/servers.js'
import { tempDir } from '../../support/temp.js'
import { until } from '../../support/wait.js'

const web = instance('web', { port: '80' })
const db = instance('db', { port: '5432' })

describeWith(['etcd'], 'the etcd registry', () => {
  let etcd: TestEtcd
  const open: { stop(): Promise<unknown> }[] = []
  /** Of its own for every test: nobody has to wait for the leases of the one before. */
  let at = ''
  let count = 0
  beforeAll(async () => {
    etcd = await startEtcd()
  })
  beforeEach(() => {
    at = `/t${++count}`
  })
  afterEach(async () => {
    for (const rig of open.splice(0)) await rig.stop()
    await etcd.client.delete().all().exec()
  })
  afterAll(() => etcd.stop())

  const start = (env: Record<string, string> = {}) => {
    const rig = startEtcdRegistry({
      ETCD_ENDPOINT: etcd.endpoint,
      HOSTLER_ANNOUNCE_NAME: 'host-a',
      HOSTLER_ETCD_PREFIX: at,
      ...env,
    })
    open.push(rig)
    return rig
  }
  const revision = async () => Number((await etcd.client.get('/').exec()).header.revision)
  const announced = async (host = 'host-a') =>
    Object.keys(await etcd.all(`${at}/instances/${host}/`)).map((key) => key.split('/').at(-1))

  test('writes only what has changed, each container in one transaction', async () => {
    const rig = start({ HOSTLER_POLICIES: 'hostler,traefik' })
    expect(await rig.sync([web])).toMatchObject({ removed: 0, troubles: [] })
    const before = await revision()
    expect(await rig.sync([web])).toMatchObject({ written: 0, removed: 0 })
    expect(await revision()).toBe(before)
    await rig.sync([web, db])
    expect(await revision()).toBe(before + 1)
    await rig.sync([db])
    expect(await revision()).toBe(before + 2)
    expect(await announced()).toEqual(['db'])
  })

  test('takes nothing back while some source has told nothing', async () => {
    const rig = start()
    await rig.sync([web, db])
    expect(await rig.sync([web], false)).toMatchObject({ entries: 2, removed: 0 })
    expect(await rig.sync([web], true)).toMatchObject({ entries: 1, removed: 1 })
  })

  test('a restart goes unnoticed: what is still there stays, what changed meanwhile changes at once', async () => {
    const dir = tempDir()
    const first = start({ HOSTLER_STATE_DIR: dir })
    await first.sync([web, db])
    await first.stop()
    const before = (await etcd.client.get(`${at}/instances/host-a/test/web`).exec()).kvs[0]?.mod_revision
    const second = start({ HOSTLER_STATE_DIR: dir })
    expect(await second.sync([web, { ...db, state: 'stopped' }])).toMatchObject({
      entries: 2,
      written: 1,
      troubles: [],
    })
    expect((await etcd.client.get(`${at}/instances/host-a/test/web`).exec()).kvs[0]?.mod_revision).toBe(before)
    expect(JSON.parse((await etcd.client.get(`${at}/instances/host-a/test/db`).string()) ?? '')).toMatchObject({
      state: 'stopped',
    })
    expect(await second.sync([web])).toMatchObject({ entries: 1, removed: 1 })
  })

  test('under another name and with a longer lease it leaves no ghosts behind, and keeps what is its own', async () => {
    const first = start({ HOSTLER_ETCD_LEASE: '1s' })
    await first.sync([web])
    await first.stop()
    const second = start({ HOSTLER_ANNOUNCE_NAME: 'host-b' })
    await second.sync([web])
    await until('the old name is gone', async () => (await announced()).length === 0)
    expect(await announced('host-b')).toEqual(['web'])
  })

  test('who comes takes away what nobody claims any more', async () => {
    const [other, first] = [start({ HOSTLER_ANNOUNCE_NAME: 'host-b' }), start()]
    await other.sync([db])
    await first.sync([web])
    await first.stop()
    await other.stop()
    // As if both leases had ended while nobody was there to see it, and the shared one had not.
    await etcd.client.delete().prefix(`${at}/registrar/`).exec()
    await start({ HOSTLER_ANNOUNCE_NAME: 'host-b' }).sync([db])
    expect([await announced(), await announced('host-b')]).toEqual([[], ['db']])
  })

  test('two hosts with the same container do not get in each other’s way', async () => {
    const [a, b] = [start(), start({ HOSTLER_ANNOUNCE_NAME: 'host-b' })]
    await Promise.all([a.sync([web]), b.sync([web])])
    await a.sync([])
    expect([await announced(), await announced('host-b')]).toEqual([[], ['web']])
  })

  test('two processes that share a folder each go on with a lease of their own', async () => {
    const env = { HOSTLER_STATE_DIR: tempDir() }
    const first = start(env)
    await first.sync([web])
    const second = start(env)
    await second.sync([web])
    await until('the first one has noticed', () => first.disturbed() > 1)
    await first.sync([web])
    await second.sync([web])
    await second.withdraw()
    expect(await announced()).toEqual(['web'])
  })

  test('withdraws everything at once when asked', async () => {
    const rig = start()
    await rig.sync([web, db])
    await rig.withdraw()
    expect(await etcd.all('/')).toEqual({})
  })

  test('without a lease it needs nobody to stay, and takes back what is gone the next time', async () => {
    const env = { HOSTLER_ETCD_LEASE: '0', HOSTLER_POLICIES: 'hostler,skydns' }
    const one = start(env)
    expect(await one.sync([web, db])).toMatchObject({ entries: 4 })
    await one.stop()
    const leases = (await etcd.client.getAll().prefix('/').exec()).kvs.map(({ lease }) => lease)
    expect(new Set(leases)).toEqual(new Set(['0']))
    expect(await start(env).sync([web])).toMatchObject({ entries: 2, written: 0, removed: 2 })
    expect(await announced()).toEqual(['web'])
  })

  test('puts right at its start what was changed while it was away', async () => {
    const env = { HOSTLER_ETCD_LEASE: '0', HOSTLER_POLICIES: 'skydns' }
    const before = start(env)
    await before.sync([web, db])
    await before.stop()
    const nodes = await etcd.all('/skydns/')
    await etcd.client.delete().key('/skydns/local/skydns/web').exec()
    await etcd.client.put('/skydns/local/skydns/db').value('nonsense')
    expect(await start(env).sync([web, db])).toMatchObject({ entries: 2, written: 2, removed: 0, troubles: [] })
    expect(await etcd.all('/skydns/')).toEqual(nodes)
  })

  test('goes on with its own lease when the shared one has ended, and is no rival of its own', async () => {
    const rig = start({ HOSTLER_POLICIES: 'skydns' })
    const moved = { ...web, networks: [{ name: 'n', address: '10.0.0.99', shared: false }] }
    await rig.sync([web, db])
    await etcd.client.leaseClient.leaseRevoke({ ID: createKeys(at).sharedLease })
    const result = await until('it is in step', () => rig.sync([moved, db]).catch(() => undefined))
    expect(result.troubles).toEqual([])
    await until('both nodes are there', async () => Object.keys(await etcd.all('/skydns/')).length === 2)
    expect((await etcd.all('/skydns/'))['/skydns/local/skydns/web']).toContain('10.0.0.99')
    expect(Object.keys(await etcd.all(`${at}/registrar/processes/`))).toHaveLength(1)
  })

  test('what one announces without a lease and another with one lasts as long as either', async () => {
    const node = '/skydns/local/skydns/web'
    const lasting = () => start({ HOSTLER_ETCD_LEASE: '0', HOSTLER_POLICIES: 'skydns' })
    const leased = start({ HOSTLER_ETCD_LEASE: '1s', HOSTLER_POLICIES: 'skydns', HOSTLER_ANNOUNCE_NAME: 'host-b' })
    const leaseOf = async () => (await etcd.client.get(node).exec()).kvs[0]?.lease
    await leased.sync([web])
    await lasting().sync([web])
    expect(await leaseOf()).toBe('0')
    await lasting().sync([])
    expect(await leaseOf()).not.toBe('0')
    await lasting().sync([web])
    await leased.withdraw()
    expect(await leaseOf()).toBe('0')
    await lasting().sync([])
    expect(await leaseOf()).toBeUndefined()
  })

  test('hostler sync announces a file in one pass', async () => {
    const stacks = join(tempDir(), 'stacks.yml')
    writeFileSync(stacks, 'instances: [{ name: web-1, address: 10.0.0.1 }]\n')
    const args = [
      '-s',
      `path=${stacks}`,
      '-b',
      `endpoints=${etcd.endpoint}`,
      '-b',
      `prefix=${at}`,
      '-b',
      'policies=skydns',
    ]
    expect(await runHostler(['sync', 'file', 'etcd', ...args], {})).toMatchObject({
      code: 0,
      stdout: 'etcd: 1 announced, 1 written, 0 taken back\n',
    })
    expect(await etcd.client.get('/skydns/local/skydns/web-1').string()).toBe('{"host":"10.0.0.1"}')
  })

  test('announces everything again when etcd has lost its state', async () => {
    const rig = start()
    await rig.sync([web, db])
    const before = rig.disturbed()
    await etcd.kill()
    await etcd.resume('empty')
    await until('it has asked for a sync', () => rig.disturbed() > before + 1)
    await until('it is in step', () =>
      rig.sync([web, db]).then(
        ({ entries }) => entries === 2,
        () => false,
      ),
    )
    expect(await announced()).toEqual(['db', 'web'])
  })

  test('puts right what somebody else changed or took away', async () => {
    const rig = start({ HOSTLER_ETCD_LEASE: '1s' })
    await rig.sync([web, db])
    const [one, two] = [`${at}/instances/host-a/test/web`, `${at}/instances/host-a/test/db`]
    const before = await etcd.client.get(one).string()
    await etcd.client.put(one).value('nonsense')
    await etcd.client.delete().key(two)
    await until(
      'both are as they were',
      async () => (await etcd.client.get(one).string()) === before && (await announced()).length === 2,
    )
    await rig.stop()
    await until('they end with it all the same', async () => (await announced()).length === 0)
  })

  test('leaves alone what is not Hostler’s, and says so', async () => {
    await etcd.client.put('/skydns/local/skydns/web').value('mine')
    const rig = start({ HOSTLER_POLICIES: 'skydns' })
    const { troubles, entries } = await rig.sync([web, db])
    expect(troubles).toEqual([
      expect.stringContaining('/skydns/local/skydns/web is in etcd already and is not Hostler’s'.replace('’', "'")),
    ])
    expect(entries).toBe(1)
    await rig.sync([db])
    expect(await etcd.client.get('/skydns/local/skydns/web').string()).toBe('mine')
    await etcd.client.delete().key('/skydns/local/skydns/web')
    expect(await rig.sync([web, db])).toMatchObject({ entries: 2, troubles: [] })
  })

  describe('with policies of the user’s', () => {
    const policy = (dir: string, text: string) => {
      writeFileSync(join(dir, 'package.json'), '{"type":"module"}')
      writeFileSync(join(dir, 'mine.js'), text)
      return join(dir, '*.js')
    }
    /** What says where its one node is, and has the default "x". */
    const configured = (etcdPath = '') =>
      `export const config = { ${etcdPath} properties: { at: { type: 'string', default: 'x' } } }
       export const container = (c, { at }) => ({ ['/mine/' + at]: c.Name })`

    /** Threads run compiled code, so the whole program does. */
    async function agent(env: Record<string, string>) {
      const common = { ETCD_ENDPOINT: etcd.endpoint, HOSTLER_REGISTRIES: 'etcd', HOSTLER_ETCD_PREFIX: at }
      const started = await startAgent({ name: 'host-a', containers: { web: {} }, env: { ...common, ...env } })
      open.push(started.hostler)
      return started
    }
    const nodesAre = (nodes: Record<string, string>) =>
      until(
        `the nodes are ${JSON.stringify(nodes)}`,
        async () => JSON.stringify(await etcd.all('/mine/')) === JSON.stringify(nodes),
      )
    const says = ({ hostler }: Agent, text: string) =>
      until(`it says ${text}`, async () =>
        (await hostler.state()).registries?.[0]?.troubles.some((trouble) => trouble.includes(text)),
      )

    test('configurations in the folder come, change and go', async () => {
      const services = tempDir()
      const file = (name: string) => join(services, 'mine', name)
      const one = await agent({ HOSTLER_POLICIES: policy(tempDir(), configured()), HOSTLER_SERVICES: services })
      await nodesAre({ '/mine/x': '/web' })
      mkdirSync(join(services, 'mine'))
      writeFileSync(file('one.json'), '{"at":"one"}')
      await nodesAre({ '/mine/one': '/web' })
      writeFileSync(file('two.json'), '{"at":"two"}')
      await nodesAre({ '/mine/one': '/web', '/mine/two': '/web' })
      writeFileSync(file('one.json'), '{"at":')
      await says(one, file('one.json'))
      await nodesAre({ '/mine/one': '/web', '/mine/two': '/web' })
      writeFileSync(file('one.json'), '{"at":"three"}')
      await nodesAre({ '/mine/three': '/web', '/mine/two': '/web' })
      rmSync(file('one.json'))
      await nodesAre({ '/mine/two': '/web' })
      writeFileSync(join(services, 'mine.json'), '{"at":"single"}')
      await nodesAre({ '/mine/single': '/web', '/mine/two': '/web' })
    })

    test('several configurations at the start each have the nodes of every container, however often those change', async () => {
      const services = tempDir()
      mkdirSync(join(services, 'mine'))
      for (const at of ['one', 'two']) writeFileSync(join(services, 'mine', `${at}.json`), JSON.stringify({ at }))
      const text = `export const config = { properties: { at: { type: 'string' } } }
        export const container = ({ Name, Config }, { at }) => ({ ['/mine/' + at + Name]: Config.Labels.say ?? '' })`
      const one = await agent({ HOSTLER_POLICIES: policy(tempDir(), text), HOSTLER_SERVICES: services })
      await nodesAre({ '/mine/one/web': '', '/mine/two/web': '' })
      one.say({ web: {}, db: {} })
      await nodesAre({ '/mine/one/db': '', '/mine/one/web': '', '/mine/two/db': '', '/mine/two/web': '' })
      for (let said = 1; said <= 6; said++) {
        const say = String(said)
        one.say({ web: { say }, db: {} })
        await nodesAre({ '/mine/one/db': '', '/mine/one/web': say, '/mine/two/db': '', '/mine/two/web': say })
      }
      one.say({ web: {} })
      await nodesAre({ '/mine/one/web': '', '/mine/two/web': '' })
      // Node.js warns of listeners that are left behind.
      expect(one.hostler.log()).not.toContain('Warning')
    })

    test('configurations in etcd come, change and go', async () => {
      await etcd.client.put('/configs/mine/one').value('{"at":"one"}')
      const one = await agent({ HOSTLER_POLICIES: policy(tempDir(), configured("etcdPath: '/configs/mine',")) })
      await nodesAre({ '/mine/one': '/web' })
      await etcd.client.put('/configs/mine/two').value('{"at":"two"}')
      await nodesAre({ '/mine/one': '/web', '/mine/two': '/web' })
      await etcd.client.put('/configs/mine/one').value('no JSON')
      await says(one, "etcd's /configs/mine/one")
      await nodesAre({ '/mine/one': '/web', '/mine/two': '/web' })
      await etcd.client.delete().prefix('/configs/').exec()
      await nodesAre({})
    })

    test('one that is broken keeps its nodes, also over a restart, and comes to life when it is mended', async () => {
      const [dir, state] = [tempDir(), tempDir()]
      const saying = (value: string) => `export const container = (c) => ({ ['/mine' + c.Name]: '${value}' })`
      const env = { HOSTLER_POLICIES: policy(dir, saying('1')), HOSTLER_STATE_DIR: state }
      const first = await agent(env)
      await nodesAre({ '/mine/web': '1' })
      await first.hostler.stop('SIGTERM')
      policy(dir, 'export const container = (')
      const second = await agent(env)
      await says(second, join(dir, 'mine.js'))
      await nodesAre({ '/mine/web': '1' })
      policy(dir, saying('2'))
      await nodesAre({ '/mine/web': '2' })
      policy(dir, "throw new Error('again')")
      await says(second, 'it goes on as it was')
      second.say({ web: {}, db: {} })
      await nodesAre({ '/mine/db': '2', '/mine/web': '2' })
    })

    test('a restart with a policy that fails, or a configuration that is broken, takes nothing away', async () => {
      const [dir, services, state] = [tempDir(), tempDir(), tempDir()]
      const config = join(services, 'mine.json')
      const text = (fault: string) =>
        `export const config = { properties: { say: { type: 'string' } } }
         export const container = ({ Name }, { say }) => { ${fault}; return { ['/mine' + Name]: say } }`
      const env = { HOSTLER_SERVICES: services, HOSTLER_STATE_DIR: state }
      const begin = (fault: string) => agent({ ...env, HOSTLER_POLICIES: policy(dir, text(fault)) })
      writeFileSync(config, '{"say":"1"}')
      const first = await begin('')
      await nodesAre({ '/mine/web': '1' })
      await first.hostler.stop('SIGTERM')
      const second = await begin("if (say === '1') throw new Error('not now')")
      await says(second, `policy mine (${join(dir, 'mine.js')}, ${config}): container web: not now`)
      expect(await etcd.all('/mine/')).toEqual({ '/mine/web': '1' })
      await second.hostler.stop('SIGTERM')
      writeFileSync(config, '{"say":')
      const third = await begin('')
      await says(third, `${config} is not a configuration of it: it is no JSON (line 1, column 8)`)
      expect(await etcd.all('/mine/')).toEqual({ '/mine/web': '1' })
      policy(dir, `${text('')} // edited`)
      third.say({ web: {}, db: {} })
      await says(third, config)
      expect(await etcd.all('/mine/')).toEqual({ '/mine/web': '1' })
      writeFileSync(config, '{"say":"2"}')
      await nodesAre({ '/mine/db': '2', '/mine/web': '2' })
    })

    test('one that fails for a moment has its nodes as soon as it works, though nothing else has changed', async () => {
      const [dir, services] = [tempDir(), tempDir()]
      const there = join(services, 'there')
      const text = `import { existsSync } from 'node:fs'
        export const container = (c) => { if (!existsSync('${there}')) throw new Error('not yet'); return { ['/mine' + c.Name]: 'x' } }`
      const one = await agent({ HOSTLER_POLICIES: policy(dir, text) })
      await says(one, 'not yet')
      writeFileSync(there, '')
      await nodesAre({ '/mine/web': 'x' })
    })
  })

  test('configurations in etcd count in a single pass too', async () => {
    const [dir, stacks] = [tempDir(), join(tempDir(), 'stacks.yml')]
    writeFileSync(stacks, 'instances: [{ name: web, address: 10.0.0.1 }]\n')
    const path = join(dir, 'mine.mjs')
    writeFileSync(
      path,
      `export const config = { etcdPath: '/configs/mine' }; export const container = (c, { at }) => ({ ['/mine/' + at]: 'x' })`,
    )
    await etcd.client.put('/configs/mine/one').value('{"at":"one"}')
    const common = ['-s', `path=${stacks}`, '-b', `endpoints=${etcd.endpoint}`, '-b', `prefix=${at}`]
    const sync = (policies: string) => runHostler(['sync', 'file', 'etcd', ...common, '-b', `policies=${policies}`], {})
    expect(await sync(path)).toMatchObject({ code: 0, stdout: 'etcd: 1 announced, 1 written, 0 taken back\n' })
    expect(await sync(join(dir, '*.js'))).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^etcd: 1 announced, 0 written, 0 taken back\n {2}no file is called/),
    })
    expect(await etcd.all('/mine/')).toEqual({ '/mine/one': 'x' })
  })

  test('hostler check tells whether it can be reached, and what is wrong with a policy', async () => {
    const dir = tempDir()
    const [stacks, bad] = [join(dir, 'stacks.yml'), join(dir, 'bad.mjs')]
    writeFileSync(stacks, 'instances: []\n')
    writeFileSync(bad, 'export const other = 1')
    const env = { HOSTLER_SOURCES: 'file', HOSTLER_FILE: stacks, HOSTLER_PROXY: 'none', HOSTLER_REGISTRIES: 'etcd' }
    const check = (more: Record<string, string>) =>
      runHostler(['check'], { ...env, ETCD_ENDPOINT: etcd.endpoint, ...more })
    expect(await check({ HOSTLER_POLICIES: 'hostler,skydns' })).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('ok    registry etcd: hostler, skydns; 0 keys'),
    })
    expect(await check({ HOSTLER_POLICIES: bad })).toMatchObject({
      code: 1,
      stdout: expect.stringContaining(`FAIL  registry etcd: policy bad (${bad}): it exports no function "container"`),
    })
    expect(await check({ ETCD_ENDPOINT: 'http://127.0.0.1:1' })).toMatchObject({
      code: 1,
      stdout: expect.stringContaining(
        'FAIL  registry etcd: reading etcd at http://127.0.0.1:1 failed; see that it runs there',
      ),
    })
  })

  test('what Traefik reads is one scalar per key, with indexes of the same length', async () => {
    const labels = { port: '80', host: 'a.example, *.b.example', path: '/api', 'strip-path': 'true', sticky: 'true' }
    const shop = (name: string, address: string) =>
      instance(name, labels, { stack: 'shop', service: 'web', networks: [{ name: 'n', address, shared: false }] })
    const rig = start({ HOSTLER_POLICIES: 'traefik', HOSTLER_HTTPS: 'true' })
    await rig.sync([shop('web-1', '10.0.0.1'), shop('web-2', 'fd00::2')])
    const nodes = await etcd.all('/traefik/')
    const servers = Object.entries(nodes).filter(([key]) => key.includes('/servers/'))
    expect(servers.map(([, url]) => url).sort()).toEqual(['http://10.0.0.1:80', 'http://[fd00::2]:80'])
    expect(servers.every(([key]) => /\/servers\/\d{12}\/url$/.test(key))).toBe(true)
    expect(Object.fromEntries(Object.entries(nodes).filter(([key]) => !key.includes('/servers/')))).toMatchSnapshot()
  })
})
