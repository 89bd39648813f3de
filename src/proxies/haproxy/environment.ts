import { dirname, join, resolve } from 'node:path'
import type { Settings } from '../../config/schema.js'

/**
 * Where HAProxy's sockets lie: those of one that we supervise, or of one that runs elsewhere. Absolute, for HAProxy takes a
 * path without a leading slash for an address.
 */
export function socketsOf({ stateDir, haproxy }: Settings): { master: string; stats: string } {
  const master = resolve(haproxy.masterSocket || join(stateDir, 'haproxy-master.sock'))
  return { master, stats: resolve(haproxy.statsSocket || join(dirname(master), 'haproxy-admin.sock')) }
}

/**
 * What the base configuration is read with besides our own environment: the settings in force, under the names that
 * predecessor 1 gave them.
 */
export function haproxyEnvironment(settings: Settings): Record<string, string> {
  const { stats, syslog, haproxy, https, domain } = settings
  return {
    STACK_DOMAIN: domain,
    SYSLOG_HOST: syslog.host,
    SYSLOG_FACILITY: syslog.facility,
    ENABLE_STATS: String(stats.enabled),
    STATS_PORT: String(stats.port),
    STATS_USERNAME: stats.username,
    STATS_PASSWORD: stats.password,
    ENABLE_SSL: String(https.enabled),
    HAPROXY_DOMAIN_MAP: resolve(haproxy.domainMap),
    HAPROXY_SSL_CERT: resolve(haproxy.sslCert),
    HAPROXY_STATS_SOCKET: socketsOf(settings).stats,
    HAPROXY_MAX_OLD_WORKERS: String(haproxy.maxOldWorkers),
    HAPROXY_HARD_STOP_AFTER: haproxy.hardStopAfter === 0 ? '0' : `${haproxy.hardStopAfter}ms`,
  }
}
