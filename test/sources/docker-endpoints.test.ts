import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createConnection, createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { codeOf, messageOf } from '../../src/lib/errors.js'
import { silentLogger } from '../../src/lib/logger.js'
import { isLive } from '../../src/model/instance.js'
import { createDockerSources, type DockerSourceSettings } from '../../src/sources/docker.js'
import { startDockerd, type TestDockerd } from '../support/dockerd.js'
import { freePort } from '../support/ports.js'
import { describeWith } from '../support/servers.js'
import { tempDir } from '../support/temp.js'
import { makeCertificates } from './docker-certificates.js'
import { dockerSettings, dockerSource, follow, list, listed } from './docker-source.js'

type DockerSettings = Partial<DockerSourceSettings['docker']>

const create = (hosts: readonly string[], docker: DockerSettings = {}) =>
  createDockerSources(dockerSettings(hosts, docker), { log: silentLogger() })

const namesOf = (...hosts: string[]) => create(hosts).map(({ name }) => name)

describe('the names of docker sources', () => {
  test('one endpoint is just docker', () => {
    expect(namesOf('tcp://ci-1:2375')).toEqual(['docker'])
  })

  test('several are told apart by host or file, and by more where that is not enough', () => {
    expect(namesOf('unix:///var/run/docker.sock', 'tcp://10.0.0.7:2375')).toEqual([
      'docker@docker.sock',
      'docker@10.0.0.7',
    ])
    expect(namesOf('/a/docker.sock', 'unix:///b/docker.sock', 'tcp://ci', 'tcp://ci:2380', 'tcp://[::1]')).toEqual([
      'docker@/a/docker.sock',
      'docker@/b/docker.sock',
      'docker@ci:2375',
      'docker@ci:2380',
      'docker@::1',
    ])
  })

  test('one that is named twice is a mistake', () => {
    expect(() => namesOf('tcp://ci', 'tcp://ci:2375')).toThrow(/"tcp:\/\/ci:2375" is named twice/)
  })
})

describe('an endpoint that cannot be used is refused at once, with what to write', () => {
  const mistakeOf = (host: string, docker: DockerSettings = {}) => {
    try {
      create([host], docker)
    } catch (error) {
      expect(codeOf(error)).toBe('CONFIG')
      return messageOf(error)
    }
    throw new Error(`${host} was taken`)
  }

  test.each([
    'ssh://host',
    'npipe:////./pipe/docker_engine',
    'docker.sock',
    'tcp://',
    'tcp://a b',
    'tcp://host:2375/path',
    'unix://relative.sock',
    'tcp://host:99999',
  ])('%s', (host) => {
    expect(mistakeOf(host)).toMatch(/docker\.hosts: .*(write unix:\/\/|from 1 to 65535)/)
  })

  test('a password in it is not repeated', () => {
    expect(mistakeOf('tcp://user:secret@host')).not.toContain('secret')
  })

  test('certificates that are not there', () => {
    expect(mistakeOf('tcp://host', { certPath: tempDir() })).toMatch(/docker\.certPath: .* holds neither/)
    const half = tempDir()
    writeFileSync(join(half, 'cert.pem'), 'x')
    expect(mistakeOf('tcp://host', { certPath: half })).toMatch(/needs cert\.pem and key\.pem together/)
    const folder = tempDir()
    mkdirSync(join(folder, 'ca.pem'))
    expect(mistakeOf('tcp://host', { certPath: folder })).toMatch(/ca\.pem cannot be read/)
  })
})

describe('the environment’s DOCKER_HOST', () => {
  const saved = process.env['DOCKER_HOST']
  afterEach(() => {
    if (saved === undefined) delete process.env['DOCKER_HOST']
    else process.env['DOCKER_HOST'] = saved
  })

  test('does not lead a source elsewhere, and may hold our comma list', async () => {
    process.env['DOCKER_HOST'] = 'tcp://127.0.0.1:1,tcp://127.0.0.1:2'
    const error = await list(dockerSource('unix:///nonexistent.sock')).catch((reason: unknown) => reason)
    expect(messageOf(error)).toContain('ENOENT')
    expect(process.env['DOCKER_HOST']).toBe('tcp://127.0.0.1:1,tcp://127.0.0.1:2')
  })
})

describeWith(['dockerd', 'busybox', 'openssl'], 'the docker source over TCP', () => {
  let engine: TestDockerd
  let certificates: string
  let plain: string
  let secure: string
  beforeAll(async () => {
    certificates = makeCertificates(tempDir())
    plain = `tcp://127.0.0.1:${await freePort()}`
    secure = `tcp://127.0.0.1:${await freePort()}`
    const file = (name: string) => join(certificates, name)
    engine = await startDockerd({
      args: [
        ...['-H', secure, '--tlsverify', '--tlscacert', file('ca.pem')],
        ...['--tlscert', file('server-cert.pem'), '--tlskey', file('server-key.pem')],
      ],
    })
  })
  afterAll(() => engine?.stop())

  const messageFor = (host: string, docker: DockerSettings) =>
    list(dockerSource(host, docker)).then(
      () => 'it was listed',
      (error: unknown) => messageOf(error),
    )

  test('lists and follows through TLS, and reaches containers by published ports', async () => {
    const published = await freePort()
    await engine.run({ name: 'web', labels: { 'hostler.port': '80' }, publish: { 80: published } })
    const source = dockerSource(secure, { tlsVerify: true, certPath: certificates })
    expect(await listed(source, 'web')).toMatchObject({
      networks: [],
      ports: [{ port: 80, published: { address: '127.0.0.1', port: published } }],
    })
    const { sees, stop } = await follow(source)
    await engine.run({ name: 'shop', labels: { 'hostler.port': '80' } })
    await sees('shop', 'live', isLive)
    await stop()
  })

  test('lists without TLS, by IPv4 and IPv6', async () => {
    const forward = createServer((client) => {
      const target = createConnection(engine.socket)
      client.pipe(target).pipe(client)
    })
    await new Promise<void>((resolve) => forward.listen(0, '::', resolve))
    const { port } = forward.address() as AddressInfo
    for (const [host, address] of [
      ['127.0.0.1', '127.0.0.1'],
      ['[::1]', '::1'],
    ] as const) {
      const found = await listed(dockerSource(`tcp://${host}:${port}`), 'web')
      expect(found.ports[0]?.published?.address).toBe(address)
    }
    await new Promise((resolve) => forward.close(resolve))
  })

  test('refuses an engine whose certificate another authority has signed', async () => {
    const other = makeCertificates(tempDir())
    expect(await messageFor(secure, { tlsVerify: true, certPath: other })).toMatch(/certificate/i)
  })

  test('says so when the engine wants a certificate that we do not have', async () => {
    const folder = makeCertificates(tempDir(), certificates)
    rmSync(join(folder, 'cert.pem'))
    rmSync(join(folder, 'key.pem'))
    expect(await messageFor(secure, { certPath: folder })).toMatch(/failed.*(certificate|alert|ECONNRESET|closed)/i)
  })

  test('says so when the engine wants TLS and we were told of none', async () => {
    expect(await messageFor(secure, {})).toMatch(/HTTP request to an HTTPS server/)
  })

  test('one endpoint that is down leaves the other alone', async () => {
    const [down, up] = create([plain, engine.host])
    if (!down || !up) throw new Error('two sources were expected')
    await expect(list(down)).rejects.toThrow(/ECONNREFUSED|failed/)
    expect((await list(up)).map(({ source }) => source)).toContain('docker@d.sock')
  })
})
