import type { ConsulClient } from '../../lib/consul/client.js'
import { messageOf } from '../../lib/errors.js'
import type { AgentService, Entry } from './entries.js'
import { isWritten, type Present, presentOf } from './present.js'

/** What shall be at an agent. */
export interface AskedEntry {
  readonly entry: Entry
  /** Why it gets no traffic. */
  readonly maintenance?: string
}

/** Writes single entries to one agent, and knows which were written as they are. */
export interface Writer {
  /** Nothing is to be written; told without a look at each field where it was looked at before. */
  isSettled(asked: AskedEntry, present: Present): boolean
  /** @returns what is there now, and whether that took a write */
  write(asked: AskedEntry, present: Present | undefined, signal: AbortSignal): Promise<Written>
  remove(id: string, signal: AbortSignal): Promise<void>
}

export interface Written {
  readonly present: Present
  readonly isChanged: boolean
}

export function createWriter(client: ConsulClient): Writer {
  /** Ids that this process has announced before. */
  const told = new Set<string>()
  /** What an agent has, and what we asked for that came to that. */
  const asWritten = new WeakMap<Present, AgentService>()

  return {
    isSettled: ({ entry, maintenance }, present) =>
      present.isInMaintenance === (maintenance !== undefined) && asWritten.get(present) === entry.service,

    async write(asked, present, signal) {
      const { service } = asked.entry
      const calls = callsFor(asked, present, told.has(service.ID))
      for (const [path, body] of calls) await client.put(path, body, signal, { mayMiss: isRemoval(path) })
      const now = calls.length > 0 || !present ? presentOf(service, asked.maintenance !== undefined) : present
      told.add(service.ID)
      asWritten.set(now, service)
      return { present: now, isChanged: calls.length > 0 }
    },

    async remove(id, signal) {
      await deregister(client, id, signal)
      told.delete(id)
    },
  }
}

/** Takes a service away; one that is gone already is no error. */
export async function deregister(client: ConsulClient, id: string, signal: AbortSignal): Promise<void> {
  try {
    await client.put(`/agent/service/deregister/${encodeURIComponent(id)}`, undefined, signal, { mayMiss: true })
  } catch (error) {
    // Some versions answer 500 for that, and others 404.
    if (!/unknown service/i.test(messageOf(error))) throw error
  }
}

const isRemoval = (path: string): boolean => path.startsWith('/agent/check/deregister/')

type Call = readonly [path: string, body: unknown]

/** The calls that lead from what is there to what is asked for. Traffic is taken away before all else, and given back after it. */
function callsFor(
  { entry: { service }, maintenance }: AskedEntry,
  present: Present | undefined,
  isAgain: boolean,
): Call[] {
  const calls = entryCalls(service, present, isAgain)
  const isOut = maintenance !== undefined
  if ((present?.isInMaintenance ?? false) === isOut) return calls
  const how = isOut ? `enable=true&reason=${encodeURIComponent(maintenance)}` : 'enable=false'
  const turn: Call = [`/agent/service/maintenance/${encodeURIComponent(service.ID)}?${how}`, undefined]
  return isOut && present ? [turn, ...calls] : [...calls, turn]
}

function entryCalls(service: AgentService, present: Present | undefined, isAgain: boolean): Call[] {
  const calls: Call[] = []
  const stuck = stuckChecks(service, present)
  for (const id of stuck) calls.push([`/agent/check/deregister/${encodeURIComponent(id)}`, undefined])
  if (!present || stuck.length > 0) calls.push(['/agent/service/register', anew(service, isAgain)])
  else if (!isWritten(present, service)) calls.push(['/agent/service/register', service])
  const wanted = new Set(service.Checks.map(({ CheckID }) => CheckID))
  for (const id of present?.checks ?? []) {
    if (!wanted.has(id)) calls.push([`/agent/check/deregister/${encodeURIComponent(id)}`, undefined])
  }
  return calls
}

/**
 * An agent that has started again now and then loses the first look of a check that follows another one (Consul 1.8.7: one in a
 * few hundred). It says critical until the next look, a minute later, unless it is made anew.
 */
const stuckChecks = ({ Checks }: AgentService, present: Present | undefined): string[] =>
  Checks.filter(({ CheckID, AliasService }) => AliasService !== undefined && present?.unmade.has(CheckID)).map(
    ({ CheckID }) => CheckID,
  )

/**
 * A check is critical in Consul until it was made for the first time. That is no news where we live, and none where only the
 * agent has forgotten what it knew: traffic would stop for it.
 */
const anew = (service: AgentService, isAgain: boolean): object => ({
  ...service,
  Checks: service.Checks.map((check) =>
    isAgain || check.AliasService !== undefined ? { ...check, Status: 'passing' } : check,
  ),
})
