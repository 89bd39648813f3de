import { HostlerError } from '../lib/errors.js'
import type { SessionCounter } from '../lifecycle/bedtime.js'
import type { Proxy } from '../proxies/proxy.js'

/** Sessions on backends that get no new ones: what the proxies have open, and what goes through the public port. */
export function createSessionCounter(
  proxies: readonly Pick<Proxy, 'name' | 'activity'>[],
  through: (backends: Parameters<SessionCounter>[0]) => number,
): SessionCounter {
  return async (backends, signal) => {
    const names = new Set(backends.map(({ name }) => name))
    let open = through(backends)
    for (const proxy of proxies) {
      const found = await proxy.activity?.(signal)
      for (const { backend, current } of found ?? []) {
        if (!names.has(backend)) continue
        if (current === undefined) throw unknowable(proxy.name)
        open += current
      }
      if (found === undefined) throw unknowable(proxy.name)
    }
    return open
  }
}

const unknowable = (proxy: string): HostlerError =>
  new HostlerError('SESSIONS_UNKNOWN', `${proxy} does not tell how many connections are open`)
