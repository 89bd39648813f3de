import { randomUUID } from 'node:crypto'
import type { ConsulAccess } from '../lib/consul/address.js'
import { createWishReader } from '../model/reader.js'
import { readTemplate } from './consul/address.js'
import { createConsulAgent } from './consul/agent.js'
import { createAgents } from './consul/agents.js'
import type { Outcome } from './consul/attempts.js'
import { askedBy, type EntryRules } from './consul/entries.js'
import { createMemory } from './consul/memory.js'
import { createSweep } from './consul/sweep.js'
import { gather, isSame, remembered, type Wish } from './consul/wish.js'
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
  /** What is there is looked at when the last look is older than this, in milliseconds. */
  readonly lookMs: number
  /** Where agents are remembered, when the address of Consul has placeholders. */
  readonly stateDir: string
}

/** Announces containers as services of Consul: those with predecessor 5's labels, and those that take part by our own. */
export function createConsulRegistry(
  settings: ConsulRegistrySettings,
  { rules, log, clock }: RegistryContext,
): Registry {
  const { lease: leaseMs, announcer, cleanupId } = settings
  const template = readTemplate(settings.url)
  const entryRules: EntryRules = { ...settings, template, leaseMs, rules, read: createWishReader(rules) }
  const ask = remembered((instance) => askedBy(instance, entryRules))
  const inputs = { ...settings, leaseMs, process: randomUUID(), isOnlyOne: template.isFixed, log, clock }
  const create = (url: string) => createConsulAgent({ ...inputs, access: { ...settings, url } })
  const agents = createAgents({ isFixed: template.isFixed, leaseMs, create, clock })
  const sweep = createSweep({ template, announcer, agents, clock })
  const memory = createMemory({ dir: settings.stateDir, identity: [template.bare(settings.url), cleanupId], log })
  let sweeping: Promise<unknown> = Promise.resolve()
  let isRecalled = template.isFixed
  let last: AnnouncedFacts | undefined

  // Where there is only one, it is looked after even when nothing is announced there.
  if (template.isFixed) agents.add(settings.url)

  async function recall(): Promise<void> {
    if (isRecalled) return
    isRecalled = true
    for (const address of await memory.recall()) {
      try {
        agents.add(template.whole(address))
      } catch (err) {
        log.warn({ err }, 'an address of an earlier run is none')
      }
    }
  }

  async function note(): Promise<void> {
    if (!template.isFixed) await memory.note(agents.all().map(({ url }) => template.bare(url)))
  }

  async function swept(wish: Wish, outcome: Outcome, signal: AbortSignal): Promise<Outcome> {
    const looking = sweep.look(signal)
    if (agents.isRunning()) {
      sweeping = looking.then((isMore) => isMore && agents.ring()).catch(() => undefined)
      return outcome
    }
    if (!(await looking)) return outcome
    const more = await agents.sync({ ...wish, afresh: false }, signal)
    return { ...more, written: outcome.written + more.written, removed: outcome.removed + more.removed }
  }

  return {
    name: 'consul',
    async sync(facts, signal) {
      await recall()
      const wish = { ...gather(facts, ask, agents.add), afresh: isSame(last, facts) }
      await note()
      last = facts
      const first = await agents.sync(wish, signal)
      const { troubles, ...counts } = facts.isWhole ? await swept(wish, first, signal) : first
      await note()
      return { ...counts, troubles: [...wish.troubles, ...troubles, ...sweep.troubles()] }
    },
    async check(signal) {
      const counts = agents.all().map(async ({ agent }) => `${await agent.count(signal)} services at ${agent.shown}`)
      return (await Promise.all(counts)).join(', ') || 'its agents are known once something runs'
    },
    run: (disturbed, signal) => agents.run(disturbed, signal),
    withdraw: (signal) => agents.withdraw(signal),
    async close() {
      await agents.close()
      await sweeping
    },
  }
}
