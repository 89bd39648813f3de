import { describe, expect, test } from '@jest/globals'
import { type Action, decide, type Outlook, outlookOf, type Seen } from '../../src/lifecycle/decide.js'
import { needsOf } from '../../src/lifecycle/needs.js'
import { createProfiler } from '../../src/lifecycle/profile.js'
import type { Phase } from '../../src/lifecycle/world.js'
import type { Instance } from '../../src/model/instance.js'
import { member, needing, pretendWorld } from '../support/reaper-world.js'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

interface Given {
  /** Minutes, by group; an hour where nothing is said. */
  idle?: Record<string, number>
  open?: Record<string, number>
  doubt?: Record<string, string>
  phase?: Record<string, Phase>
  stopped?: Record<string, number>
  now?: number
}

interface Decision {
  readonly actions: readonly Action[]
  /** Of the groups that run. */
  readonly outlooks: ReadonlyMap<string, Outlook>
}

function decided(instances: readonly Instance[], given: Given = {}): Decision {
  const world = pretendWorld()
  world.has(...instances)
  const groups = world.groups()
  const profiles = createProfiler()(groups)
  const running = profiles.all.filter((profile) => profile.running.length > 0)
  const seen: Seen = {
    profiles,
    needs: needsOf(groups, new Set(running.map(({ group }) => group.name))),
    routed: new Set(world.plan().backends.map(({ group }) => group)),
    phase: (group) => given.phase?.[group],
    idleMs: (group) => (given.idle?.[group] ?? 60) * MINUTE,
    open: (group) => given.open?.[group] ?? 0,
    doubt: (group) => given.doubt?.[group],
    stoppedMs: (key) => given.stopped?.[key.split(' ')[1] ?? ''],
    canAct: (source) => source === 'test',
    now: given.now ?? HOUR,
  }
  const outlooks = new Map(running.map((profile) => [profile.group.name, outlookOf(profile, seen)]))
  return { actions: decide(seen), outlooks }
}

/** `sleep a`, `remove a-web max-age`, … */
const words = ({ actions }: Decision): string[] =>
  actions.map((action) =>
    action.what === 'sleep'
      ? `sleep ${action.group}`
      : `remove ${action.keys.map((key) => key.split(' ')[1])} ${action.why}`,
  )

const keptOf = ({ outlooks }: Decision): Record<string, unknown> =>
  Object.fromEntries(
    [...outlooks].map(([group, { kept }]) => [group, kept && [kept.by, kept.detail].filter(Boolean).join(' ')]),
  )

describe('a group', () => {
  test('sleeps when its idle time is over, and not before', () => {
    expect(words(decided([member('a')], { idle: { a: 30 } }))).toEqual(['sleep a'])
    const early = decided([member('a')], { idle: { a: 29.9 } })
    expect(words(early)).toEqual([])
    expect(early.outlooks.get('a')).toEqual({ idleMs: 29.9 * MINUTE, limitMs: 30 * MINUTE, kept: { by: 'time' } })
  })

  test('waits for the member that wants the longest, and for ever for one that wants that', () => {
    const short = member('a', { idle: '5m' })
    const long = member('a', { service: 'api', idle: '2h', host: 'api.example.com' })
    expect(words(decided([short, long], { idle: { a: 119 } }))).toEqual([])
    expect(words(decided([short, long], { idle: { a: 120 } }))).toEqual(['sleep a'])
    const never = decided([short, member('a', { service: 'db', port: 'none', idle: '0' })], { idle: { a: 99_999 } })
    expect(keptOf(never)).toEqual({ a: 'setting' })
    expect(words(never)).toEqual([])
  })

  test('asks only those of its members how long that run', () => {
    const gone = member('a', { service: 'old', idle: '9h', host: 'old.example.com' }, { state: 'stopped' })
    expect(words(decided([member('a'), gone]))).toEqual(['sleep a'])
  })

  test('is kept awake by a member that may not be put to sleep, whatever the others say', () => {
    const decision = decided([member('a'), member('a', { service: 'cron', port: 'none', wake: 'false' })])
    expect(words(decision)).toEqual([])
    expect(keptOf(decision)).toEqual({ a: 'container a-cron' })
    expect(words(decided([member('a', {}, { source: 'metadata' })]))).toEqual([])
  })

  test.each<[string, Given, string]>([
    ['open connections', { open: { a: 2 } }, 'use 2'],
    ['a doubt', { doubt: { a: 'no answer' } }, 'doubt no answer'],
    ['its start', { phase: { a: 'waking' } }, 'change'],
    ['its going to sleep', { phase: { a: 'falling-asleep' } }, 'change'],
  ])('is kept awake by %s', (_, given, kept) => {
    const decision = decided([member('a')], given)
    expect(words(decision)).toEqual([])
    expect(keptOf(decision)).toEqual({ a: kept })
  })

  test('of which the last start failed sleeps with whatever of it runs', () => {
    expect(
      words(
        decided([member('a'), member('a', { service: 'db', port: 'none' }, { state: 'stopped' })], {
          phase: { a: 'failed' },
        }),
      ),
    ).toEqual(['sleep a'])
  })

  test('that sleeps has no outlook', () => {
    const decision = decided([member('a', {}, { state: 'stopped' }), member('b', {}, { state: 'paused' })])
    expect(words(decision)).toEqual([])
    expect(decision.outlooks.size).toBe(0)
  })

  test('is kept awake by a job that has not come to its end', () => {
    const job = member('a', { service: 'migrate', port: 'none', ...needing('a', 'migrate') })
    const web = member('a', {
      'com.docker.compose.project': 'a',
      'com.docker.compose.service': 'web',
      'com.docker.compose.depends_on': 'migrate:service_completed_successfully:true',
    })
    expect(keptOf(decided([web, job]))).toEqual({ a: 'job a-migrate' })
    expect(words(decided([web, { ...job, state: 'stopped' }]))).toEqual(['sleep a'])
  })
})

describe('a group that others need', () => {
  const app = (name: string, over: Partial<Instance> = {}) =>
    member(name, { group: name, ...needing('ci', name, 'db') }, over)
  const db = (labels: Record<string, string> = {}) =>
    member('db', { group: 'db', port: 'none', ...needing('ci', 'db'), ...labels })

  test('stays while one of them is awake, and sleeps after the last', () => {
    const one = decided([app('a', { state: 'stopped' }), app('b'), db()], { idle: { b: 1 } })
    expect(words(one)).toEqual([])
    expect(keptOf(one)).toEqual({ b: 'time', db: 'need b' })
    expect(words(decided([app('a'), db()]))).toEqual(['sleep a'])
    expect(words(decided([app('a', { state: 'stopped' }), db()]))).toEqual(['sleep db'])
  })

  test('stays for one that needs it by way of another', () => {
    const storage = member('storage', { group: 'storage', port: 'none', ...needing('ci', 'storage') })
    const between = db(needing('ci', 'db', 'storage'))
    expect(keptOf(decided([app('a'), between, storage], { idle: { a: 1 } }))).toEqual({
      a: 'time',
      db: 'need a',
      storage: 'need db',
    })
    const gone = { ...between, state: 'stopped' } as Instance
    expect(keptOf(decided([app('a'), gone, storage], { idle: { a: 1 } }))).toMatchObject({ storage: 'need a' })
  })

  test('without a route and without anybody who could need it stays up: nothing could wake it', () => {
    const decision = decided([member('db', { port: 'none' })])
    expect(words(decision)).toEqual([])
    expect(keptOf(decision)).toEqual({ db: 'route' })
  })

  test('goes together with those that it needs itself, or not at all', () => {
    const pair = [
      member('a', { group: 'a', ...needing('ci', 'a1', 'b2') }),
      member('a', { group: 'a', service: 'a2', port: 'none', ...needing('ci', 'a2') }),
      member('b', { group: 'b', ...needing('ci', 'b1', 'a2') }),
      member('b', { group: 'b', service: 'b2', port: 'none', ...needing('ci', 'b2') }),
    ]
    expect(words(decided(pair)).sort()).toEqual(['sleep a', 'sleep b'])
    const half = decided(pair, { idle: { a: 1 } })
    expect(words(half)).toEqual([])
    expect(keptOf(half)).toEqual({ a: 'time', b: 'need a' })
  })
})

describe('containers', () => {
  const aged = (labels: Record<string, string>, over: Partial<Instance> = {}) =>
    member('a', labels, { createdAt: 1000, ...over })
  const at = (ms: number): Given => ({ now: 1000 + ms, open: { a: 5 } })

  test('are removed when they are too old, alone, in use or not, whether or not they may sleep', () => {
    const old = aged({ service: 'old', 'max-age': '1h', wake: 'false' })
    const young = member('a', { 'max-age': '1h', host: 'b.example.com' }, { createdAt: 2000 })
    expect(words(decided([old, young], at(HOUR)))).toEqual([])
    expect(words(decided([old, young], at(HOUR + 1)))).toEqual(['remove a-old max-age'])
    expect(words(decided([{ ...old, state: 'stopped' }, young], at(HOUR + 1)))).toEqual(['remove a-old max-age'])
  })

  test('are not removed for their age without a label, without a known age, where nobody can act, or while they start', () => {
    expect(words(decided([aged({})], at(9e9)))).toEqual([])
    expect(words(decided([aged({ 'max-age': '1h' }, { createdAt: 0 })], at(9e9)))).toEqual([])
    expect(words(decided([aged({ 'max-age': '1h' }, { source: 'file' })], at(9e9)))).toEqual([])
    expect(words(decided([aged({ 'max-age': '1h' })], { ...at(9e9), phase: { a: 'waking' } }))).toEqual([])
  })

  test('that died at their start go when they would have been removed for idleness', () => {
    const dead = member('a', { 'on-idle': 'remove' }, { state: 'stopped' })
    const waited = (minutes: number) => words(decided([dead], { stopped: { 'a-web': minutes * MINUTE } }))
    expect(waited(29)).toEqual([])
    expect(waited(30)).toEqual(['remove a-web idle'])
    const stopped = { stopped: { 'a-web': HOUR, 'a-db': HOUR } }
    const db = member('a', { service: 'db', port: 'none' })
    expect(words(decided([dead, db], { ...stopped, idle: { a: 1 } }))).toEqual([])
    expect(words(decided([dead, { ...db, state: 'stopped' }], stopped))).toEqual(['remove a-web idle'])
  })

  test('that have ended stay where idleness stops them only, or never comes', () => {
    const stopped = { stopped: { 'a-web': 99 * HOUR } }
    for (const labels of [
      {},
      { 'on-idle': 'pause' },
      { 'on-idle': 'remove', idle: '0' },
      { 'on-idle': 'remove', wake: 'false' },
    ])
      expect(words(decided([member('a', labels as Record<string, string>, { state: 'stopped' })], stopped))).toEqual([])
  })

  test('are not called left over while one that waits for a job could still be started', () => {
    const job = member(
      'a',
      { service: 'migrate', port: 'none', 'on-idle': 'remove', ...needing('a', 'migrate') },
      { state: 'stopped' },
    )
    const waits = (labels: Record<string, string>) =>
      member(
        'a',
        {
          'com.docker.compose.project': 'a',
          'com.docker.compose.service': 'web',
          'com.docker.compose.depends_on': 'migrate:service_completed_successfully:true',
          ...labels,
        },
        { state: 'stopped' },
      )
    const stopped = { stopped: { 'a-web': HOUR, 'a-migrate': HOUR } }
    expect(words(decided([job, waits({})], stopped))).toEqual([])
    expect(words(decided([job, waits({ 'on-idle': 'remove' })], stopped))).toEqual(['remove a-migrate,a-web idle'])
  })
})
