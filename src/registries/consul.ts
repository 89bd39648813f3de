import type { ConsulAccess } from '../lib/consul/address.js'
import { HostlerError, messageOf } from '../lib/errors.js'
import { maskCredentials } from '../lib/mask.js'
import { printable } from '../lib/printable.js'
import { type Instance, keyOf } from '../model/instance.js'
import { createWishReader } from '../model/reader.js'
import { type ConsulAgent, createConsulAgent, type Outcome } from './consul/agent.js'
import {
  ADDRESS_FIELDS,
  type Asked,
  addressOf,
  askedBy,
  type Entry,
  type EntryRules,
  maintenanceOf,
} from './consul/entries.js'
import type { AskedEntry } from './consul/writer.js'
import type { AnnouncedFacts, Registry, RegistryContext } from './registry.js'

export interface ConsulRegistrySettings extends ConsulAccess {
  readonly idSchema: string
  readonly nameScheme: string
  readonly cleanupId: string
  readonly tag: string
  /** 0: what is announced outlives us for ever. */
  readonly lease: number
  /** What this process is called. */
  readonly announcer: string
  /** Where other hosts reach this host; empty: not. */
  readonly hostAddress: string
}

/** Announces containers as services of Consul: those with predecessor 5's labels, and those that take part by our own. */
export function createConsulRegistry(
  settings: ConsulRegistrySettings,
  { rules, log, clock }: RegistryContext,
): Registry {
  checkAddress(settings.url)
  const { lease: leaseMs } = settings
  const entryRules: EntryRules = { ...settings, leaseMs, rules, read: createWishReader(rules) }
  const agents = new Map<string, ConsulAgent>()
  const asked = createMemory((instance) => askedBy(instance, entryRules))
  const running: Promise<void>[] = []
  let keep: ((agent: ConsulAgent) => void) | undefined
  let last: AnnouncedFacts | undefined
  let swept = false

  function agentAt(url: string): ConsulAgent {
    const found = agents.get(url)
    if (found) return found
    const agent = createConsulAgent({ ...settings, leaseMs, access: { ...settings, url }, log, clock })
    agents.set(url, agent)
    keep?.(agent)
    return agent
  }

  /**
   * Agents to which an earlier process has announced something, and this one nothing: once, for those that it does announce to
   * are known from then on.
   */
  async function sweep(signal: AbortSignal): Promise<PromiseSettledResult<Outcome>[]> {
    const [some] = agents.values()
    if (!some || !isByHost(settings.url)) return []
    const nodes = await some.nodesWithOurs(signal)
    swept = true
    const fields = new Map([['announcer', settings.announcer]])
    const urls = nodes.map((host) => addressOf(settings.url, new Map([...fields, ['host', host]])))
    const left = { entries: new Map(), isWhole: true, isKept: () => false, afresh: true }
    const found = urls.filter((url) => !agents.has(url))
    return Promise.all(
      found.map(async (url): Promise<PromiseSettledResult<Outcome>> => {
        const agent = createConsulAgent({ ...settings, leaseMs: 0, access: { ...settings, url }, log, clock })
        try {
          return { status: 'fulfilled', value: await agent.sync(left, signal) }
        } catch (error) {
          signal.throwIfAborted()
          const troubles = [`what was announced to ${url} earlier cannot be taken back: ${messageOf(error)}`]
          return { status: 'fulfilled', value: { entries: 0, written: 0, removed: 0, troubles } }
        } finally {
          await agent.close()
        }
      }),
    )
  }

  // Where there is only one, it is looked after even when nothing is announced there.
  if (!hasPlaceholder(settings.url)) agentAt(settings.url)

  return {
    name: 'consul',
    async sync(facts, signal) {
      const wish = gather(facts, asked, (entry) => agentAt(entry.url))
      const afresh = isSame(last, facts)
      const outcomes = await Promise.allSettled(
        [...agents].map(([url, agent]) =>
          agent.sync(
            { entries: wish.byAgent.get(url) ?? new Map(), isWhole: facts.isWhole, isKept: wish.isKept, afresh },
            signal,
          ),
        ),
      )
      last = facts
      if (facts.isWhole && !swept) outcomes.push(...(await sweep(signal)))
      const sum: Outcome = { entries: 0, written: 0, removed: 0, troubles: [...wish.troubles] }
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') throw outcome.reason
        sum.entries += outcome.value.entries
        sum.written += outcome.value.written
        sum.removed += outcome.value.removed
        sum.troubles.push(...outcome.value.troubles)
      }
      return sum
    },
    async check(signal) {
      const counts = [...agents].map(async ([, agent]) => `${await agent.count(signal)} services at ${agent.shown}`)
      return (await Promise.all(counts)).join(', ') || 'its agents are known once something runs'
    },
    async run(disturbed, signal) {
      keep = (agent) => void running.push(agent.run(disturbed, signal))
      for (const agent of agents.values()) keep(agent)
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve()
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
      keep = undefined
      await Promise.all(running)
    },
    async withdraw(signal) {
      const ends = await Promise.allSettled([...agents.values()].map((agent) => agent.withdraw(signal)))
      for (const end of ends) if (end.status === 'rejected') throw end.reason
    },
    async close() {
      await Promise.all([...agents.values()].map((agent) => agent.close()))
    },
  }
}

const hasPlaceholder = (url: string): boolean => /%[A-Za-z0-9_-]+%/.test(url)

/** The host alone tells which agent it is. */
const isByHost = (url: string): boolean => /%host%/i.test(url) && !/%environment%/i.test(url)

function checkAddress(url: string): void {
  for (const [placeholder, name = ''] of url.matchAll(/%([A-Za-z0-9_-]+)%/g)) {
    if (ADDRESS_FIELDS.includes(name.toLowerCase())) continue
    const known = ADDRESS_FIELDS.map((field) => `%${field.toUpperCase()}%`).join(', ')
    const reason = 'a label could send our token anywhere'
    throw new HostlerError(
      'CONFIG',
      `${maskCredentials(url)}: ${placeholder} may not stand in Consul's address, for ${reason}; use ${known}`,
    )
  }
}

/** Asked again only when the instance is another object. */
function createMemory(ask: (instance: Instance) => Asked): (instance: Instance) => Asked {
  const known = new WeakMap<Instance, Asked>()
  return (instance) => {
    const found = known.get(instance) ?? ask(instance)
    known.set(instance, found)
    return found
  }
}

interface Wish {
  readonly byAgent: ReadonlyMap<string, ReadonlyMap<string, AskedEntry>>
  readonly troubles: readonly string[]
  readonly isKept: (instance: string) => boolean
}

function gather(facts: AnnouncedFacts, ask: (instance: Instance) => Asked, reach: (entry: Entry) => ConsulAgent): Wish {
  const byAgent = new Map<string, Map<string, AskedEntry>>()
  const troubles: string[] = []
  const partial = new Set<string>()
  for (const instance of facts.instances) {
    const { entries, troubles: own, isPartial } = ask(instance)
    troubles.push(...own)
    if (isPartial) partial.add(keyOf(instance).slice(0, 255))
    const maintenance = maintenanceOf(instance, facts.draining.has(keyOf(instance)))
    for (const entry of entries) {
      const trouble = reachable(entry, reach) ?? add(byAgent, entry, maintenance)
      if (trouble === undefined) continue
      troubles.push(`container ${printable(instance.name, 120)}: ${trouble}`)
      partial.add(keyOf(instance).slice(0, 255))
    }
  }
  return { byAgent, troubles, isKept: (instance) => partial.has(instance) }
}

function reachable(entry: Entry, reach: (entry: Entry) => ConsulAgent): string | undefined {
  try {
    reach(entry)
    return undefined
  } catch (error) {
    return messageOf(error)
  }
}

/** @returns what is wrong: two containers cannot be one entry, unless they are behind one and the same endpoint */
function add(byAgent: Map<string, Map<string, AskedEntry>>, entry: Entry, maintenance?: string): string | undefined {
  const here = byAgent.get(entry.url) ?? new Map<string, AskedEntry>()
  byAgent.set(entry.url, here)
  const { ID, Name, Address, Port } = entry.service
  const other = here.get(ID)?.entry
  if (!other) {
    here.set(ID, { entry, ...(maintenance !== undefined && { maintenance }) })
    return undefined
  }
  const { service } = other
  if (service.Name === Name && service.Address === Address && service.Port === Port) return undefined
  return `its id ${ID} is that of container ${printable(other.container, 120)} too; set rancon.name, or an id schema with %HOST% and %PORT%`
}

const isSame = (a: AnnouncedFacts | undefined, b: AnnouncedFacts): boolean =>
  a !== undefined &&
  a.isWhole === b.isWhole &&
  a.instances.length === b.instances.length &&
  a.instances.every((instance, at) => instance === b.instances[at]) &&
  a.draining.size === b.draining.size &&
  [...a.draining].every((key) => b.draining.has(key))
