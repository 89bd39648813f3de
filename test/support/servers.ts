import { describe } from '@jest/globals'

const missing = new Set((process.env['MISSING_SERVERS'] ?? '').split(',').filter(Boolean))

/** A suite that needs real servers (names of scripts/servers.mjs): skipped by name where they cannot be had. */
export function describeWith(servers: readonly string[], title: string, suite: () => void): void {
  const absent = servers.filter((server) => missing.has(server))
  const run = absent.length === 0 ? describe : describe.skip
  run(absent.length === 0 ? title : `${title} (needs ${absent.join(', ')})`, suite)
}
