import { createBackoff } from '../lib/backoff.js'
import { type Clock, systemClock } from '../lib/clock.js'
import type { ConsulAccess } from '../lib/consul/address.js'
import { type ConsulClient, createConsulClient } from '../lib/consul/client.js'
import { HostlerError } from '../lib/errors.js'
import type { Instance } from '../model/instance.js'
import { createCensus, type NodeFacts } from './consul/census.js'
import { follow, Restarted, readAll, readNodes } from './consul/follow.js'
import { createHolding } from './consul/holding.js'
import type { ReadingRules } from './consul/instances.js'
import type { Source, SourceContext, SourceEvents } from './source.js'

export interface ConsulSourceSettings extends ConsulAccess, ReadingRules {
  /** How long after an outage what is missing is waited for, in milliseconds. */
  readonly lease: number
  /** The same where the server has lost what it knew. */
  readonly retelling?: number
  /** How long after an outage what was well counts as well although it is told otherwise. */
  readonly looking?: number
  readonly clock?: Clock
}

/** What other Hostlers have announced in Consul, and every service there that carries the tag. */
export function createConsulSource(settings: ConsulSourceSettings, { log }: SourceContext): Source {
  const clock = settings.clock ?? systemClock
  const { lease: leaseMs, retelling: retellingMs, looking: lookingMs } = settings
  const holding = createHolding({ leaseMs, retellingMs, lookingMs, elapsed: clock.elapsed })
  const census = createCensus(settings, log)
  // What cannot be used is told at once, and not by every attempt.
  void createConsulClient(settings).close()
  const believe = (nodes: readonly NodeFacts[]) => holding.believe(census.take(nodes), newestOf(nodes))
  /** What a watch knows that has everything. */
  let followed: readonly NodeFacts[] | undefined
  /** What was told last, by a watch or a list. */
  let told: readonly Instance[] | undefined

  async function watchWith(client: ConsulClient, events: SourceEvents, signal: AbortSignal): Promise<void> {
    const backoff = createBackoff({ firstMs: 200, maxMs: 5000 })
    let hasReported = false
    let failing = false
    let rereadAt = Number.NEGATIVE_INFINITY

    const mayReread = () => {
      if (clock.elapsed() - rereadAt < REREAD_MS) return false
      rereadAt = clock.elapsed()
      return true
    }
    const report = (nodes: readonly NodeFacts[]) => {
      const instances = believe(nodes)
      followed = nodes
      backoff.reset()
      if (!instances) return
      if (!failing && hasReported && told !== undefined && isSame(instances, told)) return
      failing = false
      hasReported = true
      told = instances
      events.report(instances)
    }
    /** What is kept for the time being goes when that is over, even if nobody says anything. */
    const expire = async () => {
      while (!signal.aborted) {
        const leftMs = (followed && holding.leftMs()) ?? LOOK_MS
        await clock.sleep(Math.min(leftMs, LOOK_MS), signal).catch(() => undefined)
        if (!signal.aborted && followed && holding.leftMs() !== undefined) report(followed)
      }
    }
    const expiring = expire()
    while (!signal.aborted) {
      try {
        await follow({ client, clock, told: report, mayReread }, signal)
      } catch (error) {
        followed = undefined
        if (signal.aborted) break
        holding.doubt(error instanceof Restarted ? 'index' : 'outage')
        if (error instanceof Restarted) continue
        if (!failing) events.failed(error)
        failing = true
      }
      await clock.sleep(backoff.next(), signal).catch(() => undefined)
    }
    await expiring
  }

  async function read(client: ConsulClient, signal: AbortSignal): Promise<readonly NodeFacts[]> {
    if (followed) {
      await readNodes(client, signal)
      // All there was to ask is whether the server answers.
      if (followed) return followed
    }
    const all = await readAll(client, signal)
    // Read node by node it may be older than what is followed by now.
    return followed ?? all
  }

  return {
    name: 'consul',
    list: (signal) =>
      withClient(settings, async (client) => {
        try {
          const nodes = await read(client, signal)
          signal.throwIfAborted()
          const instances = believe(nodes)
          if (instances) {
            told = instances
            return instances
          }
        } catch (error) {
          // Whoever follows everything knows better than a single call.
          if (!signal.aborted && !followed) holding.doubt('outage')
          throw error
        }
        throw tooEarly()
      }),
    watch: (events, signal) => withClient(settings, (client) => watchWith(client, events, signal)),
  }
}

const LOOK_MS = 1000
const REREAD_MS = 60_000

const newestOf = (nodes: readonly NodeFacts[]): number => nodes.reduce((most, { index }) => Math.max(most, index), 0)

const tooEarly = () =>
  new HostlerError(
    'CONSUL_EARLY',
    'Consul is back and has not looked at everything yet; what was known before counts until it has, for at most 35 s',
  )

async function withClient<T>(access: ConsulAccess, use: (client: ConsulClient) => Promise<T>): Promise<T> {
  const client = createConsulClient(access)
  try {
    return await use(client)
  } finally {
    await client.close()
  }
}

const isSame = (a: readonly Instance[], b: readonly Instance[]) =>
  a.length === b.length && a.every((instance, index) => instance === b[index])
