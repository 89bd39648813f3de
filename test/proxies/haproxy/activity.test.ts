import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from '@jest/globals'
import { silentLogger } from '../../../src/lib/logger.js'
import { createPlanner } from '../../../src/model/planner.js'
import { createActivityReader } from '../../../src/proxies/haproxy/activity.js'
import { UNSEEN_MS } from '../../../src/proxies/haproxy/activity-ledger.js'
import { createWorkerReader, type WorkerReading } from '../../../src/proxies/haproxy/activity-workers.js'
import { createMasterSocket } from '../../../src/proxies/haproxy/master-socket.js'
import { createRuntimeSocket } from '../../../src/proxies/haproxy/runtime/socket.js'
import { createFakeClock } from '../../support/clock.js'
import { instance, rules } from '../../support/instances.js'
import { tempDir } from '../../support/temp.js'

const { signal } = new AbortController()
const plan = createPlanner(rules)([instance('a', { port: '80' }), instance('b', { port: '80' })])

/** Total, current and seconds since the last, by backend. */
type Counts = Record<string, [total: number, current: number, lastSeconds: number]>

function setUp(more: { maps?: Record<string, string>; sparesOf?: Record<number, [string, string][]> } = {}) {
  const clock = createFakeClock()
  const asked: string[] = []
  const reading = (pid: number, counts: Counts): WorkerReading => ({
    pid,
    backends: new Map(
      Object.entries(counts).map(([name, [total, current, lastSeconds]]) => [
        name,
        { name, total, current, lastSeconds },
      ]),
    ),
    async ask(command) {
      asked.push(command)
      return { command, text: more.maps?.[command] ?? '[3]: Unknown map identifier.\n' }
    },
  })
  const world = {
    serving: () => reading(1, {}),
    old: (): WorkerReading[] | undefined => [],
    fail: undefined as Error | undefined,
  }
  const reader = createActivityReader({
    workers: {
      async serving() {
        if (world.fail) throw world.fail
        return world.serving()
      },
      old: async () => world.old(),
    },
    sparesOf: ({ pid }) => more.sparesOf?.[pid] && new Map(more.sparesOf[pid]),
    maps: ['/domain.map', '/path.map'],
    plan: () => plan,
    clock,
    log: silentLogger(),
  })
  const read = async () => new Map((await reader.read(signal)).map((one) => [one.backend, one]))
  const serve = (pid: number, counts: Counts, ...old: [pid: number, counts: Counts][]) => {
    world.serving = () => reading(pid, counts)
    world.old = () => old.map(([worker, open]) => reading(worker, open))
  }
  return { clock, world, reader, read, serve, reading, asked }
}

describe('one count of all workers', () => {
  test('takes the latest moment that whole seconds leave possible', async () => {
    const { read, serve } = setUp()
    serve(1, { a: [5, 0, 10], b: [0, 0, -1], stats: [9, 9, 0] })
    const found = await read()
    expect(found.get('a')).toMatchObject({ total: 5, quietMs: 9000 })
    expect(found.get('b')).not.toHaveProperty('quietMs')
    expect(found.has('stats')).toBe(false)
  })

  test('keeps what a worker had counted that was asked before it went, and the moment', async () => {
    const { clock, reader, read, serve } = setUp()
    serve(1, { a: [5, 0, 1], b: [7, 0, 1] })
    await reader.beforeLoad(signal)
    const { counting } = (await read()).get('a') ?? {}
    await reader.beforeLoad(signal)
    await clock.pass(20_000)
    serve(2, { a: [1, 0, 4], b: [0, 0, -1] })
    const found = await read()
    expect(found.get('a')).toMatchObject({ total: 6, quietMs: 3000, counting })
    expect(found.get('b')).toMatchObject({ total: 7, quietMs: 20_000, counting })
  })

  test('is another one when a worker went that was not asked', async () => {
    const { world, reader, read, serve } = setUp()
    serve(1, { a: [5, 0, 1] })
    const first = (await read()).get('a')?.counting
    world.fail = new Error('no answer')
    await reader.beforeLoad(signal)
    world.fail = undefined
    serve(2, { a: [0, 0, -1] })
    expect((await read()).get('a')?.counting).not.toBe(first)
  })

  test('counts what is open in old workers, until they end', async () => {
    const { read, serve } = setUp()
    serve(2, { a: [1, 0, 50] }, [1, { a: [3, 2, 60] }])
    expect((await read()).get('a')).toMatchObject({ total: 4, current: 2, quietMs: 0 })
    serve(2, { a: [1, 0, 50] })
    expect((await read()).get('a')).toMatchObject({ total: 4, current: 0 })
  })

  test('without the master’s socket takes what was open in a worker that was replaced for open, for a day', async () => {
    const { clock, world, reader, read, serve, reading } = setUp()
    serve(1, { a: [1, 1, 5], b: [1, 0, 5] })
    world.old = () => undefined
    await reader.beforeLoad(signal)
    world.serving = () => reading(2, { a: [0, 0, -1], b: [0, 0, -1] })
    await read()
    await clock.pass(UNSEEN_MS - 1)
    expect((await read()).get('a')).toMatchObject({ total: 1, current: 1 })
    expect((await read()).get('b')).toMatchObject({ total: 1, current: 0 })
    await clock.pass(2)
    expect((await read()).get('a')).toMatchObject({ total: 1, current: 0 })
  })

  test('remembers whom a spare served when its worker was replaced', async () => {
    const sparesOf: Record<number, [string, string][]> = { 1: [['hostler_spare_001', 'a']] }
    const { reader, read, serve, asked } = setUp({ sparesOf })
    serve(1, { a: [0, 0, -1], hostler_spare_001: [3, 1, 9], hostler_spare_002: [8, 1, 9] })
    await reader.beforeLoad(signal)
    delete sparesOf[1]
    serve(2, { a: [0, 0, -1] }, [1, { hostler_spare_001: [3, 1, 10] }])
    expect((await read()).get('a')).toMatchObject({ total: 3, current: 1 })
    expect(asked).toEqual([])
  })

  test('asks the maps of a worker from before its time whom its spares served, where a map is in use', async () => {
    const maps = {
      'show map /domain.map': `0x1 ${plan.routes[1]?.host} hostler_spare_001\n0x2 gone hostler_spare_002\n`,
    }
    const { read, serve, asked } = setUp({ maps })
    serve(2, { a: [0, 0, -1], b: [0, 0, -1] }, [1, { hostler_spare_001: [3, 1, 9], hostler_spare_002: [1, 1, 9] }])
    await read()
    expect((await read()).get('b')).toMatchObject({ total: 3, current: 1 })
    expect((await read()).get('a')).toMatchObject({ total: 0, current: 0 })
    expect(asked).toEqual(['show map /domain.map', 'show map /path.map'])
  })

  test('leaves out a backend that HAProxy does not have, rather than call it idle', async () => {
    const { read, serve } = setUp()
    serve(1, { a: [0, 0, -1] })
    expect([...(await read()).keys()]).toEqual(['a'])
  })
})

const servers: Server[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve))
})

/** A master that lists these old workers each time it is asked, and answers each of its workers' commands so. */
async function master(old: number[][], answer: string) {
  const path = join(tempDir(), 'm.sock')
  const rows = () => (old.length > 1 ? old.shift() : old[0])?.map((pid) => `${pid} worker 1 0d00h00m01s 2.6.12\n`)
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket
      .on('error', () => undefined)
      .on('data', (command) => {
        if (String(command).startsWith('@!')) return void socket.end(answer)
        socket.end(
          `10 master 1 0d00h00m01s 2.6.12\n# workers\n99 worker 0 0d00h00m01s 2.6.12\n# old workers\n${rows()?.join('')}`,
        )
      })
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  servers.push(server)
  return createWorkerReader({
    stats: createRuntimeSocket(join(tempDir(), 'none')),
    master: createMasterSocket(path, { timeoutMs: 1000 }),
  })
}

describe('old workers', () => {
  const stat = '# pxname,svname,scur,stot,lastsess,\na,BACKEND,1,2,3,\n'

  test('are read through the master, but for the one that serves', async () => {
    const found = await (await master([[11, 12]], `${stat}\n`)).old(12, signal)
    expect(found?.map(({ pid, backends }) => [pid, backends.get('a')?.current])).toEqual([[11, 1]])
  })

  test('that end while they answer are gone', async () => {
    expect(await (await master([[11], []], stat)).old(99, signal)).toEqual([])
    expect(
      await (await master([[11], []], "Can't find the target PID matching the prefix '@!11'\n")).old(99, signal),
    ).toEqual([])
  })

  test('that live and cannot be read are no idleness', async () => {
    for (const answer of [stat, 'garbage\n\n', ''])
      await expect((await master([[11], [11]], answer)).old(99, signal)).rejects.toThrow()
  })

  test('cannot be seen where there is no master’s socket', async () => {
    const none = createMasterSocket(join(tempDir(), 'none'), { timeoutMs: 1000 })
    const reader = createWorkerReader({ stats: createRuntimeSocket(none.path), master: none })
    expect(await reader.old(99, signal)).toBeUndefined()
  })
})
