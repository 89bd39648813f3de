import { afterEach, describe, expect, test } from '@jest/globals'
import { codeOf } from '../../src/lib/errors.js'
import {
  type Runtime,
  RuntimeError,
  type RuntimeErrorCode,
  type Workload,
  type WorkloadSpec,
} from '../../src/runtimes/runtime.js'
import { until } from '../support/wait.js'

/** A runtime together with the real thing behind it. */
export interface RuntimeHarness {
  readonly runtime: Runtime
  /** An image of the tests' app that is there (test/support/app-image.d.mts). */
  readonly image: string
  /** Two networks that are there. */
  readonly networks: readonly [string, string]
  /** Where the app can be asked, while it runs. */
  url(id: string): Promise<string>
  /** From here on the runtime cannot reach its engine. */
  breakOff(): Promise<void>
  mend(): Promise<void>
  /** What it says then. */
  readonly unreachable: RegExp
  /** Removes every workload that was made. */
  close(): Promise<void>
}

/**
 * What not every runtime can do; what one cannot is refused.
 * - `pause`: pausing and unpausing · `images`: it knows which images there are, and gets them · `traffic`: it counts bytes
 * - `networks`: several networks for one workload · `history`: it tells when a workload started and ended, and how
 */
export type RuntimePower = 'pause' | 'images' | 'traffic' | 'networks' | 'history'

const EVERY_POWER: readonly RuntimePower[] = ['pause', 'images', 'traffic', 'networks', 'history']

const LABELS = { 'hostler.port': '80', 'test.group': 'shop=1, "two"' }

/** What every runtime promises in `src/runtimes/runtime.ts`, checked against a real one. */
export function describeRuntimeContract(
  title: string,
  create: () => Promise<RuntimeHarness>,
  powers: readonly RuntimePower[] = EVERY_POWER,
): void {
  const can = (power: RuntimePower) => powers.includes(power)
  /** A test of what it can do. */
  const testOf = (power: RuntimePower, name: string, work: () => Promise<void>) => {
    if (can(power)) test(name, work)
  }

  describe(`the runtime contract: ${title}`, () => {
    let opened: RuntimeHarness | undefined
    const forever = new AbortController().signal

    const open = async () => {
      opened = await create()
      const { runtime, image, networks } = opened
      const specOf = (more: Partial<WorkloadSpec> = {}): WorkloadSpec => ({
        ...{ name: 'shop-web-1', image, networks: [networks[0]], labels: LABELS, env: {} },
        ...more,
      })
      const make = async (env: Record<string, string> = {}, more: Partial<WorkloadSpec> = {}) =>
        (await runtime.create(specOf({ env, ...more }), forever)).id
      const look = (id: string) => lookAt(runtime, id)
      const get = async (id: string, path = '/') => fetch(`${await opened?.url(id)}${path}`)
      /** Started, and its port accepts. */
      const serve = async (env: Record<string, string> = {}, more: Partial<WorkloadSpec> = {}) => {
        const id = await make(env, more)
        await runtime.start(id, forever)
        await until('it answers', () => get(id))
        return id
      }
      /** Every network that it can join at once. */
      const joined = can('networks') ? [...networks] : [networks[0]]
      /** When its app began to listen: another one after each start. */
      const listeningAt = async (id: string) => Number(await (await get(id, '/listening')).text())
      return { ...opened, joined, specOf, make, serve, look, get, listeningAt }
    }

    afterEach(async () => {
      await opened?.close()
      opened = undefined
    })

    describe('a life', () => {
      test('is created, and not started, as it was asked for', async () => {
        const { runtime, image, joined, make } = await open()
        const before = Date.now()
        const env = { GREETING: 'a=b "c"\nd', EMPTY: '' }
        const id = await make(env, { networks: joined })
        const workload = await lookAt(runtime, 'shop-web-1')
        expect(workload).toMatchObject({ id, name: 'shop-web-1', labels: LABELS, state: 'stopped', health: 'none' })
        expect(workload.env).toMatchObject(env)
        expect(workload.image.endsWith(image)).toBe(true)
        expect([...workload.networks]).toEqual([...joined].sort())
        expect(workload.createdAt).toBeGreaterThan(before - 60_000)
        expect(workload).toMatchObject({ startedAt: 0, endedAt: 0, restarts: 0 })
        expect(workload.exitCode).toBeUndefined()
      })

      test('starts, on every network that it was created for; starting again changes nothing', async () => {
        const { runtime, joined, make, look, get, listeningAt } = await open()
        const id = await make({ GREETING: 'hello' }, { networks: joined })
        await runtime.start(id, forever)
        const started = await look(id)
        expect(started).toMatchObject({ state: 'running', endedAt: 0 })
        if (can('history')) expect(started.startedAt).toBeGreaterThan(0)
        expect(started.exitCode).toBeUndefined()
        await until('it answers', () => get(id))
        const began = await listeningAt(id)
        await runtime.start(id, forever)
        expect((await look(id)).startedAt).toBe(started.startedAt)
        expect(await listeningAt(id)).toBe(began)
      })

      test('stop waits until it has ended in its own time, and can be repeated', async () => {
        const { runtime, serve, look, get } = await open()
        const id = await serve({ STOP_MS: '800' })
        const stopping = runtime.stop(id, forever)
        await until('it was told to end, and still answers', async () => (await get(id)).headers.get('x-stopping'))
        await stopping
        const stopped = await look(id)
        expect(stopped.state).toBe('stopped')
        await expect(get(id)).rejects.toThrow()
        if (can('history')) {
          expect(stopped.exitCode).toBe(0)
          expect(stopped.endedAt - stopped.startedAt).toBeGreaterThan(800)
        }
        await runtime.stop(id, forever)
        await runtime.start(id, forever)
        expect((await look(id)).exitCode).toBeUndefined()
      })

      test('what was never started can be stopped and started', async () => {
        const { runtime, make, look } = await open()
        const id = await make()
        await runtime.stop(id, forever)
        await runtime.start(id, forever)
        expect((await look(id)).state).toBe('running')
      })

      testOf('pause', 'pausing and unpausing keep it as it is, and can be repeated', async () => {
        const { runtime, serve, look, get } = await open()
        const id = await serve()
        const { startedAt } = await look(id)
        await runtime.pause(id, forever)
        await runtime.pause(id, forever)
        expect(await look(id)).toMatchObject({ state: 'paused', startedAt })
        await runtime.unpause(id, forever)
        await runtime.unpause(id, forever)
        expect(await look(id)).toMatchObject({ state: 'running', startedAt })
        expect((await get(id)).status).toBe(200)
      })

      testOf('pause', 'what is paused starts where it was, and stops by its own signal', async () => {
        const { runtime, serve, look } = await open()
        const id = await serve()
        const { startedAt } = await look(id)
        await runtime.pause(id, forever)
        await runtime.start(id, forever)
        expect(await look(id)).toMatchObject({ state: 'running', startedAt })
        await runtime.pause(id, forever)
        await runtime.stop(id, forever)
        expect(await look(id)).toMatchObject({ state: 'stopped', exitCode: 0 })
      })

      test('remove asks it to end first, and can be repeated', async () => {
        const { runtime, serve, get } = await open()
        const id = await serve({ STOP_MS: '800' })
        const removed = runtime.remove(id, { volumes: true }, forever)
        await until('it was told to end, and still answers', async () => (await get(id)).headers.get('x-stopping'))
        await removed
        expect(await runtime.inspect(id, forever)).toBeUndefined()
        await runtime.remove(id, { volumes: true }, forever)
      })

      test('what is paused or was never started is removed too', async () => {
        const { runtime, make, serve } = await open()
        const paused = await serve()
        if (can('pause')) await runtime.pause(paused, forever)
        const fresh = await make({}, { name: 'shop-web-2' })
        for (const id of [paused, fresh]) {
          await runtime.remove(id, { volumes: false }, forever)
          expect(await runtime.inspect(id, forever)).toBeUndefined()
        }
      })

      testOf('history', 'one that ends by itself tells how', async () => {
        const { runtime, make, look } = await open()
        const id = await make({ EXIT: '7' })
        await runtime.start(id, forever)
        const ended = await until('it has ended', async () => {
          const workload = await look(id)
          return workload.state === 'stopped' && workload
        })
        expect(ended.exitCode).toBe(7)
        expect(ended.endedAt).toBeGreaterThanOrEqual(ended.startedAt)
      })
    })

    describe('at once', () => {
      test('a start waits for the stop before it, and it runs in the end', async () => {
        const { runtime, serve, look, get, listeningAt } = await open()
        const id = await serve({ STOP_MS: '600' })
        const { startedAt } = await look(id)
        const began = await listeningAt(id)
        const stopped = runtime.stop(id, forever)
        const started = runtime.start(id, forever)
        await Promise.all([stopped, started])
        const now = await look(id)
        expect(now.state).toBe('running')
        if (can('history')) expect(now.startedAt).toBeGreaterThan(startedAt)
        await until('it answers', () => get(id))
        expect(await listeningAt(id)).toBeGreaterThan(began)
      })

      test('many starts are one, and many removals are one', async () => {
        const { runtime, make, look } = await open()
        const id = await make()
        const times = Array.from({ length: 10 })
        await Promise.all(times.map(() => runtime.start(id, forever)))
        expect((await look(id)).state).toBe('running')
        await Promise.all(times.map(() => runtime.remove(id, { volumes: false }, forever)))
        expect(await runtime.inspect(id, forever)).toBeUndefined()
      })

      test('of two that take one name, one is made', async () => {
        const { runtime, specOf } = await open()
        const results = await Promise.allSettled([1, 2].map(() => runtime.create(specOf(), forever)))
        const failed = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
        expect(failed.map(codeOf)).toEqual(['name-in-use'])
        expect(await runtime.list({}, forever)).toHaveLength(1)
      })
    })

    describe('a request that cannot be met says why, and changes nothing', () => {
      const expectError = async (work: Promise<unknown>, code: RuntimeErrorCode, says: RegExp) => {
        const error = await work.then(
          () => undefined,
          (reason: unknown) => reason,
        )
        expect(codeOf(error)).toBe(code)
        expect(error).toBeInstanceOf(RuntimeError)
        expect((error as RuntimeError).message).toMatch(says)
        expect((error as RuntimeError).message).not.toMatch(/[\r\n]/)
      }

      test('an image, a network, a second network that are not there', async () => {
        const { runtime, networks, specOf } = await open()
        const create = (more: Partial<WorkloadSpec>) => runtime.create(specOf(more), forever)
        if (can('images')) {
          await expectError(create({ image: 'localhost/nope:1' }), 'no-such-image', /localhost\/nope:1/)
        }
        await expectError(create({ networks: ['nope'] }), 'no-such-network', /"nope"/)
        await expectError(create({ networks: [networks[0], 'nope'] }), 'no-such-network', /"nope"/)
        await expectError(create({ networks: ['container:x'] }), 'no-such-network', /"container:x"/)
        expect(await runtime.list({}, forever)).toEqual([])
      })

      test('a name in use, whose holder stays', async () => {
        const { runtime, make, specOf } = await open()
        const id = await make({ FIRST: '1' })
        await expectError(runtime.create(specOf({ env: { SECOND: '2' } }), forever), 'name-in-use', /"shop-web-1"/)
        const all = await runtime.list({}, forever)
        expect(all.map((workload) => [workload.id, workload.env['FIRST']])).toEqual([[id, '1']])
      })

      test('names, variables and capabilities that are none', async () => {
        const { runtime, specOf } = await open()
        for (const name of ['', 'a b', '../x', 'x/y', '-x', 'x\ny']) {
          await expectError(
            runtime.create(specOf({ name }), forever),
            'refused',
            /is no name for a (?:container|service)/,
          )
        }
        await expectError(runtime.create(specOf({ env: { 'A=B': 'c' } }), forever), 'refused', /"A=B" is no name/)
        await expectError(runtime.create(specOf({ limits: { capAdd: ['NOPE'] } }), forever), 'refused', /NOPE/)
        await expectError(runtime.create(specOf({ image: 'NO PE' }), forever), 'refused', /invalid reference/)
        expect(await runtime.list({}, forever)).toEqual([])
      })

      test('a program that is not in the image', async () => {
        const { runtime, make, look } = await open()
        const id = await make({}, { command: ['/nope'] })
        await expectError(runtime.start(id, forever), 'refused', /\/nope/)
        expect((await look(id)).state).toBe('stopped')
      })

      testOf('pause', 'pausing or unpausing what does not run', async () => {
        const { runtime, make } = await open()
        const id = await make()
        await expectError(runtime.pause(id, forever), 'refused', /not running/)
        await expectError(runtime.unpause(id, forever), 'refused', /not paused/)
      })

      if (!can('pause') || !can('images')) {
        test('what it cannot do, whatever it is asked for', async () => {
          const { runtime, serve, look } = await open()
          const id = await serve()
          if (!can('pause')) await expectError(runtime.pause(id, forever), 'refused', /cannot be paused/)
          if (!can('pause')) await expectError(runtime.unpause(id, forever), 'refused', /cannot be paused/)
          const pulling = () => runtime.pull('localhost/nope:1', () => undefined, forever)
          if (!can('images')) await expectError(pulling(), 'refused', /cannot be pulled/)
          expect((await look(id)).state).toBe('running')
        })
      }

      test('whatever is done to what is not there', async () => {
        const { runtime } = await open()
        const acts = [
          ...(['start', 'stop'] as const),
          ...(can('pause') ? (['pause', 'unpause'] as const) : []),
          ...(can('traffic') ? (['traffic'] as const) : []),
        ]
        for (const id of ['f'.repeat(64), 'nope', '', '.', '..', '../images', 'a/b', 'a b', '%2e%2e', 'x\r\ny']) {
          for (const act of acts) {
            await expectError(runtime[act](id, forever), 'no-such-workload', /there is no (?:container|service)/)
          }
          expect(await runtime.inspect(id, forever)).toBeUndefined()
          await runtime.remove(id, { volumes: false }, forever)
        }
      })

      test('an engine that cannot be reached', async () => {
        const { runtime, make, specOf, breakOff, mend, unreachable } = await open()
        const id = await make()
        await breakOff()
        for (const work of [
          () => runtime.start(id, forever),
          () => runtime.stop(id, forever),
          () => runtime.remove(id, { volumes: false }, forever),
          () => runtime.inspect(id, forever),
          () => runtime.list({}, forever),
          () => runtime.create(specOf({ name: 'other' }), forever),
          ...(can('traffic') ? [() => runtime.traffic(id, forever)] : []),
          ...(can('images') ? [() => runtime.pull('localhost/nope:1', () => undefined, forever)] : []),
        ]) {
          await expectError(work(), 'unreachable', unreachable)
        }
        await mend()
        expect((await runtime.inspect(id, forever))?.state).toBe('stopped')
      })
    })

    describe('looking', () => {
      test('lists what has all of the labels, whatever its state, sorted by name', async () => {
        const { runtime, make } = await open()
        const name = (number: number) => `shop-web-${number}`
        const running = await make({}, { name: name(3) })
        await make({}, { name: name(1), labels: { ...LABELS, more: '' } })
        await make({}, { name: name(2), labels: { 'hostler.port': '80' } })
        await make({}, { name: name(4), labels: { 'test.group': 'shop=1' } })
        await runtime.start(running, forever)
        const names = async (labels: Record<string, string>) =>
          (await runtime.list(labels, forever)).map((workload) => `${workload.name} ${workload.state}`)
        expect(await names(LABELS)).toEqual(['shop-web-1 stopped', 'shop-web-3 running'])
        expect(await names({ 'hostler.port': '80' })).toHaveLength(3)
        expect(await names({ more: '' })).toEqual(['shop-web-1 stopped'])
        expect(await names({ 'hostler.port': '8' })).toEqual([])
        expect(await names({ 'a=b': 'c' })).toEqual([])
        expect(await names({})).toHaveLength(4)
      })

      test('a name or a full id is found, and not what only begins so', async () => {
        const { runtime, make } = await open()
        const id = await make()
        expect((await runtime.inspect(id, forever))?.name).toBe('shop-web-1')
        expect((await runtime.inspect('shop-web-1', forever))?.id).toBe(id)
        expect(await runtime.inspect('shop-web', forever)).toBeUndefined()
        expect(await runtime.inspect(id.slice(0, 4), forever)).toBeUndefined()
      })

      if (!can('traffic')) {
        test('traffic cannot be told', async () => {
          const { runtime, serve } = await open()
          expect(await runtime.traffic(await serve(), forever)).toBeUndefined()
        })
      }

      testOf('traffic', 'traffic grows with requests, and cannot be told of what does not run', async () => {
        const { runtime, serve, get } = await open()
        const id = await serve()
        const sum = async () => {
          const traffic = await runtime.traffic(id, forever)
          return (traffic?.receivedBytes ?? 0) + (traffic?.sentBytes ?? 0)
        }
        const before = await sum()
        const answer = await get(id, '/download?bytes=200000')
        expect((await answer.arrayBuffer()).byteLength).toBe(200_000)
        await until('it is counted', async () => (await sum()) >= before + 200_000)
        await runtime.stop(id, forever)
        expect(await runtime.traffic(id, forever)).toBeUndefined()
      })
    })

    describe('abort', () => {
      test('ends every method, before and during its work', async () => {
        const { runtime, serve, specOf } = await open()
        const id = await serve({ STOP_MS: '3000' })
        const gone = AbortSignal.abort()
        for (const work of [
          () => runtime.create(specOf({ name: 'other' }), gone),
          () => runtime.pull('localhost/nope:1', () => undefined, gone),
          ...(['start', 'stop', 'pause', 'unpause', 'inspect', 'traffic'] as const).map(
            (act) => () => runtime[act](id, gone),
          ),
          () => runtime.remove(id, { volumes: false }, gone),
          () => runtime.list({}, gone),
        ]) {
          await expect(work()).rejects.toBe(gone.reason)
        }
        expect(await runtime.inspect('other', forever)).toBeUndefined()

        const controller = new AbortController()
        const [stopped, started] = [runtime.stop(id, controller.signal), runtime.start(id, controller.signal)]
        const results = Promise.allSettled([stopped, started])
        controller.abort()
        expect((await results).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
        expect((await lookAt(runtime, id)).state).not.toBe('stopped')
      })

      test('of a creation leaves all of it or nothing', async () => {
        const { runtime, joined, specOf } = await open()
        const controller = new AbortController()
        const created = runtime.create(specOf({ networks: joined }), controller.signal)
        const result = created.then(
          ({ id }) => [id],
          () => [],
        )
        await until('it is being created', async () => (await runtime.list({}, forever)).length > 0)
        controller.abort()
        const expected = await result
        await until(`there is ${expected.length} of it`, async () => {
          const ids = (await runtime.list({}, forever)).map(({ id }) => id)
          return ids.join() === expected.join()
        })
      })
    })
  })
}

async function lookAt(runtime: Runtime, idOrName: string): Promise<Workload> {
  const found = await runtime.inspect(idOrName, new AbortController().signal)
  if (!found) throw new Error(`${idOrName} is not there`)
  return found
}
