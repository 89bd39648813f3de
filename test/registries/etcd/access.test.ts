import { copyFileSync, readFileSync } from 'node:fs'
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { Etcd3 } from 'etcd3'
import { messageOf } from '../../../src/lib/errors.js'
import type { Instance } from '../../../src/model/instance.js'
import { type Authority, createAuthority } from '../../support/authority.js'
import { startEtcd, type TestEtcd } from '../../support/etcd.js'
import { type EtcdRig, startEtcdRegistry } from '../../support/etcd-rig.js'
import { instance } from '../../support/instances.js'
import { freePort } from '../../support/ports.js'
import { describeWith } from '../../support/servers.js'
import { startTcpRelay, type TcpRelay } from '../../support/tcp-relay.js'
import { until } from '../../support/wait.js'

const web = instance('web', { port: '80' })

const inStep = (rig: EtcdRig, instances: readonly Instance[]) =>
  rig.sync(instances).then(
    ({ entries }) => entries === instances.length,
    () => false,
  )

describeWith(['etcd', 'openssl'], 'the way to etcd', () => {
  const open: Pick<EtcdRig | TestEtcd | TcpRelay, 'stop'>[] = []
  afterEach(async () => {
    for (const one of open.splice(0).reverse()) await one.stop()
  })
  const start = async (options: Parameters<typeof startEtcd>[0] = {}) => {
    const etcd = await startEtcd(options)
    open.push(etcd)
    return etcd
  }
  const registry = (env: Record<string, string>) => {
    const rig = startEtcdRegistry(env)
    open.push(rig)
    return rig
  }
  const failure = async (env: Record<string, string>) => {
    const error = await registry(env)
      .sync([web])
      .catch((reason: Error) => reason)
    if (!(error instanceof Error)) throw new Error('it did not fail')
    expect(error.message).toContain(env['ETCD_ENDPOINT'] ?? '')
    return error.message
  }

  describe('by TLS', () => {
    let authority: Authority
    beforeAll(async () => {
      authority = await createAuthority()
    })

    let issued = 0
    const issue = (names: readonly string[], validity?: 'expired') =>
      authority.issue(`number-${++issued}`, names, validity)

    async function secure(names: string[], validity?: 'expired') {
      const { cert, key } = await issue(names, validity)
      const args = ['--cert-file', cert, '--key-file', key, '--trusted-ca-file', authority.ca, '--client-cert-auth']
      return { ...(await start({ scheme: 'https', args })), cert, key }
    }
    const client = () => issue(['DNS:client'])

    test('with a CA and a certificate of ours everything works', async () => {
      const etcd = await secure(['IP:127.0.0.1'])
      const { cert, key } = await client()
      const rig = registry({ ETCD_ENDPOINT: etcd.endpoint, ETCD_CACERT: authority.ca, ETCD_CERT: cert, ETCD_KEY: key })
      expect(await rig.sync([web])).toMatchObject({ entries: 1, written: 1, troubles: [] })
      const credentials = {
        rootCertificate: readFileSync(authority.ca),
        certChain: readFileSync(cert),
        privateKey: readFileSync(key),
      }
      const looking = new Etcd3({ hosts: etcd.endpoint, credentials })
      expect(await looking.getAll().prefix('/hostler/instances/').keys()).toHaveLength(1)
      looking.close()
    })

    test.each([
      ['a CA that is not named', { ETCD_CACERT: '' }, /signed by nobody known: name its CA \(ETCD_CACERT\)/],
      ['a certificate that we have not', { ETCD_CERT: '', ETCD_KEY: '' }, /our certificate|see that it runs/],
      ['http:// where it is https://', { scheme: 'http' }, /ETCD_ENDPOINT|see that it runs/],
    ])('%s is said so', async (_what, over, reason) => {
      const etcd = await secure(['IP:127.0.0.1'])
      const { cert, key } = await client()
      const { scheme, ...env } = { scheme: 'https', ...over }
      const endpoint = etcd.endpoint.replace('https', scheme)
      expect(
        await failure({ ETCD_ENDPOINT: endpoint, ETCD_CACERT: authority.ca, ETCD_CERT: cert, ETCD_KEY: key, ...env }),
      ).toMatch(reason)
    })

    test('a name that is not in the certificate is said so', async () => {
      const etcd = await secure(['DNS:elsewhere.example'])
      const { cert, key } = await client()
      const env = { ETCD_ENDPOINT: etcd.endpoint, ETCD_CACERT: authority.ca, ETCD_CERT: cert, ETCD_KEY: key }
      expect(await failure(env)).toContain('its certificate is for another name')
    })

    test('a certificate that has expired is said so, and it goes on when the server has a new one', async () => {
      const etcd = await secure(['IP:127.0.0.1'], 'expired')
      const { cert, key } = await client()
      const env = { ETCD_ENDPOINT: etcd.endpoint, ETCD_CACERT: authority.ca, ETCD_CERT: cert, ETCD_KEY: key }
      const rig = registry(env)
      await expect(rig.sync([web])).rejects.toThrow('its certificate has expired: renew it')
      const renewed = await issue(['IP:127.0.0.1'])
      copyFileSync(renewed.cert, etcd.cert)
      copyFileSync(renewed.key, etcd.key)
      await until('it is in step', () => inStep(rig, [web]))
    })
  })

  describe('as a user', () => {
    async function guarded() {
      const etcd = await start()
      const { client } = etcd
      await client.role('root').create()
      await client.user('root').create('secret-root')
      await client.user('root').addRole('root')
      const role = await client.role('agent').create()
      await role.grant({ permission: 'Readwrite', range: client.range({ prefix: '/hostler/' }) })
      await client.user('agent').create('secret-agent')
      await client.user('agent').addRole('agent')
      await client.auth.authEnable()
      return etcd
    }

    test('with a password and a role everything works; without them it is said what is wrong, never the password', async () => {
      const { endpoint } = await guarded()
      const agent = { ETCD_ENDPOINT: endpoint, ETCD_USERNAME: 'agent', ETCD_PASSWORD: 'secret-agent' }
      expect(await registry(agent).sync([web])).toMatchObject({ entries: 1 })
      const wrong = await failure({ ...agent, ETCD_PASSWORD: 'secret-wrong' })
      expect(wrong).toContain('see ETCD_USERNAME and ETCD_PASSWORD')
      expect(wrong).not.toContain('secret')
      expect(await failure({ ETCD_ENDPOINT: endpoint })).toMatch(/ETCD_USERNAME|may not/)
      const elsewhere = await failure({ ...agent, HOSTLER_ETCD_PREFIX: '/other' })
      expect(elsewhere).toContain('that user may not: grant it a role')
    })

    test('nodes that the user may not write are told, and the others are written', async () => {
      const { endpoint } = await guarded()
      const env = { ETCD_ENDPOINT: endpoint, ETCD_USERNAME: 'agent', ETCD_PASSWORD: 'secret-agent' }
      const both = registry({ ...env, HOSTLER_POLICIES: 'hostler,skydns' })
      const db = instance('db', { port: '80' })
      expect(await both.sync([web, db])).toMatchObject({
        entries: 2,
        troubles: [
          expect.stringMatching(/^\/skydns\/local\/skydns\/db and others: .* that user may not: grant it a role/),
        ],
      })
    })
  })

  describe('that breaks', () => {
    test('a server that is not there is named, and it goes on when it comes', async () => {
      const port = await freePort()
      const endpoint = `http://127.0.0.1:${port}`
      const rig = registry({ ETCD_ENDPOINT: endpoint })
      await expect(rig.sync([web])).rejects.toThrow(`etcd at ${endpoint} failed; see that it runs there`)
      const etcd = await start({ port })
      await until('it is in step', () => inStep(rig, [web]))
      expect(Object.keys(await etcd.all('/hostler/instances/'))).toHaveLength(1)
    })

    test('one server of several may be gone', async () => {
      const gone = `http://127.0.0.1:${await freePort()}`
      const etcd = await start()
      const rig = registry({ ETCD_ENDPOINT: `${gone},${etcd.endpoint}` })
      await until('it is in step', () => inStep(rig, [web]))
      expect(Object.keys(await etcd.all('/hostler/instances/'))).toHaveLength(1)
    })

    test('one server of several may hang: it is asked no more, and what another process claims is heard', async () => {
      const etcd = await start()
      const silent = await startTcpRelay()
      const relay = await startTcpRelay(etcd.port)
      open.push(silent, relay)
      const env = { HOSTLER_POLICIES: 'skydns' }
      const rig = registry({ ...env, ETCD_ENDPOINT: `${silent.endpoint},${relay.endpoint},${etcd.endpoint}` })
      expect(await rig.sync([web])).toMatchObject({ entries: 1 })
      relay.hang()
      const db = instance('db', { port: '80' })
      expect(await rig.sync([web, db])).toMatchObject({ entries: 2 })
      await until('it follows the server that answers', () => inStep(rig, [web, db]))
      const before = rig.disturbed()
      const other = { ...web, networks: [{ name: 'n', address: '10.0.0.9', shared: false }] }
      await registry({ ...env, ETCD_ENDPOINT: etcd.endpoint, HOSTLER_ANNOUNCE_NAME: 'other' }).sync([other])
      await until('it has heard of the conflict', () => rig.disturbed() > before)
    })

    test('whoever stops does not wait for a server that hangs', async () => {
      const etcd = await start()
      const relay = await startTcpRelay(etcd.port)
      open.push(relay)
      const rig = startEtcdRegistry({ ETCD_ENDPOINT: relay.endpoint })
      expect(await rig.sync([web])).toMatchObject({ entries: 1 })
      relay.hang()
      await rig.stop()
      // Docker kills after ten seconds.
    })

    test('a server without quorum is said so, and nothing is lost when it has one again', async () => {
      const [port, other] = [await freePort(), await freePort()]
      const peers = [await freePort(), await freePort()]
      const cluster = `one=http://127.0.0.1:${peers[0]},two=http://127.0.0.1:${peers[1]}`
      const argsOf = (name: string, peer: number) => [
        '--name',
        name,
        '--listen-peer-urls',
        `http://127.0.0.1:${peer}`,
        '--initial-advertise-peer-urls',
        `http://127.0.0.1:${peer}`,
        '--initial-cluster',
        cluster,
      ]
      const [one, two] = await Promise.all([
        start({ port, args: argsOf('one', peers[0] as number) }),
        start({ port: other, args: argsOf('two', peers[1] as number) }),
      ])
      const rig = registry({ ETCD_ENDPOINT: one.endpoint })
      await until('it is in step', () => inStep(rig, [web]))
      await two.kill()
      const more = [web, instance('db', { port: '80' })]
      const error = await until('it fails', () =>
        rig.sync(more).then(
          () => undefined,
          (reason: Error) => reason,
        ),
      )
      expect(error.message).toMatch(/quorum/)
      await two.resume()
      await until('it is in step again', () => inStep(rig, more))
      expect(Object.keys(await one.all('/hostler/instances/'))).toHaveLength(2)
    })

    test('a server that hangs is said to be slow, and nothing is taken back because of it', async () => {
      const etcd = await start()
      const rig = registry({ ETCD_ENDPOINT: etcd.endpoint })
      await rig.sync([web])
      await etcd.hang()
      const more = [web, instance('db', { port: '80' })]
      const error = await rig.sync(more).catch((reason: Error) => reason)
      expect(String(error)).toMatch(/does not answer in time/)
      etcd.goOn()
      await until('it is in step again', () => inStep(rig, more))
      expect(Object.keys(await etcd.all('/hostler/instances/'))).toHaveLength(2)
    })
  })

  test.each(['http://127.0.0.1', 'http://[::1]:2379/', 'https://etcd.example,https://[::1]', 'a:2379,b'])(
    'endpoints are taken as people write them: %s',
    (endpoints) => {
      registry({ ETCD_ENDPOINT: endpoints })
    },
  )

  test.each([
    ['no URL', { ETCD_ENDPOINT: 'tcp://127.0.0.1:2379' }, 'is no etcd endpoint'],
    ['a password in it', { ETCD_ENDPOINT: 'http://user:hidden@a:1' }, '"http://***@a:1" is no etcd endpoint'],
    ['no server', { ETCD_ENDPOINT: ',' }, 'names no server'],
    ['both kinds', { ETCD_ENDPOINT: 'http://a:1,https://b:2' }, 'mixes http:// and https://'],
    ['no file', { ETCD_ENDPOINT: 'https://a:1', ETCD_CACERT: '/nowhere.pem' }, 'nowhere.pem'],
    ['no policy', { HOSTLER_POLICIES: 'skydn' }, 'Did you mean skydns?'],
    ['no such file', { HOSTLER_POLICIES: './x.txt' }, 'is no .js or .ts file'],
  ])('settings with %s are refused at the start', (_what, env, reason) => {
    let message = 'nothing was refused'
    try {
      startEtcdRegistry(env)
    } catch (error) {
      message = messageOf(error)
    }
    expect(message).toContain(reason)
    expect(message).not.toContain('hidden')
  })
})
