import type { Logger } from '../../lib/logger.js'
import type { Backend } from '../../model/plan.js'
import { shortened } from './verdicts.js'

/** What a backend asks for that Traefik v3 cannot do for HTTP services; empty for most. */
export function unsupportedBy({ servers, healthCheck }: Backend): string[] {
  return [
    ...(servers.some(({ proxyProtocol }) => proxyProtocol !== undefined) ? ['the PROXY protocol towards servers'] : []),
    ...(servers.some(({ maxconn }) => maxconn !== undefined) ? ['a connection limit per server'] : []),
    ...(servers.some(({ options }) => options.length > 0) ? ["options of HAProxy's server line"] : []),
    ...(healthCheck && !/^(\d{3}|200-399)$/.test(healthCheck.status)
      ? [`the health check status ${healthCheck.status} (2xx and 3xx count instead)`]
      : []),
  ]
}

/** Says once for each backend what it asks for in vain, and keeps it for `hostler status`. */
export function createUnsupported(log: Logger) {
  const checked = new WeakMap<Backend, readonly string[]>()
  let lines: string[] = []

  function lookAtOne(backend: Backend): readonly string[] {
    const known = checked.get(backend)
    if (known) return known
    const unsupported = unsupportedBy(backend)
    checked.set(backend, unsupported)
    if (unsupported.length > 0) {
      log.warn({ backend: backend.name, unsupported }, 'Traefik cannot do everything that labels ask for')
    }
    return unsupported
  }

  return {
    lookAt(backends: readonly Backend[]): void {
      lines = backends.flatMap((backend) => lookAtOne(backend).map((what) => `${backend.name}: ${what}`))
    },
    describe: (): Record<string, string> => (lines.length === 0 ? {} : { unsupported: shortened(lines) }),
  }
}
