import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { pino } from 'pino'
import { createCertificates } from '../../../src/proxies/haproxy/certificates.js'
import { makePem, type Pem } from '../../support/pem.js'
import { describeWith } from '../../support/servers.js'
import { tempDir } from '../../support/temp.js'

describeWith(['openssl'], 'certificates on disk', () => {
  let pems: Record<'a' | 'a2' | 'b', Pem>
  let dir: string
  let lines: { msg: string; path: string; reason: string }[]
  beforeAll(async () => {
    const [a, a2, b] = await Promise.all([makePem('a.test'), makePem('a.test'), makePem('b.test')])
    pems = { a: a!, a2: a2!, b: b! }
  })
  beforeEach(() => {
    dir = tempDir()
    lines = []
    mkdirSync(join(dir, 'certs'))
  })

  const path = (name: string) => join(dir, name)
  const write = (name: string, text: string) => writeFileSync(path(name), text)
  const create = () =>
    createCertificates({
      file: path('default.pem'),
      folder: path('certs'),
      copies: path('copies'),
      log: pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line)) }),
    })
  const copies = () => (existsSync(path('copies')) ? readdirSync(path('copies')) : [])
  const MISMATCH = () => pems.a2.certificate + pems.a.key

  test('are listed with the default first, then by name, with the host that a name stands for', () => {
    write('default.pem', pems.a.both)
    write('certs/b.example.com.pem', pems.b.both)
    write('certs/a.pem', pems.a.certificate)
    write('certs/a.pem.key', pems.a.key)
    expect(create().list()).toEqual([
      { path: path('default.pem'), host: null },
      { path: path('certs/a.pem'), host: null },
      { path: path('certs/b.example.com.pem'), host: 'b.example.com' },
    ])
  })

  test('that turn bad are served as HAProxy has taken them, for the same host, until they are good again', () => {
    write('certs/b.example.com.pem', pems.a.both)
    const certificates = create()
    certificates.list()
    certificates.inForce()
    expect(copies()).toEqual([])
    write('certs/b.example.com.pem', MISMATCH())
    const [bad] = certificates.list()
    expect(bad).toEqual({
      path: expect.stringMatching(/copies\/[0-9a-f]+-b\.example\.com\.pem$/),
      host: 'b.example.com',
    })
    expect(readFileSync(bad!.path, 'utf8')).toBe(pems.a.both)
    expect(statSync(bad!.path).mode & 0o777).toBe(0o600)
    certificates.list()
    certificates.inForce()
    expect(lines).toEqual([
      expect.objectContaining({
        path: path('certs/b.example.com.pem'),
        reason: 'its key belongs to another certificate',
      }),
    ])

    // A restart remembers nothing, but the copy is there.
    expect(create().list()).toEqual([bad])

    write('certs/b.example.com.pem', pems.a2.both)
    expect(certificates.list()).toEqual([{ path: path('certs/b.example.com.pem'), host: 'b.example.com' }])
    expect(copies()).toHaveLength(1)
    certificates.inForce()
    expect(copies()).toEqual([])
  })

  test('whose key lies beside them are kept with it', () => {
    write('certs/a.pem', pems.a.certificate)
    write('certs/a.pem.key', pems.a.key)
    const certificates = create()
    certificates.list()
    certificates.inForce()
    write('certs/a.pem.key', pems.b.key)
    expect(readFileSync(certificates.list()[0]!.path, 'utf8')).toBe(pems.a.both)
  })

  test('that were never good, or not in force yet, are left out and told once', () => {
    write('certs/a.pem', 'garbage')
    write('certs/b.pem', pems.b.both)
    const certificates = create()
    expect(certificates.list().map(({ path }) => path)).toEqual([path('certs/b.pem')])
    write('certs/b.pem', MISMATCH())
    expect([certificates.list(), certificates.list()]).toEqual([[], []])
    expect(lines.map(({ path, msg }) => [path, msg])).toEqual(
      ['a', 'b'].map((name) => [path(`certs/${name}.pem`), 'the certificate cannot be served and is left out']),
    )
  })

  test('that are gone are gone, and so are their copies', () => {
    write('certs/a.pem', pems.a.both)
    const certificates = create()
    certificates.list()
    certificates.inForce()
    write('certs/a.pem', 'garbage')
    certificates.list()
    expect(copies()).toHaveLength(1)
    rmSync(path('certs/a.pem'))
    expect(certificates.list()).toEqual([])
    certificates.inForce()
    expect(copies()).toEqual([])
    write('certs/a.pem', 'garbage')
    expect(certificates.list()).toEqual([])
  })

  test('that HAProxy refuses are bad until they change', () => {
    write('certs/a.pem', pems.a.both)
    const certificates = create()
    certificates.list()
    certificates.inForce()
    write('certs/a.pem', pems.a2.both)
    certificates.list()
    expect(certificates.blame("unable to load certificate from file '/elsewhere/a.pem'")).toBe(false)
    expect(certificates.blame(`unable to load certificate from file '${path('certs/a.pem')}': too weak`)).toBe(true)
    const [copy] = certificates.list()
    expect(readFileSync(copy!.path, 'utf8')).toBe(pems.a.both)
    expect(lines[0]).toMatchObject({ reason: expect.stringMatching(/^HAProxy refuses it: .*too weak$/) })
    expect(certificates.blame(`unable to load '${copy!.path}'`)).toBe(true)
    expect([certificates.list(), copies()]).toEqual([[], []])
    write('certs/a.pem', pems.b.both)
    expect(certificates.list()).toEqual([{ path: path('certs/a.pem'), host: null }])
  })

  describe('on a disk that takes no copy', () => {
    test('are left out when they turn bad', () => {
      write('certs/a.pem', pems.a.both)
      const certificates = create()
      certificates.list()
      certificates.inForce()
      write('copies', 'a file where the folder would be')
      chmodSync(path('copies'), 0o400)
      write('certs/a.pem', 'garbage')
      expect(certificates.list()).toEqual([])
      rmSync(path('copies'))
    })
  })
})
