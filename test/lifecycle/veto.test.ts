import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from '@jest/globals'
import { pino } from 'pino'
import { createProfiler } from '../../src/lifecycle/profile.js'
import { createVetoes } from '../../src/lifecycle/veto.js'
import type { Instance } from '../../src/model/instance.js'
import { freePort } from '../support/ports.js'
import { member, pretendWorld } from '../support/reaper-world.js'

const { signal } = new AbortController()

const servers: Server[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})

async function listen(answer: RequestListener): Promise<number> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  servers.push(server)
  return (server.address() as AddressInfo).port
}

const answers =
  (status: number): RequestListener =>
  (_, response) =>
    response.writeHead(status, { location: '/ok' }).end()

function setUp(timeoutMs = 5000) {
  const lines: { msg: string }[] = []
  const log = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  const world = pretendWorld()
  const vetoes = createVetoes({ rules: world.rules, log, timeoutMs })
  const here = { networks: [{ name: 'web', address: '127.0.0.1', shared: true }] }
  const ask = async (...members: Instance[]) => {
    world.has(...members)
    return vetoes.ask(createProfiler()(world.groups()).byName.get('a')!, signal)
  }
  return { ask, lines, here }
}

describe('an app that wants to be asked', () => {
  test.each([
    [200, undefined],
    [204, undefined],
    [199 + 100, undefined],
    [300, 'a-web answers 300'],
    [302, 'a-web answers 302'],
    [404, 'a-web answers 404'],
    [503, 'a-web answers 503'],
  ])('and answers %s says %s', async (status, no) => {
    const { ask, here } = setUp()
    const port = await listen(answers(status))
    expect(await ask(member('a', { port: String(port), veto: '/busy' }, here))).toBe(no)
  })

  test('is asked at its own address, at the path and port of its label, with its own host name', async () => {
    const { ask, here } = setUp()
    const seen: string[] = []
    const port = await listen((request, response) => {
      seen.push(`${request.method} ${request.headers.host}${request.url}`)
      response.end()
    })
    await ask(member('a', { port: String(port), veto: '/busy?x=1' }, here))
    await ask(member('a', { port: '1', veto: `http://127.0.0.1:${port}/other` }, here))
    await ask(member('a', { port: 'none', veto: `http://localhost:${port}/bare` }, here))
    expect(seen).toEqual(['GET a.ci.example.com/busy?x=1', 'GET a.ci.example.com/other', 'GET localhost/bare'])
  })

  test('elsewhere is not asked at all', async () => {
    const { ask, here } = setUp()
    let asked = 0
    const port = await listen((_, response) => {
      asked++
      response.writeHead(500).end()
    })
    expect(await ask(member('a', { port: String(port), veto: `http://127.0.0.2:${port}/` }, here))).toBeUndefined()
    expect(asked).toBe(0)
  })

  test('and cannot be reached stays up, and that is said once until it answers again', async () => {
    const { ask, lines, here } = setUp()
    const port = await freePort()
    const one = member('a', { port: String(port), veto: '/busy' }, here)
    expect(await ask(one)).toContain('a-web cannot be asked')
    expect(await ask(one)).toContain('a-web cannot be asked')
    expect(lines.map(({ msg }) => msg)).toEqual([expect.stringContaining('stays up')])
    const heard = await listen(answers(200))
    const moved = member('a', { port: String(heard), veto: '/busy' }, here)
    expect(await ask(moved)).toBeUndefined()
    expect(await ask(one)).toContain('cannot be asked')
    expect(lines).toHaveLength(2)
  })

  test('and does not answer in time stays up', async () => {
    const { ask, here } = setUp(100)
    const port = await listen(() => undefined)
    expect(await ask(member('a', { port: String(port), veto: '/busy' }, here))).toMatch(/cannot be asked.*longer than/)
  })

  test('and has no address yet stays up', async () => {
    const { ask } = setUp()
    expect(await ask(member('a', { veto: '/busy' }, { networks: [] }))).toContain('cannot be reached')
    expect(await ask(member('a', { port: 'none', veto: '/busy' }))).toContain('cannot be reached')
  })

  test('speaks for its group; one that does not run is not asked', async () => {
    const { ask, here } = setUp()
    const [yes, no] = [await listen(answers(200)), await listen(answers(409))]
    const first = member('a', { port: String(yes), veto: '/' }, here)
    const second = member('a', { service: 'api', port: String(no), veto: '/', host: 'api.example.com' }, here)
    expect(await ask(first, second)).toBe('a-api answers 409')
    expect(await ask(first, { ...second, state: 'stopped' })).toBeUndefined()
    expect(await ask(member('a'))).toBeUndefined()
  })
})
