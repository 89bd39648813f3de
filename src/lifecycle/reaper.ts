import type { Settings } from '../config/schema.js'
import type { Clock } from '../lib/clock.js'
import type { Logger } from '../lib/logger.js'
import { createTurns } from '../lib/turns.js'
import type { Groups } from '../model/groups.js'
import type { Plan } from '../model/plan.js'
import type { LabelRules } from '../model/wishes.js'
import type { Proxy } from '../proxies/proxy.js'
import { decide, type Keeper, type Kept, outlookOf, type Seen } from './decide.js'
import { createEvidence, type Look } from './evidence.js'
import { createIdleClock } from './idle-clock.js'
import { type Needs, needsOf } from './needs.js'
import { createProfiler, type Profile, type Profiles } from './profile.js'
import { createActor, type Done } from './reaper-actor.js'
import { createSightings } from './sightings.js'
import { createTrafficWatch } from './traffic-watch.js'
import { createVetoes } from './veto.js'
import type { Sleeper, Waker, World } from './world.js'

/** Finds out who is idle, and has them put to sleep. */
export interface Reaper {
  /** Reads its clock, and looks every `sleep.interval` from now on. */
  start(): Promise<void>
  stop(): Promise<void>
  /** Somebody uses a group at this moment: a request at the public port, a heartbeat. */
  note(group: string): void
  /** Somebody uses it until the function is called that this returns: a connection through the public port. */
  hold(group: string): () => void
  /** Looks now, and waits for what is done about it. */
  pass(): Promise<ReaperReport>
  state(): ReaperState
}

export interface ReaperReport {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly ms: number
  /** Groups that run. */
  readonly awake: number
  readonly done: readonly Done[]
  /** Why not everything could be looked at. */
  readonly problems: readonly string[]
}

export interface ReaperState {
  readonly dryRun: boolean
  /** Milliseconds since the epoch; undefined before the first look. */
  readonly lookedAt?: number
  readonly problems: readonly string[]
  /** So far, by what was done, why, and with which outcome: `sleep idle asleep`. */
  readonly counts: Readonly<Record<string, number>>
  /** Those that run, sorted by name. */
  readonly groups: readonly SleepOutlook[]
}

export interface SleepOutlook {
  readonly group: string
  /** Milliseconds since the epoch. */
  readonly idleSince: number
  /** The same; absent while something else than time keeps it awake. */
  readonly sleepsAt?: number
  readonly keptBy?: Keeper
  /** The container, group or reason that goes with it. */
  readonly keptDetail?: string
}

export interface ReaperInputs {
  readonly world: World
  readonly waker: Pick<Waker, 'state'>
  readonly sleeper: Sleeper
  readonly proxies: readonly Pick<Proxy, 'name' | 'activity'>[]
  readonly settings: Pick<Settings, 'stateDir'> & {
    readonly sleep: Pick<Settings['sleep'], 'interval' | 'dryRun' | 'quietBytes'>
  }
  readonly rules: LabelRules
  readonly clock: Clock
  readonly log: Logger
}

export function createReaper(inputs: ReaperInputs): Reaper {
  const { world, clock, log } = inputs
  const { interval, dryRun, quietBytes } = inputs.settings.sleep
  const life = new AbortController()
  const { signal } = life
  const idle = createIdleClock({ dir: inputs.settings.stateDir, clock, log })
  const evidence = createEvidence({ proxies: inputs.proxies, idle })
  const sightings = createSightings({ idle, clock })
  const traffic = createTrafficWatch({ runtime: world.runtime, used: idle.touch, quietBytes, clock })
  const age = createAgeClock(clock)
  const holds = new Map<string, number>()
  const actor = createActor({
    sleeper: inputs.sleeper,
    vetoes: createVetoes({ rules: inputs.rules, log }),
    profile: profileOf,
    isIdle,
    asking: traffic.asked,
    dryRun,
    log,
  })
  const profiler = createProfiler()
  const turns = createTurns()
  let latest: Latest | undefined
  let waiting: Promise<Looked> | undefined
  let loop: Promise<void> | undefined
  let failing: ReadonlySet<string> = new Set()

  function profileOf(group: string): Profile | undefined {
    const groups = world.groups()
    return groups && profiler(groups).byName.get(group)
  }

  function isIdle(group: string): boolean {
    const limitMs = profileOf(group)?.limitMs ?? 0
    return limitMs > 0 && (idle.idleMs(group) ?? 0) >= limitMs && !holds.has(group)
  }

  /** Calls that come while one waits for its turn share it. */
  function look(): Promise<Looked> {
    waiting ??= turns.take(() => {
      waiting = undefined
      return lookNow()
    })
    return waiting
  }

  async function lookNow(): Promise<Looked> {
    const [at, began] = [clock.now(), clock.elapsed()]
    const [groups, plan] = [world.groups(), world.plan()]
    const report = (awake: number, problems: readonly string[]) => ({
      at,
      ms: clock.elapsed() - began,
      awake,
      problems,
    })
    if (!groups || !plan) return { ...report(0, ['it is not known yet what runs']), begun: [] }
    const profiles = profiler(groups)
    const { running, needs } = observe(groups, profiles)
    const found = await evidence.look(plan, signal)
    tellFailures(found)
    await watchTraffic(profiles, found)
    const seen = seenNow(profiles, plan, found, needs)
    const problems = [...found.failures].map(([proxy, reason]) => `${proxy}: ${reason}`)
    latest = { at, seen, problems }
    return { ...report(running.size, problems), begun: actor.begin(decide(seen), signal) }
  }

  /** What is known without asking anybody. */
  function observe(groups: Groups, profiles: Profiles) {
    const running = sightings.take(profiles)
    const waking = new Set<string>()
    for (const name of profiles.byName.keys()) if (inputs.waker.state(name)?.phase === 'waking') waking.add(name)
    const awake = waking.size === 0 ? running : new Set([...running, ...waking])
    const needs = needsOf(groups, awake, profiles.needy)
    for (const names of [needs.neededBy.keys(), holds.keys(), waking]) {
      for (const name of names) if (running.has(name)) idle.touch(name)
    }
    return { running, needs }
  }

  async function watchTraffic({ byName }: Profiles, { untold }: Look): Promise<void> {
    const watched = [...untold].flatMap((name) => {
      const profile = byName.get(name)
      return profile && profile.limitMs > 0 ? [{ profile, idleMs: idle.idleMs(name) ?? 0 }] : []
    })
    await traffic.look(watched, signal)
  }

  function seenNow(profiles: Profiles, plan: Plan, found: Look, needs: Needs): Seen {
    return {
      profiles,
      needs,
      routed: routedOf(plan),
      phase: (group) => inputs.waker.state(group)?.phase,
      idleMs: idle.idleMs,
      open: (group) => (found.open.get(group) ?? 0) + (holds.get(group) ?? 0),
      doubt: (group) => found.doubts.get(group) ?? (found.untold.has(group) ? traffic.doubt(group) : undefined),
      stoppedMs: sightings.stoppedMs,
      canAct: (source) => world.runtime(source) !== undefined,
      now: age(),
    }
  }

  let routed: { readonly plan: Plan; readonly groups: ReadonlySet<string> } | undefined
  function routedOf(plan: Plan): ReadonlySet<string> {
    if (routed?.plan !== plan) routed = { plan, groups: new Set(plan.backends.map(({ group }) => group)) }
    return routed.groups
  }

  /** Once, until it is over. */
  function tellFailures({ failures }: Look): void {
    for (const [proxy, reason] of failures) {
      if (!failing.has(proxy)) log.warn({ proxy, reason }, 'nobody behind this proxy is put to sleep')
    }
    for (const proxy of failing) if (!failures.has(proxy)) log.info({ proxy }, 'this proxy tells of its traffic again')
    failing = new Set(failures.keys())
  }

  async function pass(): Promise<ReaperReport> {
    const { begun, ...report } = await look()
    return { ...report, done: await Promise.all(begun) }
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      await look().catch((err) => {
        if (!signal.aborted) log.error({ err }, 'it could not be found out who is idle')
      })
      await clock.sleep(interval, signal).catch(() => undefined)
    }
  }

  function outlooks({ seen }: Latest): SleepOutlook[] {
    const running = seen.profiles.all.filter((profile) => profile.running.length > 0)
    return running.map((profile) => shownOf(profile, seen)).sort((a, b) => (a.group < b.group ? -1 : 1))
  }

  function shownOf(profile: Profile, seen: Seen): SleepOutlook {
    const { name: group } = profile.group
    const now = clock.now()
    const { idleMs, limitMs, kept } = outlookOf(profile, seen)
    const veto = kept ? undefined : actor.vetoOf(group)
    const keeper: Kept | undefined = veto === undefined ? kept : { by: 'veto', detail: veto }
    return {
      group,
      idleSince: Math.round(now - idleMs),
      ...((kept === undefined || kept.by === 'time') && { sleepsAt: Math.round(now + Math.max(0, limitMs - idleMs)) }),
      ...(keeper && { keptBy: keeper.by }),
      ...(keeper?.detail !== undefined && { keptDetail: keeper.detail }),
    }
  }

  return {
    note: (group) => idle.touch(group),
    hold(group) {
      idle.touch(group)
      holds.set(group, (holds.get(group) ?? 0) + 1)
      let isOver = false
      return () => {
        if (isOver) return
        isOver = true
        idle.touch(group)
        const others = (holds.get(group) ?? 1) - 1
        if (others > 0) holds.set(group, others)
        else holds.delete(group)
      }
    },
    pass,
    state: () => ({
      dryRun,
      ...(latest && { lookedAt: latest.at }),
      problems: latest?.problems ?? [],
      counts: Object.fromEntries(actor.counts),
      groups: latest ? outlooks(latest) : [],
    }),
    async start() {
      await idle.load()
      loop = run()
    },
    async stop() {
      life.abort()
      await loop
      await idle.stop()
    },
  }
}

interface Latest {
  readonly at: number
  readonly seen: Seen
  readonly problems: readonly string[]
}

type Looked = Omit<ReaperReport, 'done'> & { readonly begun: readonly Promise<Done>[] }

/**
 * The time of day, for ages: a wall clock that is put ahead while we run makes nothing old, and one that is put back
 * nothing young for longer than it is.
 */
function createAgeClock(clock: Clock): () => number {
  const [wall, elapsed] = [clock.now(), clock.elapsed()]
  return () => Math.min(clock.now(), wall + clock.elapsed() - elapsed)
}
