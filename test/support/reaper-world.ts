import type { Phase, Sleeper, SleepReason, Waker, World } from '../../src/lifecycle/world.js'
import { createGrouper, type Groups } from '../../src/model/groups.js'
import type { Instance } from '../../src/model/instance.js'
import type { Plan } from '../../src/model/plan.js'
import { createPlanner } from '../../src/model/planner.js'
import { createWishReader } from '../../src/model/reader.js'
import type { LabelRules } from '../../src/model/wishes.js'
import type { BackendActivity } from '../../src/proxies/proxy.js'
import type { Runtime } from '../../src/runtimes/runtime.js'
import { instance, rules } from './instances.js'

const MINUTE_MS = 60_000

/** Labels are read as in a program that can wake what it puts to sleep; idle is half an hour. */
export const sleepRules: LabelRules = { ...rules, sleep: { ...rules.sleep, wake: true, idleMs: 30 * MINUTE_MS } }

/** A container of a stack, with a route unless the labels say otherwise. */
export const member = (stack: string, labels: Record<string, string> = {}, over: Partial<Instance> = {}): Instance =>
  instance(`${stack}-${labels['service'] ?? 'web'}`, { stack, port: '80', ...labels }, over)

/** Compose's word for "this one needs those services of its project". */
export const needing = (project: string, service: string, ...needs: string[]): Record<string, string> => ({
  'com.docker.compose.project': project,
  'com.docker.compose.service': service,
  ...(needs.length > 0 && {
    'com.docker.compose.depends_on': needs.map((name) => `${name}:service_started:true`).join(),
  }),
})

/** Facts and what follows from them, as the program has them, with a runtime, a waker and a sleeper that only pretend. */
export interface PretendedWorld extends World {
  readonly rules: LabelRules
  readonly waker: Pick<Waker, 'state'>
  readonly sleeper: Sleeper
  /** What was asked of the sleeper. */
  readonly asked: string[]
  /** Bytes that containers have sent, by id; absent: it cannot be told. */
  readonly sent: Map<string, number>
  readonly phases: Map<string, Phase>
  has(...instances: Instance[]): void
  /** Replaces a container by one in another state. */
  turn(name: string, over: Partial<Instance>): void
  groups(): Groups
  plan(): Plan
}

export function pretendWorld(labelRules = sleepRules): PretendedWorld {
  const read = createWishReader(labelRules)
  const [plan, groups] = [createPlanner(labelRules, read), createGrouper(read)]
  const asked: string[] = []
  const phases = new Map<string, Phase>()
  const sent = new Map<string, number>()
  let instances: readonly Instance[] = []
  const turn = (name: string, over: Partial<Instance>) => {
    instances = instances.map((one) => (one.name === name ? { ...one, ...over } : one))
  }
  const runtime = {
    async traffic(id: string) {
      const sentBytes = sent.get(id)
      return sentBytes === undefined ? undefined : { sentBytes, receivedBytes: 0 }
    },
  }
  return {
    ...{ rules: labelRules, asked, phases, sent, turn },
    has: (...now) => {
      instances = now
    },
    plan: () => plan(instances),
    groups: () => groups(instances),
    instances: () => instances,
    runtime: (source) => (source === 'test' ? (runtime as unknown as Runtime) : undefined),
    onChange: () => () => undefined,
    waker: {
      state: (group) => {
        const phase = phases.get(group)
        return phase && { group, phase, since: 0, steps: [] }
      },
    },
    sleeper: {
      async sleep(group: string, why: SleepReason) {
        asked.push(`sleep ${group} ${why}`)
        for (const one of groups(instances).byName.get(group)?.members ?? [])
          turn(one.instance.name, { state: 'stopped' })
        return 'asleep'
      },
      async remove(group: string, keys: readonly string[], why: SleepReason) {
        asked.push(`remove ${group} ${keys.map((key) => key.split(' ')[1]).join()} ${why}`)
        instances = instances.filter((one) => !keys.includes(`${one.source} ${one.id}`))
        return 'removed'
      },
      stop: async () => undefined,
    },
  }
}

/** A proxy that tells what a test has written down: totals by backend, and more where that is told. */
export function pretendProxy(name = 'haproxy') {
  const told = new Map<string, Partial<BackendActivity>>()
  const proxy = {
    name,
    told,
    counting: 'one',
    failure: undefined as Error | undefined,
    /** So many requests have come to a backend; `more` is what else is told of it. */
    count(backend: string, total: number, more: Partial<BackendActivity> = { current: 0 }) {
      told.set(backend, { total, ...more })
    },
    async activity(): Promise<BackendActivity[]> {
      if (proxy.failure) throw proxy.failure
      return [...told].map(([backend, one]) => ({ backend, total: 0, counting: proxy.counting, ...one }))
    },
  }
  return proxy
}
