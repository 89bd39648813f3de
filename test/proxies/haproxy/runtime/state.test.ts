import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createRuntimeSocket, type Reply } from '../../../../src/proxies/haproxy/runtime/socket.js'
import { readActivity, readRunning } from '../../../../src/proxies/haproxy/runtime/state.js'
import {
  parseBackends,
  parseCertificates,
  parseCrtList,
  parseFingerprint,
  parseInfo,
  parseMap,
  parseServersState,
  parseStat,
} from '../../../../src/proxies/haproxy/runtime/state-dumps.js'
import { createFakeClock } from '../../../support/clock.js'
import { ask } from '../../../support/haproxy.js'
import { describeHaproxys } from '../../../support/haproxy-bins.js'
import { recorded, recordedVersions } from '../../../support/haproxy-replies.js'
import { type HaproxyWorker, startHaproxy } from '../../../support/haproxy-worker.js'
import { greetingDouble } from '../../../support/stats-socket-double.js'

const signal = new AbortController().signal

const reply = (version: string, name: string) => {
  const { command, raw } = recorded(version, name)
  return { command, text: raw.slice(0, -3) }
}

describe.each(recordedVersions())('dumps recorded from HAProxy %s', (version) => {
  test('say which worker it is', () => {
    const { pid, startedAt, version: known, stopping } = parseInfo(reply(version, 'show-info'))
    expect({ known: `${known.major}.${known.minor}`, stopping }).toEqual({
      known: /^\d+\.\d+/.exec(version)?.[0],
      stopping: false,
    })
    expect(pid).toBeGreaterThan(1)
    expect(startedAt).toBeGreaterThan(Date.UTC(2020))
  })

  test('name every backend', () => {
    expect([...parseBackends(reply(version, 'show-backend'))]).toEqual(['app', 'held', 'static', 'empty'])
  })

  test('tell maintenance and drain of servers', () => {
    const before = parseServersState(reply(version, 'show-servers-state')).get('app')
    expect(Object.fromEntries(before ?? [])).toEqual({
      s1: { address: '127.0.0.1', port: 9, weight: 1, maintenance: false, drain: false },
      s2: { address: '127.0.0.1', port: 9, weight: 7, maintenance: true, drain: false },
      s3: { address: '127.0.0.1', port: 9, weight: 1, maintenance: false, drain: false },
    })
    const after = parseServersState(reply(version, 'show-servers-state-drain')).get('app')
    expect(after?.get('s1')).toMatchObject({ weight: 12, maintenance: false, drain: true })
    expect(parseServersState(reply(version, 'show-servers-state-of-none')).size).toBe(0)
  })

  test('give the entries of a map', () => {
    expect([...parseMap(reply(version, 'show-map'))]).toEqual([
      ['a.example', 'app'],
      ['held.example', 'held'],
      ['spaces.example', 'two words'],
    ])
  })

  test('name the certificates, their fingerprints and where they are listed', () => {
    expect([...parseCertificates(reply(version, 'show-ssl-cert-list'))]).toEqual(['one.pem'])
    expect(parseFingerprint(reply(version, 'show-ssl-cert'))).toMatch(/^[0-9A-F]{40}$/)
    const list = 'certificates.list'
    expect(parseCrtList(list, reply(version, 'show-ssl-crt-list-after'))).toBe(
      'one.pem\none.pem one.example\nnew.pem\nnew.pem two.example',
    )
    expect(parseCrtList(list, reply(version, 'show-ssl-crt-list-unknown'))).toBeUndefined()
  })

  test('give the traffic of backends', () => {
    const activity = parseStat(reply(version, 'show-stat'))
    expect([...activity.keys()]).toEqual(['app', 'held', 'static', 'empty'])
    expect(activity.get('app')).toMatchObject({ total: 0, current: 0, lastSeconds: -1 })
    expect(activity.get('held')).toMatchObject({ total: 1, current: 1, lastSeconds: expect.any(Number) })
    expect(parseStat(reply(version, 'show-stat'), activity).get('held')).toBe(activity.get('held'))
  })

  test('are not read from an error', () => {
    for (const [name, parse] of [
      ['show-map-unknown', parseMap],
      ['show-servers-state-unknown', parseServersState],
      ['unknown-show', parseInfo],
      ['unknown-show', parseBackends],
      ['unknown-show', parseStat],
      ['unknown-show', parseCertificates],
      ['unknown-show', parseFingerprint],
      ['unknown-show', (text: Reply) => parseCrtList('certificates.list', text)],
      ['show-ssl-crt-list', (text: Reply) => parseCrtList('other.list', text)],
    ] as const) {
      expect(() => parse(reply(version, name))).toThrow(expect.objectContaining({ code: 'HAPROXY_STATE_UNREADABLE' }))
    }
  })
})

test('a dump of garbage is unreadable, never half read', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), (text) => {
      const readers = [parseInfo, parseBackends, parseServersState, parseStat, parseCertificates, parseFingerprint]
      for (const parse of [...readers, (reply: Reply) => parseCrtList('list', reply)]) {
        expect(() => parse({ command: 'show', text: `x${text}` })).toThrow()
      }
    }),
  )
})

test('a transaction that somebody has opened comes before the certificates', () => {
  const text = '# transaction\n*a.pem\n# filename\na.pem\nb.pem\n'
  expect([...parseCertificates({ command: '', text })]).toEqual(['a.pem', 'b.pem'])
})

test('a worker without certificates has none', () => {
  expect(parseCertificates({ command: '', text: '' }).size).toBe(0)
})

test('a certificate that is not there, or not filled yet, has no fingerprint', () => {
  const missing = "[3]: Can't display the certificate: Not found or the certificate is a bundle!\n"
  for (const text of [missing, 'Filename: a.pem\nStatus: Empty\n']) {
    expect(parseFingerprint({ command: '', text })).toBeUndefined()
  }
})

test('of equal keys in a map the first one counts', () => {
  expect([...parseMap({ command: '', text: '0x1 a b\n0x2 a c\n' })]).toEqual([['a', 'b']])
})

describe('a worker that is replaced while it is read', () => {
  const head = '# be_id be_name srv_id srv_name srv_addr srv_admin_state srv_uweight srv_port'
  const dumps: Record<string, string> = { 'show backend\n': '# name\n', 'show servers state\n': `1\n${head}\n` }
  const answers = (info: () => string) => (text: string) => dumps[text] ?? info()

  test('is read again until it stays the same', async () => {
    const pids = [1, 2, 2, 3, 4, 4]
    const answer = answers(() => `Version: 2.6.12\nPid: ${pids.shift()}\nStopping: 0\n`)
    const path = await greetingDouble((text, socket) => void socket.write(`${answer(text)}\n> `))
    const clock = { ...createFakeClock(), sleep: async () => undefined }
    expect(await readRunning(createRuntimeSocket(path), { maps: [], clock }, signal)).toMatchObject({ pid: 4 })
    expect(pids).toEqual([])
  })

  test('is given up when it never does, and so is one that is stopping', async () => {
    let pid = 1
    const clock = { ...createFakeClock(), sleep: async () => undefined }
    for (const info of [() => `Version: 2.6.1\nPid: ${pid++}\n`, () => 'Version: 2.6.1\nPid: 7\nStopping: 1\n']) {
      const answer = answers(info)
      const path = await greetingDouble((text, socket) => void socket.write(`${answer(text)}\n> `))
      await expect(readRunning(createRuntimeSocket(path), { maps: [], clock }, signal)).rejects.toMatchObject({
        code: 'HAPROXY_STATE_UNSTEADY',
      })
    }
  })
})

const BACKENDS = 5000
const many = (line: (i: number) => string) => Array.from({ length: BACKENDS }, (_, i) => line(i)).join('')
const CONFIG = `frontend web
  bind 127.0.0.1:PORT
  use_backend %[path,map_str(paths.map)]
backend first
  http-request return status 200 content-type text/plain string first
backend second
  http-request return status 200 content-type text/plain string second
${many((i) => `backend app-${i}\n  server s1 127.0.0.1:${10_000 + i} weight ${(i % 256) + 1}\n`)}`

describeHaproxys([], 'the state', ({ bin }) => {
  let haproxy: HaproxyWorker
  beforeAll(async () => {
    const files = { 'paths.map': `/twice first\n/twice second\n${many((i) => `/${i} app-${i}\n`)}` }
    haproxy = await startHaproxy({ bin, files, config: CONFIG, signal })
  })
  afterAll(() => haproxy?.stop())

  test('with 5,000 backends is read whole', async () => {
    const running = await readRunning(haproxy.socket, { maps: ['paths.map'] }, signal)
    expect(running.backends.size).toBe(BACKENDS + 2)
    expect(running.servers.size).toBe(BACKENDS)
    expect(running.servers.get('app-7')?.get('s1')).toMatchObject({ address: '127.0.0.1', port: 10_007, weight: 8 })
    expect(running.maps.get('paths.map')?.size).toBe(BACKENDS + 1)
    expect(await readActivity(haproxy.socket, signal)).toMatchObject({
      pid: running.pid,
      backends: { size: BACKENDS + 2 },
    })
  })

  test('finds of equal keys the one that is read from its dump', async () => {
    const { maps } = await readRunning(haproxy.socket, { maps: ['paths.map'] }, signal)
    expect(await ask(`${haproxy.url}twice`)).toBe(maps.get('paths.map')?.get('/twice'))
  })

  test('after a reload is read from the new worker', async () => {
    const { pid } = await readRunning(haproxy.socket, { maps: [] }, signal)
    const [, after] = await Promise.all([haproxy.reload(), readRunning(haproxy.socket, { maps: [] }, signal)])
    expect(after.servers.size).toBe(BACKENDS)
    expect((await readRunning(haproxy.socket, { maps: [] }, signal)).pid).not.toBe(pid)
  })
})
