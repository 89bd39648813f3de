import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { type ConsulAccess, readAddress } from '../../../src/lib/consul/address.js'
import { type ConsulClient, type ConsulLimits, createConsulClient, nextIndex } from '../../../src/lib/consul/client.js'
import { codeOf, messageOf } from '../../../src/lib/errors.js'
import { startConsul, type TestConsul } from '../../support/consul.js'
import { accessTo } from '../../support/consul-access.js'
import { freePort } from '../../support/ports.js'
import { describeWith } from '../../support/servers.js'

const signal = new AbortController().signal
const opened: ConsulClient[] = []

afterEach(async () => {
  await Promise.all(opened.splice(0).map((client) => client.close()))
})

function open(access: ConsulAccess, limits?: ConsulLimits): ConsulClient {
  const client = createConsulClient(access, limits)
  opened.push(client)
  return client
}

/** What goes wrong with a call that must. */
async function failure(access: ConsulAccess, limits?: ConsulLimits): Promise<string> {
  const error: unknown = await open(access, limits)
    .get('/catalog/nodes', signal)
    .then(
      () => new Error('it went well'),
      (reason: unknown) => reason,
    )
  return `${codeOf(error)} ${messageOf(error)}`
}

const nowhere: ConsulAccess = {
  ...{ url: 'http://127.0.0.1:1', token: '', ssl: false, verify: true },
  ...{ ca: '', cert: '', key: '', serverName: '' },
}

describeWith(['consul'], 'a Consul without TLS and tokens', () => {
  let consul: TestConsul
  beforeAll(async () => {
    consul = await startConsul()
  })
  afterAll(() => consul?.stop())

  test('answers with what it has, and from where to wait for more', async () => {
    const { value, found, index, isFiltered } = await open(accessTo(consul)).get('/catalog/nodes', signal)
    expect(value).toMatchObject([{ Node: 'node-1', Address: '127.0.0.1' }])
    expect([found, isFiltered, Number(index) > 0]).toEqual([true, false, true])
  })

  test('tells of what is not there: an answer where that is asked for, an error elsewhere', async () => {
    const client = open(accessTo(consul))
    const answer = await client.get('/agent/service/nobody', signal, { mayMiss: true })
    expect([answer.found, answer.value]).toEqual([false, undefined])
    await expect(client.get('/agent/service/nobody', signal)).rejects.toMatchObject({ code: 'CONSUL_ANSWER' })
  })

  test('is reached by host and port alone, too', async () => {
    const url = `127.0.0.1:${consul.port}`
    expect(await open({ ...accessTo(consul), url }).get('/status/leader', signal)).toMatchObject({ found: true })
  })

  test('a blocking query answers when something has changed, and not before', async () => {
    const client = open(accessTo(consul))
    const { index = 0 } = await client.get('/catalog/service/web', signal)
    let answered = false
    const waiting = client.wait('/catalog/service/web', { index, waitMs: 60_000 }, signal).finally(() => {
      answered = true
    })
    await client.get('/status/leader', signal)
    expect(answered).toBe(false)
    await client.put('/agent/service/register', { ID: 'a', Name: 'web', Port: 80 }, signal)
    const answer = await waiting
    expect(answer.value).toMatchObject([{ ServiceID: 'a' }])
    expect(answer.index).toBeGreaterThan(index)
  })

  test('a blocking query ends with its signal', async () => {
    const client = open(accessTo(consul))
    const { index = 0 } = await client.get('/catalog/nodes', signal)
    const stopping = new AbortController()
    const waiting = client.wait('/catalog/nodes', { index, waitMs: 60_000 }, stopping.signal)
    stopping.abort()
    await expect(waiting).rejects.toThrow('aborted')
  })

  test('what it refuses is told with its words', async () => {
    const service = { ID: 'b', Name: 'b', Port: 80, Address: '0.0.0.0' }
    const refused = open(accessTo(consul)).put('/agent/service/register', service, signal)
    await expect(refused).rejects.toMatchObject({
      code: 'CONSUL_REFUSED',
      message: `PUT ${consul.url}/v1/agent/service/register was refused: "Invalid service address"`,
    })
  })

  test('one that stands still is given up after a while', async () => {
    await consul.pause()
    const told = await failure(accessTo(consul), { timeoutMs: 300 }).finally(() => consul.unpause())
    expect(told).toBe(
      `CONSUL GET ${consul.url}/v1/catalog/nodes failed; is Consul up there?: the whole answer took longer than 0.3 s`,
    )
  })

  test('an answer that is larger than is bearable is not read', async () => {
    expect(await failure(accessTo(consul), { maxBytes: 100 })).toMatch(/^CONSUL GET .* larger than is bearable/)
  })

  test('asked for TLS it is told to speak none', async () => {
    expect(await failure({ ...accessTo(consul), url: `https://127.0.0.1:${consul.port}` })).toMatch(
      /^CONSUL GET https:.* failed: the server does not speak TLS; write http:\/\//,
    )
  })
})

describeWith(['consul'], 'a Consul that speaks TLS', () => {
  let consul: TestConsul
  beforeAll(async () => {
    consul = await startConsul({ tls: true })
  })
  afterAll(() => consul?.stop())

  test('is spoken to with its CA and a certificate of ours', async () => {
    expect(await open(accessTo(consul)).get('/catalog/nodes', signal)).toMatchObject({ found: true })
    const url = `127.0.0.1:${consul.port}`
    expect(await open({ ...accessTo(consul), url, ssl: true }).get('/catalog/nodes', signal)).toMatchObject({
      found: true,
    })
  })

  test('is known by another name where that is told', async () => {
    const access = { ...accessTo(consul), serverName: 'server.dc1.consul' }
    expect(await open(access).get('/catalog/nodes', signal)).toMatchObject({ found: true })
  })

  test.each<[string, (access: ConsulAccess) => Partial<ConsulAccess>, RegExp]>([
    [
      'a CA that is not known',
      () => ({ ca: '' }),
      /^CONSUL .*not signed by a CA that is known here; set CONSUL_CACERT/,
    ],
    [
      'a server name that the certificate does not hold',
      () => ({ serverName: 'consul.example.com' }),
      /^CONSUL .*certificate is for other names; set CONSUL_TLS_SERVER_NAME/,
    ],
    [
      'no certificate of ours',
      () => ({ cert: '', key: '' }),
      /^CONSUL .*asks for a certificate: set CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY/,
    ],
    [
      'an expired certificate of ours',
      () => consul.tls.expired,
      /^CONSUL .*our certificate \S+dc1-client-consul-1\.pem has expired on .*; renew it/,
    ],
    [
      'plain HTTP',
      () => ({ url: `http://127.0.0.1:${consul.port}` }),
      /^CONSUL .*the server speaks TLS; write https:\/\/, or set CONSUL_HTTP_SSL=true/,
    ],
  ])('tells what to do about %s', async (_, change, message) => {
    const access = accessTo(consul)
    expect(await failure({ ...access, ...change(access) })).toMatch(message)
  })

  test('whose certificate is not looked at needs no CA', async () => {
    const access = { ...accessTo(consul), ca: '', verify: false }
    expect(await open(access).get('/catalog/nodes', signal)).toMatchObject({ found: true })
  })
})

describeWith(['consul'], 'a Consul whose certificate has expired', () => {
  let consul: TestConsul
  beforeAll(async () => {
    consul = await startConsul({ tls: 'expired' })
  })
  afterAll(() => consul?.stop())

  test('is not spoken to', async () => {
    expect(await failure(accessTo(consul))).toMatch(/^CONSUL .*the server's certificate has expired; renew it there/)
  })
})

describeWith(['consul'], 'a Consul that asks for tokens', () => {
  let consul: TestConsul
  beforeAll(async () => {
    consul = await startConsul({ acl: true })
  })
  afterAll(() => consul?.stop())

  test('takes the right one', async () => {
    expect((await open(accessTo(consul)).get('/catalog/nodes', signal)).value).toHaveLength(1)
  })

  test('refuses one that it does not know, which is not shown', async () => {
    const token = 'c0ffee00-dead-4bad-beef-secretsecret'
    const told = await failure({ ...accessTo(consul), token })
    expect(told).toBe(
      `CONSUL_DENIED GET ${consul.url}/v1/catalog/nodes is not allowed: "ACL not found"; is CONSUL_HTTP_TOKEN right?`,
    )
  })

  test('tells when a token may not do that', async () => {
    const token = await consul.createToken('node_prefix "" { policy = "read" }')
    const writing = open({ ...accessTo(consul), token }).put('/agent/service/register', { Name: 'a' }, signal)
    await expect(writing).rejects.toThrow(/"Permission denied.*"; CONSUL_HTTP_TOKEN needs more rights/)
  })
})

describeWith(['consul'], 'a Consul without a leader', () => {
  let consul: TestConsul
  beforeAll(async () => {
    consul = await startConsul({ leaderless: true })
  })
  afterAll(() => consul?.stop())

  test('is named as such', async () => {
    expect(await failure(accessTo(consul))).toMatch(
      /^CONSUL .* failed: Consul has no leader now \("No cluster leader"\); are enough of its servers up\?/,
    )
  })
})

describe('an address', () => {
  test('where nobody listens is named', async () => {
    const url = `http://127.0.0.1:${await freePort()}`
    expect(await failure({ ...nowhere, url })).toMatch(
      new RegExp(`^CONSUL GET ${url}/v1/catalog/nodes failed; is Consul up there\\?: .*ECONNREFUSED`),
    )
  })

  test.each(['', 'ftp://a:1', 'http://', 'a b:8500', 'http://a:8500?x=1', 'http://%HOST%:8500'])(
    '%j is none',
    (url) => {
      expect(() => open({ ...nowhere, url })).toThrow('is no address of Consul; write http://host:8500 or host:8500')
    },
  )

  test('may hold a user and password, which are sent and never shown, and a path', async () => {
    const seen: unknown[] = []
    const server = createServer((request, response) => {
      seen.push([request.url, request.headers.authorization])
      response.writeHead(500).end('no')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const told = await failure({ ...nowhere, url: `http://ann:s3cret@127.0.0.1:${port}/consul/` })
    server.close()
    expect(seen).toEqual([['/consul/v1/catalog/nodes', `Basic ${Buffer.from('ann:s3cret').toString('base64')}`]])
    expect(told).toBe(
      `CONSUL_ANSWER GET http://127.0.0.1:${port}/consul/v1/catalog/nodes was answered with status 500: "no"; see Consul's log`,
    )
  })

  test('of something else is told by what it answers', async () => {
    const server = createServer((_, response) => void response.end('<html>'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const told = await failure({ ...nowhere, url: `127.0.0.1:${port}` })
    server.close()
    expect(told).toMatch(/^CONSUL_ANSWER .* was answered with 6 characters that are not JSON; is that a Consul\?/)
  })

  test('that answers 404 to what is written is told, with a word about the address', async () => {
    const server = createServer((_, response) => void response.writeHead(404).end('404 page not found'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const writing = open({ ...nowhere, url: `127.0.0.1:${port}/v1` }).put('/agent/service/register', {}, signal)
    await expect(writing).rejects.toThrow(
      /v1\/v1\/agent\/service\/register was answered with status 404.*is that a Consul\?/,
    )
    server.close()
  })

  test('is not tried with a certificate that is not there, or has no key', () => {
    expect(() => open({ ...nowhere, ca: '/nowhere/ca.pem' })).toThrow('CONSUL_CACERT: /nowhere/ca.pem cannot be read')
    expect(() => open({ ...nowhere, cert: '/nowhere/a.pem' })).toThrow('set both or neither')
    expect(() => open({ ...nowhere, ca: '/etc/hostname' })).toThrow('/etc/hostname holds no PEM block')
  })
})

test.each([
  [5, 7, 7],
  [5, 5, 5],
  [5, 3, 0],
  [5, 0, 0],
  [5, undefined, 0],
])('after %j an answer with the index %j goes on from %j', (last, answered, next) => {
  expect(nextIndex(last, answered)).toBe(next)
})

describe('an address of Consul', () => {
  const read = (url: string) => readAddress({ url, ssl: false })

  test('may hold a password with any character, written as a URL has it', () => {
    const { origin, shown, authorization } = read('http://ann:p%40s%25s%21@consul:8500/x')
    const basic = Buffer.from('ann:p@s%s!').toString('base64')
    expect({ origin, shown, authorization }).toEqual({
      ...{ origin: 'http://consul:8500', shown: 'http://consul:8500/x', authorization: `Basic ${basic}` },
    })
  })

  test.each([
    'ann:s3cret@con sul:8500',
    'http://ann:s3cret@%HOST%:8500',
    'ann:s3/cret@consul:8500',
    'http://a:s3%zz@c',
  ])('%s is none, and its password is not shown', (url) => {
    expect(() => read(url)).toThrow('is no address of Consul')
    expect(() => read(url)).not.toThrow(/s3/)
  })
})
