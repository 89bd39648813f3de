import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { State } from '../reconcile/state.js'
import { createLifecycleMetrics, type LifecycleMetrics } from './lifecycle-metrics.js'

/**
 * What is measured, in a registry of its own. Whatever the state knows is read from it at scrape time, so that
 * /metrics, /api/state and `hostler status` cannot disagree; only durations are recorded as they happen.
 */
export interface Metrics {
  /** A proxy took a change. `ms`: from the call of apply until it returned. */
  applied(proxy: string, how: string, ms: number): void
  /** Files were published. `ms`: from the first hint of the change until then. */
  round(ms: number): void
  /** Sleep and wake. */
  readonly lifecycle: LifecycleMetrics
  /** Prometheus text; `contentType` goes with it. */
  render(state: State): Promise<string>
  readonly contentType: string
}

const APPLY_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const ROUND_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export function createMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const fromState = createStateMetrics(registry)
  const applySeconds = new Histogram({
    name: 'hostler_apply_seconds',
    help: 'How long a proxy took to take a change.',
    labelNames: ['proxy', 'how'],
    buckets: APPLY_BUCKETS,
    registers: [registry],
  })
  const roundSeconds = new Histogram({
    name: 'hostler_round_seconds',
    help: 'From the first hint of a change until its files were published.',
    buckets: ROUND_BUCKETS,
    registers: [registry],
  })
  return {
    contentType: registry.contentType,
    applied: (proxy, how, ms) => applySeconds.observe({ proxy, how }, ms / 1000),
    lifecycle: createLifecycleMetrics(registry),
    round: (ms) => roundSeconds.observe(ms / 1000),
    render(state) {
      for (const read of fromState) read(state)
      return registry.metrics()
    },
  }
}

type Sample = readonly [labels: Readonly<Record<string, string>>, value: number]

/** One metric of the state: its name, help and labels, and the samples that a state gives. */
interface StateMetric {
  readonly name: string
  readonly help: string
  readonly labels?: readonly string[]
  samples(state: State): readonly Sample[]
}

const one = (value: number | boolean): readonly Sample[] => [[{}, Number(value)]]

const total = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0)

const GAUGES: readonly StateMetric[] = [
  {
    name: 'hostler_build_info',
    help: 'Always 1; the running version.',
    labels: ['version'],
    samples: ({ version }) => [[{ version }, 1]],
  },
  {
    name: 'hostler_ready',
    help: '1 when nothing keeps it from being ready.',
    samples: ({ problems }) => one(problems.length === 0),
  },
  {
    name: 'hostler_instances',
    help: 'Instances that a source last told of.',
    labels: ['source'],
    samples: ({ sources }) => sources.map(({ name, instances }) => [{ source: name }, instances]),
  },
  {
    name: 'hostler_source_up',
    help: '1 when the source can be read; its last good facts stay in force while it cannot.',
    labels: ['source'],
    samples: ({ sources }) =>
      sources.map(({ name, error, updatedAt }) => [
        { source: name },
        Number(error === undefined && updatedAt !== undefined),
      ]),
  },
  {
    name: 'hostler_source_updated_timestamp_seconds',
    help: 'When the source last told the whole truth.',
    labels: ['source'],
    samples: ({ sources }) =>
      sources.flatMap(({ name, updatedAt }) =>
        updatedAt === undefined ? [] : [[{ source: name }, updatedAt / 1000] as const],
      ),
  },
  { name: 'hostler_routes', help: 'Routes in the plan.', samples: ({ plan }) => one(plan.routes.length) },
  { name: 'hostler_backends', help: 'Backends in the plan.', samples: ({ plan }) => one(plan.backends.length) },
  {
    name: 'hostler_servers',
    help: 'Servers that take traffic.',
    samples: ({ plan }) => one(total(plan.backends.map(({ servers }) => servers.length))),
  },
  {
    name: 'hostler_waiting',
    help: 'Instances behind a backend that take no traffic now.',
    samples: ({ plan }) => one(total(plan.backends.map(({ waiting }) => waiting.length))),
  },
  {
    name: 'hostler_rejections',
    help: 'Labels that could not be honoured.',
    samples: ({ plan }) => one(plan.rejections.length),
  },
  {
    name: 'hostler_proxy_in_step',
    help: '1 when the newest plan is in force in the proxy.',
    labels: ['proxy'],
    samples: ({ proxies }) =>
      proxies.map(({ name, error, settled }) => [{ proxy: name }, Number(error === undefined && settled)]),
  },
  {
    name: 'hostler_registry_in_step',
    help: '1 when what runs is announced in the registry.',
    labels: ['registry'],
    samples: ({ registries = [] }) =>
      registries.map(({ name, error, syncedAt }) => [
        { registry: name },
        Number(error === undefined && syncedAt !== undefined),
      ]),
  },
  {
    name: 'hostler_registry_entries',
    help: 'What is announced in the registry.',
    labels: ['registry'],
    samples: ({ registries = [] }) => registries.map(({ name, entries }) => [{ registry: name }, entries]),
  },
  {
    name: 'hostler_registry_troubles',
    help: 'What could not be announced as its container asks.',
    labels: ['registry'],
    samples: ({ registries = [] }) => registries.map(({ name, troubles }) => [{ registry: name }, troubles.length]),
  },
  {
    name: 'hostler_groups',
    help: 'Stacks that can be woken, by phase.',
    labels: ['phase'],
    samples: ({ lifecycle }) =>
      ['asleep', 'waking', 'awake', 'falling-asleep', 'failed'].map((phase) => [
        { phase },
        lifecycle?.groups.filter((group) => group.phase === phase).length ?? 0,
      ]),
  },
  {
    name: 'hostler_refused_backends',
    help: 'Backends that the proxy itself refused.',
    labels: ['proxy'],
    samples: ({ proxies }) => proxies.map(({ name, refused }) => [{ proxy: name }, refused.length]),
  },
]

const COUNTERS: readonly StateMetric[] = [
  {
    name: 'hostler_registry_changes_total',
    help: 'Entries written to a registry and taken back, and syncs that failed.',
    labels: ['registry', 'what'],
    samples: ({ registries = [] }) =>
      registries.flatMap(({ name: registry, writes, removals, failures }) => [
        [{ registry, what: 'written' }, writes] as const,
        [{ registry, what: 'removed' }, removals] as const,
        [{ registry, what: 'failed' }, failures] as const,
      ]),
  },
  {
    name: 'hostler_reaper_decisions_total',
    help: 'What was decided about idle stacks, by what, why and outcome.',
    labels: ['what', 'why', 'outcome'],
    samples: ({ lifecycle }) =>
      Object.entries(lifecycle?.counts ?? {}).map(([words, count]) => {
        const [what = '', why = '', outcome = ''] = words.split(' ')
        return [{ what, why, outcome }, count] as const
      }),
  },
  {
    name: 'hostler_applies_total',
    help: 'Changes that a proxy took, by how.',
    labels: ['proxy', 'how'],
    samples: ({ proxies }) =>
      proxies.flatMap(({ name, applies }) =>
        Object.entries(applies).map(([how, count]) => [{ proxy: name, how }, count] as const),
      ),
  },
  {
    name: 'hostler_apply_failures_total',
    help: 'Changes that a proxy did not take.',
    labels: ['proxy'],
    samples: ({ proxies }) => proxies.map(({ name, failures }) => [{ proxy: name }, failures]),
  },
]

/** A function per metric that replaces its samples by those of a state; vanished sources and proxies vanish with it. */
function createStateMetrics(registry: Registry): readonly ((state: State) => void)[] {
  const settings = ({ name, help, labels = [] }: StateMetric) => ({
    name,
    help,
    labelNames: [...labels],
    registers: [registry],
  })
  const gauges = GAUGES.map((metric) => {
    const gauge = new Gauge(settings(metric))
    return (state: State) => {
      gauge.reset()
      for (const [labels, value] of metric.samples(state)) gauge.set(labels, value)
    }
  })
  const counters = COUNTERS.map((metric) => {
    const counter = new Counter(settings(metric))
    return (state: State) => {
      counter.reset()
      for (const [labels, value] of metric.samples(state)) counter.inc(labels, value)
    }
  })
  return [...gauges, ...counters]
}
