import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from '@jest/globals'
import { pino } from 'pino'
import { createReaper, type Reaper } from '../../src/lifecycle/reaper.js'
import { createFakeClock } from '../support/clock.js'
import { member, needing, type PretendedWorld, pretendProxy, pretendWorld } from '../support/reaper-world.js'
import { tempDir } from '../support/temp.js'
import { until } from '../support/wait.js'

const MINUTE = 60_000
const running: Reaper[] = []
const after: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const reaper of running.splice(0)) await reaper.stop()
  for (const step of after.splice(0)) await step()
})

interface Options {
  world?: PretendedWorld
  clock?: ReturnType<typeof createFakeClock>
  dir?: string
  dryRun?: boolean
  proxies?: ReturnType<typeof pretendProxy>[]
}

/** A reaper that looks only when told to, by `pass`; `start` lets it look by itself. */
function setUp({
  world = pretendWorld(),
  clock = createFakeClock(),
  dir = tempDir(),
  dryRun = false,
  ...more
}: Options = {}) {
  const lines: Record<string, unknown>[] = []
  const log = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  const { proxies = [pretendProxy()] } = more
  const settings = { sleep: { interval: 10_000, dryRun, quietBytes: 1 }, stateDir: dir }
  const { waker, sleeper, rules } = world
  const reaper = createReaper({ world, waker, sleeper, proxies, settings, rules, clock, log })
  running.push(reaper)
  const tell = () => {
    for (const proxy of proxies)
      for (const { name } of world.plan().backends) if (!proxy.told.has(name)) proxy.count(name, 0)
  }
  const pass = async () => {
    tell()
    return reaper.pass()
  }
  /** Lets time pass and looks as often as the loop would. */
  const minutes = async (count: number) => {
    for (let look = 0; look < count; look++) {
      await clock.pass(MINUTE)
      await pass()
    }
  }
  const outlook = (group: string) => reaper.state().groups.find((one) => one.group === group)
  const said = (level: number) => lines.filter((line) => line['level'] === level).map(({ msg }) => String(msg))
  return { world, clock, dir, reaper, proxy: proxies[0]!, pass, minutes, outlook, said, lines, tell }
}

describe('the reaper', () => {
  test('puts to sleep what nobody uses for long enough, those too that never had a request', async () => {
    const { world, proxy, minutes, pass } = setUp()
    world.has(member('used'), member('never'))
    await pass()
    await minutes(10)
    proxy.count('used', 1)
    await minutes(19)
    expect(world.asked).toEqual([])
    await minutes(1)
    expect(world.asked).toEqual(['sleep never idle'])
    await minutes(11)
    expect(world.asked).toEqual(['sleep never idle', 'sleep used idle'])
  })

  test('leaves alone what is used: requests, open connections, requests at the public port, what is open there', async () => {
    const { world, proxy, reaper, minutes, pass } = setUp()
    world.has(...['requests', 'open', 'noted', 'held'].map((name) => member(name)))
    await pass()
    proxy.count('open', 1, { current: 1 })
    const release = reaper.hold('held')
    for (let round = 1; round <= 6; round++) {
      proxy.count('requests', round)
      reaper.note('noted')
      await minutes(20)
    }
    expect(world.asked).toEqual([])
    release()
    release()
    proxy.count('open', 1)
    await minutes(29)
    expect(world.asked.sort()).toEqual(['sleep noted idle', 'sleep requests idle'])
    await minutes(2)
    expect(world.asked.slice(2).sort()).toEqual(['sleep held idle', 'sleep open idle'])
  })

  test('adopts what others start: it begins with the first sight', async () => {
    const { world, minutes, pass } = setUp()
    world.has(member('old'))
    await pass()
    await minutes(20)
    world.has(...world.instances()!, member('new'))
    await minutes(11)
    expect(world.asked).toEqual(['sleep old idle'])
    await minutes(20)
    expect(world.asked).toEqual(['sleep old idle', 'sleep new idle'])
  })

  test('begins anew with a container that is new in its group, and with one that was woken', async () => {
    const { world, minutes, pass } = setUp()
    world.has(member('a'), member('b'))
    await pass()
    await minutes(20)
    world.has(...world.instances()!, member('a', { service: 'api', host: 'api.example.com' }))
    world.phases.set('b', 'waking')
    await minutes(1)
    world.phases.delete('b')
    await minutes(29)
    expect(world.asked).toEqual([])
    await minutes(1)
    expect(world.asked.sort()).toEqual(['sleep a idle', 'sleep b idle'])
  })

  test('puts nobody to sleep while a proxy does not answer, says so once, and goes on when it does', async () => {
    const { world, proxy, minutes, pass, said, outlook, reaper } = setUp()
    world.has(member('a'))
    await pass()
    proxy.failure = new Error('no answer')
    await minutes(60)
    expect(world.asked).toEqual([])
    expect(said(40)).toEqual([expect.stringContaining('nobody behind this proxy')])
    expect(outlook('a')).toMatchObject({ keptBy: 'doubt', keptDetail: 'no answer' })
    expect(reaper.state().problems).toEqual(['haproxy: no answer'])
    proxy.failure = undefined
    await minutes(1)
    expect(world.asked).toEqual([])
    await minutes(1)
    expect(world.asked).toEqual(['sleep a idle'])
  })

  test('puts nobody to sleep in the pass in which the counts began anew', async () => {
    const { world, proxy, clock, minutes, pass } = setUp()
    world.has(member('a'))
    await pass()
    await minutes(28)
    await clock.pass(5 * MINUTE)
    proxy.counting = 'two'
    await pass()
    expect(world.asked).toEqual([])
    await minutes(1)
    expect(world.asked).toEqual(['sleep a idle'])
  })

  test('goes on after a restart where it was, but looks twice before it puts anybody to sleep', async () => {
    const first = setUp()
    first.world.has(member('idle'), member('fresh'))
    await first.pass()
    await first.minutes(29)
    first.reaper.note('fresh')
    await first.reaper.stop()
    await first.clock.pass(2 * MINUTE)
    const { world, minutes, reaper, outlook, tell } = setUp({ world: first.world, clock: first.clock, dir: first.dir })
    tell()
    await reaper.start()
    await until('it has looked', () => reaper.state().lookedAt)
    expect(world.asked).toEqual([])
    expect(outlook('idle')).toMatchObject({ idleSince: first.clock.now() - 31 * MINUTE, keptBy: 'doubt' })
    await minutes(1)
    expect(world.asked).toEqual(['sleep idle idle'])
    expect(outlook('fresh')).toMatchObject({ sleepsAt: first.clock.now() + 27 * MINUTE, keptBy: 'time' })
  })

  test('looks every interval by itself', async () => {
    const { world, clock, reaper, tell } = setUp()
    world.has(member('a', { idle: '25s' }))
    tell()
    await reaper.start()
    await until('it looks', () => reaper.state().lookedAt)
    for (let round = 0; round < 3; round++) {
      expect(world.asked).toEqual([])
      await until('it waits', () => clock.sleepers() > 0)
      await clock.pass(10_000)
    }
    await until('it sleeps', () => world.asked.length === 1)
  })

  test('asks before it puts to sleep, shows who says no, and asks again', async () => {
    const { world, minutes, pass, outlook, reaper } = setUp()
    let status = 409
    const server = createServer((_, response) => response.writeHead(status).end())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    after.push(() => new Promise((resolve) => server.close(resolve)))
    const { port } = server.address() as AddressInfo
    const networks = [{ name: 'web', address: '127.0.0.1', shared: true }]
    world.has(member('a', { port: String(port), veto: '/busy' }, { networks }))
    await pass()
    await minutes(30)
    expect(world.asked).toEqual([])
    expect(outlook('a')).toMatchObject({ keptBy: 'veto', keptDetail: 'a-web answers 409' })
    expect(reaper.state().counts).toEqual({ 'sleep idle vetoed': 1 })
    status = 200
    await minutes(1)
    expect(world.asked).toEqual(['sleep a idle'])
    expect(outlook('a')?.keptBy).not.toBe('veto')
  })

  test('does not put to sleep what was used while it waited for its turn', async () => {
    const { world, minutes, pass, reaper } = setUp()
    const names = Array.from({ length: 12 }, (_, index) => `app-${index}`)
    world.has(...names.map((name) => member(name)))
    const waiting: (() => void)[] = []
    const { sleep } = world.sleeper
    world.sleeper.sleep = async (...args) => {
      const outcome = sleep(...args)
      await new Promise<void>((resolve) => waiting.push(resolve))
      return outcome
    }
    await pass()
    await minutes(29)
    const last = minutes(1)
    await until('as many as may are on their way', () => waiting.length === 8)
    expect(world.asked).toHaveLength(8)
    reaper.note('app-11')
    await until('all have had their turn', () => {
      for (const release of waiting.splice(0)) release()
      return reaper.state().counts['sleep idle cancelled']
    })
    await last
    expect(world.asked).not.toContain('sleep app-11 idle')
    expect(reaper.state().counts).toEqual({ 'sleep idle asleep': 11, 'sleep idle cancelled': 1 })
  })

  test('lets a failure be one group’s, tells it, and tries again', async () => {
    const { world, minutes, pass, said } = setUp()
    world.has(member('a'), member('b'))
    const { sleep } = world.sleeper
    let failures = 0
    world.sleeper.sleep = async (group, why) => {
      if (group === 'a' && failures++ === 0) throw new Error('no such network')
      return sleep(group, why)
    }
    await pass()
    await minutes(30)
    expect(world.asked).toEqual(['sleep b idle'])
    expect(said(50)).toHaveLength(1)
    await minutes(1)
    expect(world.asked).toEqual(['sleep b idle', 'sleep a idle'])
  })

  test('in a dry run only says what it would do, once', async () => {
    const { world, minutes, pass, lines, reaper } = setUp({ dryRun: true })
    world.has(member('a'), member('old', { 'max-age': '1m' }, { createdAt: 1 }))
    await pass()
    await minutes(40)
    expect(world.asked).toEqual([])
    const told = lines.filter(({ outcome, level }) => outcome === 'dry-run' && level === 30)
    expect(told.map(({ what, group }) => `${what} ${group}`)).toEqual(['remove old', 'sleep a'])
    expect((await pass()).done).toContainEqual({ group: 'a', what: 'sleep', why: 'idle', outcome: 'dry-run' })
    reaper.note('a')
    await minutes(30)
    expect(
      lines.filter(({ outcome, level, group }) => outcome === 'dry-run' && level === 30 && group === 'a'),
    ).toHaveLength(2)
  })

  test('removes what is too old while it is in use, and left-overs of what was to be removed', async () => {
    const { world, proxy, minutes, pass } = setUp()
    world.has(
      member('aged', { 'max-age': '20m' }, { createdAt: 1_000_000 }),
      member('dead', { 'on-idle': 'remove' }, { state: 'stopped' }),
    )
    proxy.count('aged', 1, { current: 1 })
    await pass()
    await minutes(20)
    expect(world.asked).toEqual([])
    await minutes(1)
    expect(world.asked).toEqual(['remove aged aged-web max-age'])
    await minutes(9)
    expect(world.asked).toEqual(['remove aged aged-web max-age', 'remove dead dead-web idle'])
  })

  test('takes no container for old because the wall clock is put ahead', async () => {
    const clock = createFakeClock()
    let jump = 0
    const walled = { ...clock, now: () => clock.now() + jump }
    const { world, pass } = setUp({ clock: walled })
    world.has(member('a', { 'max-age': '1h' }, { createdAt: clock.now() }))
    await pass()
    jump = 365 * 24 * 60 * MINUTE
    await pass()
    expect(world.asked).toEqual([])
    jump = 0
    await clock.pass(61 * MINUTE)
    await pass()
    expect(world.asked).toEqual(['remove a a-web max-age'])
  })

  test('lets a database sleep after the last stack that needs it, once it has been idle itself', async () => {
    const { world, minutes, pass, outlook, reaper } = setUp()
    const app = (name: string) => member(name, { group: name, ...needing('ci', name, 'db') })
    world.has(app('a'), app('b'), member('db', { group: 'db', port: 'none', ...needing('ci', 'db') }))
    await pass()
    await minutes(20)
    reaper.note('b')
    await minutes(29)
    expect(world.asked).toEqual(['sleep a idle'])
    expect(outlook('db')).toMatchObject({ keptBy: 'need', keptDetail: 'b' })
    await minutes(1)
    expect(world.asked).toEqual(['sleep a idle', 'sleep b idle'])
    await minutes(30)
    expect(world.asked).toEqual(['sleep a idle', 'sleep b idle', 'sleep db idle'])
  })

  test('looks at what containers send where the proxy cannot tell what is open', async () => {
    const { world, proxy, minutes, pass, outlook } = setUp()
    world.has(member('talks'), member('silent'), member('unknown'))
    for (const name of ['talks', 'silent', 'unknown']) proxy.count(name, 0, {})
    world.sent.set('talks-web', 0)
    world.sent.set('silent-web', 0)
    await pass()
    for (let minute = 0; minute < 60; minute++) {
      world.sent.set('talks-web', (world.sent.get('talks-web') ?? 0) + 200)
      await minutes(1)
    }
    expect(world.asked).toEqual(['sleep silent idle'])
    expect(outlook('unknown')).toMatchObject({ keptBy: 'doubt', keptDetail: expect.stringContaining('no counters') })
  })

  test('waits until it is known what runs', async () => {
    const { world, pass } = setUp()
    const early = { ...world, groups: () => undefined, plan: () => undefined }
    const { waker, sleeper, rules } = world
    const settings = { sleep: { interval: 10_000, dryRun: false, quietBytes: 1 }, stateDir: tempDir() }
    const reaper = createReaper({
      world: early,
      waker,
      sleeper,
      proxies: [],
      settings,
      rules,
      clock: createFakeClock(),
      log: pino({ level: 'silent' }),
    })
    running.push(reaper)
    expect(await reaper.pass()).toMatchObject({
      awake: 0,
      done: [],
      problems: [expect.stringContaining('not known yet')],
    })
    expect(await pass()).toMatchObject({ awake: 0, done: [], problems: [] })
  })

  test('looks once for all who ask while it looks', async () => {
    const { world, proxy, reaper, tell } = setUp()
    world.has(member('a'))
    tell()
    let asked = 0
    const { activity } = proxy
    proxy.activity = async () => {
      asked++
      return activity()
    }
    const reports = await Promise.all(Array.from({ length: 50 }, () => reaper.pass()))
    expect(reports).toHaveLength(50)
    expect(asked).toBeLessThanOrEqual(2)
  })
})
