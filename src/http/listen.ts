import type { Listen } from '../config/values.js'
import { codeOf, HostlerError } from '../lib/errors.js'

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process listens there; stop it, or choose another address',
  EACCES: 'this user may not listen on that port; choose one above 1023',
  EADDRNOTAVAIL: 'this machine has no such address; choose one of its own',
  ENOTFOUND: 'this name has no address; write an IP address',
}

/** @param setting as people write it: `private.listen (HOSTLER_PRIVATE_LISTEN)` */
export function listenError(error: unknown, { host, port }: Listen, setting: string): HostlerError {
  const address = `${host.includes(':') ? `[${host}]` : host}:${port}`
  const reason = REASONS[codeOf(error) ?? ''] ?? 'choose another address'
  return new HostlerError('LISTEN', `cannot listen on ${address}: ${reason} with ${setting}`, { cause: error })
}
