import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { codeOf, messageOf } from '../../src/lib/errors.js'
import type { DEFAULT_TIMEOUTS } from '../../src/runtimes/docker/timeouts.js'
import type { PullStep, Runtime, WorkloadSpec } from '../../src/runtimes/runtime.js'
import { createFakeClock } from '../support/clock.js'
import { until } from '../support/wait.js'
import { dockerRuntime } from './docker-runtime.js'
import {
  type Answer,
  cut,
  type EngineDouble,
  endless,
  error,
  half,
  hang,
  json,
  startEngineDouble,
  text,
} from './engine-double.js'

const ID = 'a'.repeat(64)
const forever = new AbortController().signal

let engine: EngineDouble
beforeEach(async () => {
  engine = await startEngineDouble()
})
afterEach(() => engine.close())

const container = (status: string, more: object = {}) => ({
  Id: ID,
  Name: '/web',
  State: { Status: status },
  Config: { Image: 'app', StopTimeout: 1, ...more },
  NetworkSettings: { Networks: { apps: {} } },
})
const runtime = (timeouts: Partial<Record<keyof typeof DEFAULT_TIMEOUTS, number>> = {}) =>
  dockerRuntime(engine.host, { timeouts })

const SPEC: WorkloadSpec = { name: 'web', image: 'app', networks: ['apps', 'more'], labels: {}, env: {} }

/** Every method that asks the engine something. */
const METHODS: Record<string, (runtime: Runtime, signal?: AbortSignal) => Promise<unknown>> = {
  create: (it, signal = forever) => it.create(SPEC, signal),
  pull: (it, signal = forever) => it.pull('app', () => undefined, signal),
  start: (it, signal = forever) => it.start(ID, signal),
  stop: (it, signal = forever) => it.stop(ID, signal),
  pause: (it, signal = forever) => it.pause(ID, signal),
  unpause: (it, signal = forever) => it.unpause(ID, signal),
  remove: (it, signal = forever) => it.remove(ID, { volumes: false }, signal),
  inspect: (it, signal = forever) => it.inspect(ID, signal),
  list: (it, signal = forever) => it.list({}, signal),
  traffic: (it, signal = forever) => it.traffic(ID, signal),
}
const EVERY = ['GET /', 'POST /', 'DELETE /']

const errorOf = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (reason: unknown) => reason,
  )

describe('an engine that cannot be asked is unreachable, whatever was asked', () => {
  const faults = {
    'that cuts every connection': cut,
    'that is behind something that answers for it': error(502, 'Bad Gateway'),
    'that is behind something that is busy': error(503, 'try later'),
  }
  for (const [what, answer] of Object.entries(faults)) {
    test.each(Object.keys(METHODS))(`${what}: %s`, async (name) => {
      for (const line of EVERY) engine.on(line, answer)
      const reason = await errorOf(METHODS[name]!(runtime()))
      expect(codeOf(reason)).toBe('unreachable')
    })
  }

  test.each(Object.keys(METHODS))('that is not there: %s', async (name) => {
    const reason = await errorOf(METHODS[name]!(dockerRuntime('unix:///nonexistent/docker.sock')))
    expect(codeOf(reason)).toBe('unreachable')
    expect(messageOf(reason)).toContain('ENOENT')
  })

  test.each(Object.keys(METHODS))('that does not answer in time: %s', async (name) => {
    for (const line of EVERY) engine.on(line, hang)
    const short = { inspectMs: 20, listMs: 20, statsMs: 20, createMs: 20, startMs: 20, actMs: 20, pullQuietMs: 20 }
    const reason = await errorOf(METHODS[name]!(runtime(short)))
    expect(codeOf(reason)).toBe('unreachable')
    expect(messageOf(reason)).toMatch(/0\.02 s/)
  })

  test.each(Object.keys(METHODS))('that does not answer, and is left at once when told to: %s', async (name) => {
    for (const line of EVERY) engine.on(line, hang)
    const controller = new AbortController()
    const reason = errorOf(METHODS[name]!(runtime(), controller.signal))
    await until('it is asked', () => engine.requests.length > 0)
    controller.abort()
    expect(await reason).toBe(controller.signal.reason)
  })
})

test('what waits for its turn behind many others is left at once too', async () => {
  for (const line of EVERY) engine.on(line, hang)
  const [first, last] = [new AbortController(), new AbortController()]
  const it = runtime()
  const hanging = Array.from({ length: 16 }, () => errorOf(it.inspect(ID, first.signal)))
  await until('all of them are asked', () => engine.requests.length === 16)
  const [inspected, started] = [errorOf(it.inspect(ID, last.signal)), errorOf(it.stop(ID, last.signal))]
  last.abort()
  expect([await inspected, await started]).toEqual([last.signal.reason, last.signal.reason])
  expect(engine.requests).toHaveLength(16)
  first.abort()
  await Promise.all(hanging)
})

describe('an answer that cannot be trusted is an error, never less than there is', () => {
  const whole = JSON.stringify([container('running')])
  const faults = {
    'half of it': half(whole),
    'no JSON': text('<html>welcome</html>'),
    'nothing at all': text(''),
    'something else': json({ message: 'hello' }),
    'one without an end': endless('["x",'.repeat(10_000)),
  }
  for (const [what, answer] of Object.entries(faults)) {
    test(what, async () => {
      for (const line of EVERY) engine.on(line, answer)
      for (const name of ['inspect', 'list', 'stop', 'remove']) {
        expect([name, codeOf(await errorOf(METHODS[name]!(runtime())))]).toEqual([name, 'unreachable'])
      }
      expect(await errorOf(METHODS['create']!(runtime()))).toBeDefined()
      expect(engine.requests.filter((line) => !line.startsWith('GET'))).toEqual([])
    })
  }

  test('a list whose containers cannot be inspected', async () => {
    engine.on('GET /containers/json', json([{ Id: ID }]))
    engine.on(`GET /containers/${ID}/json`, error(500, 'locked'))
    expect(codeOf(await errorOf(runtime().list({}, forever)))).toBe('refused')
  })

  test('one that is removed while the list is made is left out', async () => {
    const other = 'b'.repeat(64)
    engine.on('GET /containers/json', json([{ Id: ID }, { Id: other }]))
    engine.on(`GET /containers/${other}/json`, json({ ...container('exited'), Id: other }))
    expect((await runtime().list({}, forever)).map(({ id }) => id)).toEqual([other])
  })

  test('hostile contents are taken as text or left out', async () => {
    const hostile = {
      ...{ Id: ID, Name: 7, Created: {}, RestartCount: 'x', NetworkSettings: [] },
      State: { Status: ['running'], Health: 'x', ExitCode: -1, StartedAt: 9, FinishedAt: 'soon' },
      Config: {
        Image: null,
        Labels: { a: 1, __proto__x: 'y' },
        Env: ['A=b=c', 'B', 7, '__proto__=z'],
        StopTimeout: 'x',
      },
    }
    engine.on('GET /containers/', json(hostile))
    const found = await runtime().inspect(ID, forever)
    expect(found).toEqual({
      ...{ id: ID, name: ID.slice(0, 12), image: '', labels: { __proto__x: 'y' }, networks: [], state: 'stopped' },
      env: Object.fromEntries([
        ['A', 'b=c'],
        ['B', ''],
        ['', ''],
        ['__proto__', 'z'],
      ]),
      ...{ health: 'none', createdAt: 0, startedAt: 0, endedAt: 0, restarts: 0 },
    })
  })
})

describe('a refusal', () => {
  test('is told in one printable line, with what was tried and where', async () => {
    engine.on(
      'POST /containers/',
      error(500, 'driver failed:\n\u001b[31mport is \u202ealready allocated'.padEnd(9000, '!')),
    )
    engine.on('GET /containers/', json(container('exited')))
    const reason = await errorOf(runtime().start(ID, forever))
    expect(codeOf(reason)).toBe('refused')
    expect((reason as Error).message).toMatch(
      /^starting container "a{12}" was refused by the engine at unix:\/\/.*: driver failed: \[31mport is {2}already allocated!+…$/,
    )
    expect((reason as Error).message.length).toBeLessThan(500)
  })

  test('that is no JSON is told too', async () => {
    engine.on('POST /containers/', text('not\tallowed', 403))
    engine.on('GET /containers/', json(container('exited')))
    expect(((await errorOf(runtime().start(ID, forever))) as Error).message).toMatch(/: not allowed$/)
  })

  test('to start for want of a network says so', async () => {
    engine.on('POST /containers/', error(404, 'network nope not found'))
    engine.on('GET /containers/', json(container('created')))
    expect(codeOf(await errorOf(runtime().start(ID, forever)))).toBe('no-such-network')
  })

  test('of what is so already is none', async () => {
    engine.on('POST /containers/', error(500, 'container state improper'))
    engine.on('GET /containers/', json(container('running')))
    await runtime().start(ID, forever)
    await runtime().unpause(ID, forever)
    engine.on('GET /containers/', json(container('paused')))
    await runtime().pause(ID, forever)
  })
})

describe('a half-made container', () => {
  beforeEach(() => {
    engine.on('GET /networks/apps', json({ Name: 'apps' }))
    engine.on('GET /networks/more', json({ Name: 'more' }))
    engine.on('POST /containers/create', json({ Id: ID, Warnings: null }, 201))
    engine.on('DELETE /containers/', text('', 204))
  })
  const removals = () => engine.requests.filter((line) => line.startsWith('DELETE'))

  test.each([
    [404, 'network more not found', 'no-such-network'],
    [500, 'no address is left', 'refused'],
    [502, 'gone', 'unreachable'],
  ])('is removed when it cannot join a network (%i)', async (status, message, code) => {
    engine.on('POST /networks/more/connect', error(status, message))
    expect(codeOf(await errorOf(runtime().create(SPEC, forever)))).toBe(code)
    expect(removals()).toEqual([`DELETE /containers/${ID}`])
  })

  test('is removed when it was given up while it was being made', async () => {
    let answer: () => void = () => undefined
    engine.on('POST /containers/create', (response) => {
      answer = () => void response.writeHead(201).end(JSON.stringify({ Id: ID }))
    })
    const controller = new AbortController()
    const reason = errorOf(runtime().create(SPEC, controller.signal))
    await until('it is being made', () => engine.requests.includes('POST /containers/create'))
    controller.abort()
    expect(await reason).toBe(controller.signal.reason)
    expect(removals()).toEqual([])
    answer()
    await until('it is removed', () => removals().length === 1)
  })

  test('that cannot be removed does not hide what was wrong', async () => {
    engine.on('POST /networks/more/connect', error(500, 'no address is left'))
    engine.on('DELETE /containers/', error(500, 'busy'))
    expect(messageOf(await errorOf(runtime().create(SPEC, forever)))).toContain('no address is left')
  })

  test('is not what the name belonged to before', async () => {
    engine.on('POST /containers/create', error(409, 'Conflict. The container name "/web" is already in use by "b".'))
    expect(codeOf(await errorOf(runtime().create(SPEC, forever)))).toBe('name-in-use')
    expect(removals()).toEqual([])
  })
})

describe('somebody else', () => {
  test('who is removing it is waited for', async () => {
    const clock = createFakeClock()
    engine.on('GET /containers/', json(container('exited')))
    engine.on('DELETE /containers/', (response, request) => {
      engine.on('GET /containers/', json(container('removing')))
      error(409, `removal of container ${ID} is already in progress`)(response, request)
    })
    const removed = dockerRuntime(engine.host, { clock }).remove(ID, { volumes: false }, forever)
    await until('it waits', () => clock.sleepers() === 1)
    engine.on('GET /containers/', error(404, 'No such container'))
    await clock.pass(1000)
    await removed
    expect(engine.requests.filter((line) => line.startsWith('DELETE'))).toHaveLength(1)
  })

  test('who fails to remove it leaves it to us', async () => {
    const answers = [error(409, `removal of container ${ID} is already in progress`), text('', 204)]
    engine.on('GET /containers/', json(container('dead')))
    engine.on('DELETE /containers/', (response, request) => answers.shift()?.(response, request))
    await runtime().remove(ID, { volumes: false }, forever)
    expect(answers).toEqual([])
  })

  test('who starts it again while it is removed makes it stop again', async () => {
    let starts = 0
    engine.on('GET /containers/', json(container('exited')))
    engine.on('DELETE /containers/', (response, request) => {
      engine.on('GET /containers/', json(container(++starts < 2 ? 'running' : 'exited')))
      if (starts < 2) error(409, 'You cannot remove a running container')(response, request)
      else response.writeHead(204).end()
    })
    engine.on('POST /containers/', (response) => {
      engine.on('GET /containers/', json(container('exited')))
      response.writeHead(204).end()
    })
    await runtime().remove(ID, { volumes: false }, forever)
    expect(engine.requests.filter((line) => !line.startsWith('GET'))).toEqual([
      `DELETE /containers/${ID}`,
      `POST /containers/${ID}/stop`,
      `DELETE /containers/${ID}`,
    ])
  })

  test('who is stopping it is waited for before it is started', async () => {
    const clock = createFakeClock()
    engine.on('POST /containers/', error(500, 'container state improper'))
    engine.on('GET /containers/', json(container('stopping')))
    const started = dockerRuntime(engine.host, { clock }).start(ID, forever)
    await until('it waits', () => clock.sleepers() === 1)
    engine.on('GET /containers/', json(container('exited')))
    engine.on('POST /containers/', text('', 204))
    await clock.pass(1000)
    await started
    expect(engine.requests.filter((line) => line.startsWith('POST'))).toHaveLength(2)
  })
})

describe('stopping', () => {
  const stopTimeOf = async (stopTimeout: unknown) => {
    let asked: string | undefined
    engine.on('GET /containers/', json(container('running', { StopTimeout: stopTimeout })))
    engine.on('POST /containers/', (response, request) => {
      asked = request.url?.split('?')[1]
      response.writeHead(204).end()
    })
    await runtime().stop(ID, forever)
    return asked
  }

  test('leaves the container the time that is its own, and ten seconds where it has none', async () => {
    expect(await stopTimeOf(42)).toBe('t=42')
    expect(await stopTimeOf(undefined)).toBe('t=10')
    // Podman's word for none; it would kill at once.
    expect(await stopTimeOf(0)).toBe('t=10')
    // As long as it likes, but no longer than an hour.
    expect(await stopTimeOf(-1)).toBe('t=3600')
  })

  test('a container that goes away with its end has ended', async () => {
    engine.on('GET /containers/', json(container('running')))
    engine.on('POST /containers/', error(404, 'No such container'))
    await runtime().stop(ID, forever)
  })
})

describe('pulling', () => {
  const pull = async (answer: Answer, image = 'app', timeouts = {}) => {
    const steps: PullStep[] = []
    engine.on('POST /images/create', answer)
    const reason = await errorOf(runtime(timeouts).pull(image, (step) => steps.push(step), forever))
    return { steps, reason }
  }
  const lines = (...values: object[]) => text(values.map((value) => `${JSON.stringify(value)}\r\n`).join(''))

  test('tells what happens to which part', async () => {
    const { steps, reason } = await pull(
      lines(
        { status: 'Pulling from app', id: 'latest' },
        { status: 'Downloading', id: 'abc', progressDetail: { current: 5, total: 10 } },
        { status: 'evil \u001b[2J\n', id: 7, progressDetail: 'x' },
      ),
    )
    expect(reason).toBeUndefined()
    expect(steps).toEqual([
      { id: 'latest', status: 'Pulling from app' },
      { id: 'abc', status: 'Downloading', currentBytes: 5, totalBytes: 10 },
      { id: '', status: 'evil  [2J' },
    ])
  })

  test.each([
    ['app', 'app:latest'],
    ['registry:5000/a/app', 'registry:5000/a/app:latest'],
    ['registry:5000/app:r1', 'registry:5000/app:r1'],
    ['app@sha256:abc', 'app@sha256:abc'],
  ])('%s asks for %s, and never for every tag', async (image, asked) => {
    let query: string | undefined
    await pull((response, request) => {
      query = request.url?.split('?')[1]
      response.end('{}\n')
    }, image)
    expect(new URLSearchParams(query).get('fromImage')).toBe(asked)
  })

  test.each([
    ['pull access denied for app, repository does not exist', 'no-such-image'],
    ['manifest for app:r1 not found: manifest unknown', 'no-such-image'],
    ['no space left on device', 'refused'],
    ['dial tcp: lookup registry: no such host', 'refused'],
  ])('that fails on the way with "%s" is %s', async (message, code) => {
    const { reason } = await pull(lines({ status: 'Pulling' }, { errorDetail: { message }, error: message }))
    expect(codeOf(reason)).toBe(code)
    expect((reason as Error).message).toContain(message)
  })

  test.each<[string, Answer]>([
    ['is cut off', (response) => void response.write('{"status":"x"}\n', () => response.destroy())],
    ['is no JSON', text('<html>\n')],
    ['is nothing', text('')],
  ])('that %s is unreachable', async (_, answer) => {
    expect(codeOf((await pull(answer)).reason)).toBe('unreachable')
  })

  test('that falls silent is unreachable', async () => {
    const { reason } = await pull((response) => void response.write('{"status":"x"}\n'), 'app', { pullQuietMs: 20 })
    expect(codeOf(reason)).toBe('unreachable')
    expect(messageOf(reason)).toContain('nothing came of it within 0.02 s')
  })

  test('a line without an end is not held in memory, and the rest is told', async () => {
    const { steps, reason } = await pull((response) => {
      response.write('x'.repeat(1 << 20))
      response.end('\n{"status":"done"}\n')
    })
    expect(reason).toBeUndefined()
    expect(steps.map(({ status }) => status)).toEqual(['done'])
  })
})
