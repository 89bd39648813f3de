import type { Clock } from '../../../lib/clock.js'
import type { Logger } from '../../../lib/logger.js'
import { verified } from './replies.js'
import type { RuntimeSocket } from './socket.js'
import { commandLine } from './socket-command.js'
import { type MapVersions, parseMapVersions } from './state-dumps.js'
import type { Running } from './types.js'

/**
 * Versions of maps that were prepared and never committed: whoever filled them was killed meanwhile. HAProxy keeps them, 330
 * bytes an entry on 2.6, until another version is committed or the worker ends. They serve nobody.
 */
export interface MapLeftovers {
  /**
   * Looks for them, not too often, and takes away those that have not changed since the last look: somebody who is filling
   * one is not disturbed.
   */
  sweep(running: Running, signal: AbortSignal): Promise<void>
}

export interface MapLeftoversInputs {
  readonly socket: RuntimeSocket
  /** Puts a version with these entries in place of the one in use. */
  readonly replace: (map: string, entries: ReadonlyMap<string, string>, signal: AbortSignal) => Promise<unknown>
  readonly clock: Clock
  readonly log: Logger
}

const LOOK_EVERY_MS = 60_000
/** Where there are more, they are left to the next commit. */
const MAX_VERSIONS = 1000

export function createMapLeftovers({ socket, replace, clock, log }: MapLeftoversInputs): MapLeftovers {
  let lastLook = Number.NEGATIVE_INFINITY
  let seen: ReadonlyMap<string, string> = new Map()

  const look = async (signal: AbortSignal) => parseMapVersions(await socket.ask('show map', signal))

  async function takeAway(map: string, versions: MapVersions, running: Running, signal: AbortSignal): Promise<void> {
    const { current, next, entries } = versions
    const numbers = Array.from({ length: next - current }, (_, index) => current + 1 + index)
    const commands = numbers.map((number) => commandLine('clear', 'map', `@${number}`, map))
    for (const reply of await socket.askAll(commands, signal)) verified('clear-map', reply)
    // 3.4.0 clears a version only when no older one has entries, but a commit takes away all others.
    const inUse = running.maps.get(map) ?? new Map()
    if (((await look(signal)).get(map)?.entries ?? 0) >= entries) await replace(map, inUse, signal)
    log.warn({ map, entries: entries - inUse.size }, 'took away a version of a map that was never finished')
  }

  return {
    async sweep(running, signal) {
      if (running.maps.size === 0 || clock.elapsed() - lastLook < LOOK_EVERY_MS) return
      lastLook = clock.elapsed()
      const found = new Map<string, string>()
      for (const [map, versions] of await look(signal)) {
        const { current, next, entries } = versions
        const strays = entries - (running.maps.get(map)?.size ?? entries)
        if (strays <= 0 || next <= current || next - current > MAX_VERSIONS) continue
        const state = [running.pid, current, next, entries].join()
        if (seen.get(map) === state) await takeAway(map, versions, running, signal)
        else found.set(map, state)
      }
      seen = found
    },
  }
}
