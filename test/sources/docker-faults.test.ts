import type { ServerResponse } from 'node:http'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { codeOf, messageOf } from '../../src/lib/errors.js'
import { until } from '../support/wait.js'
import { containerEvent, type EngineDouble, entry, idOf, inspected, startEngineDouble } from './docker-double.js'
import { dockerSource, type Followed, follow, list } from './docker-source.js'

let engine: EngineDouble
let followed: Followed | undefined

beforeEach(async () => {
  engine = await startEngineDouble()
})
afterEach(async () => {
  await followed?.stop()
  followed = undefined
  await engine.close()
})

const json = (value: unknown) => (response: ServerResponse) => void response.end(JSON.stringify(value))
const summary = (instances: readonly { name: string; state: string }[] | undefined) =>
  (instances ?? []).map(({ name, state }) => `${name} ${state}`).join(', ')
const errorOf = (promise: Promise<unknown>) =>
  promise.then(
    () => {
      throw new Error('it did not fail')
    },
    (error: unknown) => error,
  )

describe('a list that cannot be trusted is an error, never fewer containers', () => {
  const whole = JSON.stringify([entry('a'), entry('b')])
  const faults: Record<string, (response: ServerResponse) => void> = {
    'an answer cut off in the middle': (response) => {
      response.writeHead(200, { 'content-length': whole.length })
      response.write(whole.slice(0, 300), () => response.destroy())
    },
    'half of a JSON text': (response) => void response.end(whole.slice(0, 300)),
    'no answer at all': (response) => void response.destroy(),
    'something that is no list': json({ message: 'hello' }),
    'an empty text': (response) => void response.end(''),
    'an entry without an id': json([entry('a'), { Names: ['/b'] }]),
    'an error of the engine': (response) => void response.writeHead(500).end('{"message":"broken \\u001b[31mbadly"}'),
  }
  for (const [what, answer] of Object.entries(faults)) {
    test(what, async () => {
      engine.answers.list = answer
      const error = await errorOf(list(dockerSource(engine.host)))
      expect(codeOf(error)).toMatch(/^DOCKER/)
      expect(messageOf(error)).not.toContain('\u001b')
    })
  }

  test('says where, what and why', async () => {
    engine.answers.list = faults['an error of the engine'] ?? json([])
    const text = messageOf(await errorOf(list(dockerSource(engine.host))))
    expect(text).toContain(`listing the containers at ${engine.host} failed`)
    expect(text).toContain('it answered 500: broken')
  })

  test('an endpoint where nobody listens says so', async () => {
    const error = await errorOf(list(dockerSource('unix:///nonexistent/docker.sock')))
    expect(messageOf(error)).toMatch(/unix:\/\/\/nonexistent\/docker\.sock failed.*ENOENT/)
  })
})

describe('hostile contents', () => {
  test('names, labels and fields of any kind are taken as text or left out', async () => {
    const labels = { 'hostler.port': 'a\nb "{{c}}"', 'hostler.x': 7, __proto__x: 'y', 'hostler.y': null }
    engine.answers.list = json([
      entry('a', { Labels: labels, Names: ['/linked/alias', '/real'] }),
      entry('b', {
        Names: null,
        State: 9,
        Status: {},
        Ports: 'x',
        NetworkSettings: null,
        Created: 'x',
        HostConfig: [],
      }),
      entry('c', {
        Ports: [{ PrivatePort: 70000, Type: 'tcp' }, null, { PrivatePort: 80, PublicPort: -1, Type: 'tcp' }],
      }),
    ])
    engine.answers.inspect = (response) => void response.end('{"Id":{}}')
    const [a, b, c] = await list(dockerSource(engine.host))
    expect(a).toMatchObject({ name: 'real', labels: { 'hostler.port': 'a\nb "{{c}}"', __proto__x: 'y' } })
    expect(Object.keys(a?.labels ?? {})).toEqual(['hostler.port', '__proto__x'])
    // It could not be inspected, which only means that nothing more is known.
    expect(b).toMatchObject({ name: 'bbbbbbbbbbbb', state: 'stopped', createdAt: 0, networks: [], ports: [] })
    expect(c?.ports).toEqual([{ port: 80 }])
  })

  test('a container that cannot be inspected does not take the others’ facts away', async () => {
    engine.answers.list = json([entry('a'), entry('b', { State: 'exited', Ports: [] })])
    engine.answers.inspect = (response) => void response.writeHead(500).end('{"message":"locked"}')
    expect(summary(await list(dockerSource(engine.host)))).toBe('a running, b stopped')
  })
})

describe('a stream of events that cannot be trusted', () => {
  const start = async () => {
    followed = await follow(dockerSource(engine.host))
    return followed
  }

  test('comes in pieces of any size', async () => {
    engine.answers.inspect = (response, id) => json(inspected(id[0] ?? ''))(response)
    const { reports } = await start()
    const text = `${containerEvent('a', 'start', { note: 'žluťoučký' })}\n${containerEvent('b', 'start')}`
    for (const byte of text) engine.emit(byte)
    await until('both are there', () => summary(reports.at(-1)) === 'a running, b running')
    expect(engine.requests.filter((path) => path === '/containers/json')).toHaveLength(1)
  })

  test('a line that is no JSON leads to one list, and the stream goes on', async () => {
    engine.answers.inspect = (response, id) => json(inspected(id[0] ?? ''))(response)
    const { reports, failures } = await start()
    engine.answers.list = json([entry('a')])
    engine.emit('garbage\n')
    await until('what the line may have said is known', () => summary(reports.at(-1)) === 'a running')
    engine.emit(containerEvent('b', 'start'))
    await until('the next event counts', () => summary(reports.at(-1)) === 'a running, b running')
    expect(failures).toEqual([])
    expect(engine.requests.filter((path) => path === '/events')).toHaveLength(1)
  })

  test('a line without an end is dropped, and leads to one list', async () => {
    engine.answers.inspect = (response, id) => json(inspected(id[0] ?? ''))(response)
    const { reports, failures } = await start()
    engine.answers.list = json([entry('a')])
    for (let sent = 0; sent < 40; sent++) engine.emit('x'.repeat(100_000))
    await until('what the line may have said is known', () => summary(reports.at(-1)) === 'a running')
    engine.emit(`\n${containerEvent('b', 'start')}`)
    await until('the next event counts', () => summary(reports.at(-1)) === 'a running, b running')
    expect(engine.requests.filter((path) => path === '/containers/json')).toHaveLength(2)
    expect(failures).toEqual([])
  })

  test('JSON that is no event is passed over', async () => {
    const { reports } = await start()
    engine.answers.inspect = (response, id) => json(inspected(id[0] ?? ''))(response)
    engine.emit('null\n7\n[]\n{"Type":"container"}\n{"Type":"network","Action":"connect","Actor":{}}\n')
    engine.emit(`{"Type":"container","Action":{},"Actor":{"ID":7}}\n${containerEvent('a', 'start')}`)
    await until('a is there', () => summary(reports.at(-1)) === 'a running')
    expect(engine.requests.filter((path) => path === '/containers/json')).toHaveLength(1)
  })

  test('an engine that refuses it is one outage, with the reason', async () => {
    engine.answers.list = json([entry('a')])
    const { reports, failures } = await start()
    const serve = engine.answers.events
    engine.answers.events = (response) => void response.writeHead(403).end('{"message":"not allowed"}')
    engine.endStreams()
    await until('it has tried again', () => engine.requests.filter((path) => path === '/events').length >= 3)
    expect(failures).toHaveLength(1)
    const reported = reports.length
    engine.answers.events = serve
    await until('it reports again', () => reports.length > reported)
    expect(failures).toHaveLength(1)
    expect(reports.at(-1)?.[0]).toBe(reports[0]?.[0])
  })
})

describe('answers that overtake each other', () => {
  test('a list that was made before an event does not undo what the event told', async () => {
    engine.answers.list = json([entry('a'), entry('b')])
    const source = dockerSource(engine.host)
    followed = await follow(source)
    const { reports } = followed
    let answer: () => void = () => undefined
    engine.answers.list = (response) => {
      answer = () => json([entry('a'), entry('b')])(response)
    }
    engine.answers.inspect = (response, id) => json(inspected(id[0] ?? '', 'exited'))(response)
    const before = engine.requests.length
    const listing = list(source)
    await until('the list is asked for', () => engine.requests.length > before)
    engine.emit(containerEvent('a', 'die'))
    engine.emit(containerEvent('b', 'destroy'))
    await until('the events are told', () => summary(reports.at(-1)) === 'a stopped')
    await until('a is inspected', () => engine.requests.includes(`/containers/${idOf('a')}/json`))
    answer()
    expect(summary(await listing)).toBe('a stopped')
  })

  test('a container that appears while the list is made is not removed by it', async () => {
    followed = await follow(dockerSource(engine.host))
    const { reports } = followed
    engine.answers.inspect = (response, id) => json(inspected(id[0] ?? ''))(response)
    let answer: () => void = () => undefined
    engine.answers.list = (response) => {
      answer = () => json([])(response)
    }
    engine.emit('garbage\n')
    await until(
      'the list is asked for',
      () => engine.requests.filter((path) => path === '/containers/json').length === 2,
    )
    engine.emit(containerEvent('a', 'start'))
    await until('it is there', () => summary(reports.at(-1)) === 'a running')
    answer()
    engine.emit(containerEvent('b', 'start'))
    await until('both are there', () => summary(reports.at(-1)) === 'a running, b running')
  })

  test('of two lists the one that was asked for later counts, whichever comes first', async () => {
    const source = dockerSource(engine.host)
    const waiting: (() => void)[] = []
    let made = 0
    engine.answers.list = (response) => {
      const state = made++ === 0 ? 'paused' : 'running'
      waiting.push(() => json([entry('a', { State: state })])(response))
    }
    const first = list(source)
    await until('the first is asked for', () => waiting.length === 1)
    const second = list(source)
    await until('both are asked for', () => waiting.length === 2)
    waiting[1]?.()
    expect(summary(await second)).toBe('a running')
    waiting[0]?.()
    expect(summary(await first)).toBe('a running')
  })

  test('events during an inspect lead to exactly one more', async () => {
    followed = await follow(dockerSource(engine.host))
    const { reports } = followed
    const waiting: ServerResponse[] = []
    engine.answers.inspect = (response) => void waiting.push(response)
    engine.emit(containerEvent('a', 'create'))
    await until('it is inspected', () => waiting.length === 1)
    for (const action of ['start', 'pause', 'unpause', 'rename', 'update']) engine.emit(containerEvent('a', action))
    engine.emit(containerEvent('b', 'create'))
    await until('the events have been read', () => waiting.length === 2)
    json(inspected('a', 'created'))(waiting[0] as ServerResponse)
    await until('it is inspected again', () => waiting.length === 3)
    json(inspected('a'))(waiting[2] as ServerResponse)
    await until('it is known', () => summary(reports.at(-1)) === 'a running')
    expect(engine.requests.filter((path) => path === `/containers/${idOf('a')}/json`)).toHaveLength(2)
  })

  test('an inspect that was asked for before the container died does not bring it back', async () => {
    engine.answers.list = json([entry('a')])
    followed = await follow(dockerSource(engine.host))
    const { reports } = followed
    const waiting: ServerResponse[] = []
    engine.answers.inspect = (response) => void waiting.push(response)
    engine.emit(containerEvent('a', 'update'))
    await until('it is inspected', () => waiting.length === 1)
    engine.emit(containerEvent('a', 'die'))
    await until('it has died', () => summary(reports.at(-1)) === 'a stopped')
    json(inspected('a'))(waiting[0] as ServerResponse)
    await until('it is inspected again', () => waiting.length === 2)
    json(inspected('a', 'exited'))(waiting[1] as ServerResponse)
    engine.emit(containerEvent('b', 'start'))
    await until('b is inspected', () => waiting.length === 3)
    json(inspected('b'))(waiting[2] as ServerResponse)
    await until('b is known', () => summary(reports.at(-1)) === 'a stopped, b running')
    expect(reports.map(summary)).toEqual(['a running', 'a stopped', 'a stopped, b running'])
  })

  test('a container that is removed while it is inspected stays removed', async () => {
    followed = await follow(dockerSource(engine.host))
    const { reports } = followed
    const waiting: ServerResponse[] = []
    engine.answers.inspect = (response) => void waiting.push(response)
    engine.emit(containerEvent('a', 'start'))
    await until('it is inspected', () => waiting.length === 1)
    engine.emit(containerEvent('a', 'destroy'))
    engine.emit(containerEvent('b', 'start'))
    await until('the removal has been read', () => waiting.length === 2)
    json(inspected('a'))(waiting[0] as ServerResponse)
    json(inspected('b'))(waiting[1] as ServerResponse)
    await until('b is known', () => summary(reports.at(-1)) === 'b running')
    expect(reports.flat().filter(({ name }) => name === 'a')).toEqual([])
  })
})

describe('an engine that does not answer', () => {
  test('is left at once when told to', async () => {
    engine.answers.list = () => undefined
    engine.answers.events = () => undefined
    const controller = new AbortController()
    const source = dockerSource(engine.host)
    const listing = source.list(controller.signal)
    const watching = source.watch({ report: () => undefined, failed: () => undefined }, controller.signal)
    await until(
      'both are asked for',
      () => engine.requests.includes('/events') && engine.requests.includes('/containers/json'),
    )
    controller.abort()
    await expect(listing).rejects.toThrow()
    await watching
  })
})

describe('an engine without root', () => {
  test('has networks out of our reach: only those shared with the proxy count, else published ports', async () => {
    engine.answers.info = json({ SecurityOptions: ['name=seccomp', 'name=rootless'] })
    const published = [{ IP: '0.0.0.0', PrivatePort: 80, PublicPort: 8080, Type: 'tcp' }]
    const other = { Networks: { other: { IPAddress: '10.0.1.2' } } }
    engine.answers.list = json([
      entry('a', { Ports: published, NetworkSettings: other }),
      entry('b'),
      entry('c', { Names: ['/proxy'], Labels: {} }),
    ])
    const [a, b] = await list(dockerSource(engine.host, { proxyContainer: 'proxy', address: '127.0.0.1' }))
    expect(a).toMatchObject({ networks: [], ports: [{ port: 80, published: { address: '127.0.0.1', port: 8080 } }] })
    expect(b?.networks).toEqual([{ name: 'apps', address: '10.0.0.2', shared: true }])
    await list(dockerSource(engine.host, { reach: 'network' }))
    expect(engine.requests.filter((path) => path === '/info')).toHaveLength(1)
  })
})
