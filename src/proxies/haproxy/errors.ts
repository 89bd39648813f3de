import { codeOf, HostlerError, messageOf } from '../../lib/errors.js'

/** Why the HAProxy program could not be run at all, with the remedy; `error` is what starting it threw. */
export function cannotRun(bin: string, error: unknown): HostlerError {
  const code = causeCode(error)
  if (code === 'ENOENT') {
    return new HostlerError(
      'HAPROXY_MISSING',
      `The HAProxy program \`${bin}\` was not found. Install it (Debian: \`apt-get install haproxy\`) or set HAPROXY_BIN to its path.`,
      { cause: error },
    )
  }
  if (code === 'EACCES') {
    return new HostlerError(
      'HAPROXY_MISSING',
      `The HAProxy program \`${bin}\` may not be executed by this user. Mend its permissions or set HAPROXY_BIN.`,
      { cause: error },
    )
  }
  return new HostlerError('HAPROXY_MISSING', `\`${bin}\` could not be run: ${messageOf(error)}`, { cause: error })
}

function causeCode(error: unknown): string | undefined {
  return codeOf(error) ?? (error instanceof Error ? codeOf(error.cause) : undefined)
}
