import { messageOf } from '../lib/errors.js'
import type { Logger } from '../lib/logger.js'
import { withDeadline } from '../lib/signals.js'
import type { GroupMember } from '../model/groups.js'
import type { LabelRules, RouteWish } from '../model/wishes.js'
import { askStatus, type ProbeTarget } from './probe.js'
import { probeTargets } from './probe-targets.js'
import type { Profile } from './profile.js'

/** Asks apps that want to be asked before they are put to sleep. */
export interface Vetoes {
  /** @returns who says no, and how; undefined when nobody does */
  ask(profile: Profile, signal: AbortSignal): Promise<string | undefined>
}

export interface VetoInputs {
  /** By which a container's address is found: nothing but the container itself is ever asked. */
  readonly rules: LabelRules
  readonly log: Logger
  readonly timeoutMs?: number
}

export function createVetoes({ rules, log, timeoutMs = 5000 }: VetoInputs): Vetoes {
  /** Containers that could not be asked; each is told once. */
  const silent = new Set<string>()

  async function askOne(member: GroupMember, path: string, signal: AbortSignal): Promise<string | undefined> {
    const { name } = member.instance
    try {
      const status = await withDeadline({ timeoutMs, what: 'its answer' }, signal, (until) => {
        const target = targetOf(member, rules)
        if (target?.check === undefined) throw new Error('its port cannot be reached')
        return askStatus(target, { path, host: target.check.host }, until)
      })
      silent.delete(member.key)
      return status >= 200 && status < 300 ? undefined : `${name} answers ${status}`
    } catch (err) {
      signal.throwIfAborted()
      if (!silent.has(member.key))
        log.warn({ container: name, path, err }, 'a container cannot be asked whether it may sleep, so it stays up')
      silent.add(member.key)
      return `${name} cannot be asked: ${messageOf(err)}`
    }
  }

  return {
    async ask({ running }, signal) {
      for (const member of running) {
        const { veto } = member.wishes.lifecycle
        const no = veto ? await askOne(member, veto.path, signal) : undefined
        if (no !== undefined) return no
      }
      return undefined
    },
  }
}

/** The port of its own that the label names, else the one that its traffic goes to. */
function targetOf({ wishes }: GroupMember, rules: LabelRules): ProbeTarget | undefined {
  const { path, port } = wishes.lifecycle.veto ?? { path: '/' }
  const route = wishes.routes[0] ?? (port === undefined ? undefined : { ...BARE, port })
  if (route === undefined) return undefined
  const healthCheck = { path, status: '200-299', intervalMs: 0, timeoutMs: 0, ...(port !== undefined && { port }) }
  return probeTargets({ ...wishes, routes: [{ ...route, healthCheck }] }, rules)[0]
}

/** Of a container that gets no traffic. */
const BARE: Omit<RouteWish, 'port'> = {
  ...{ name: '', hosts: [], path: '/', stripPath: false, scheme: 'http', sticky: false, options: [] },
}
