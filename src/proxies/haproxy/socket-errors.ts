import { codeOf, HostlerError } from '../../lib/errors.js'

/** What may go wrong at any socket of HAProxy's; `text` is the command, never a payload. */

export function socketUnreachable(path: string, text: string, openedBy: string, cause: unknown): HostlerError {
  const remedy =
    codeOf(cause) === 'EACCES'
      ? `Hostler may not use it: run both as the same user, or widen its mode where \`${openedBy}\` opens it.`
      : `Is HAProxy running with \`${openedBy}\` and this path?`
  return new HostlerError(
    'HAPROXY_SOCKET_UNREACHABLE',
    `\`${text}\` was not answered at HAProxy's socket ${path}. ${remedy}`,
    { cause },
  )
}

export function socketTimedOut(path: string, text: string, ms: number): HostlerError {
  return new HostlerError(
    'HAPROXY_SOCKET_TIMEOUT',
    `\`${text}\` at HAProxy's socket ${path} was not answered within ${ms} ms. Is HAProxy overloaded or stopped (SIGSTOP)?`,
  )
}

export function socketTooLong(path: string, text: string, bytes: number): HostlerError {
  return new HostlerError(
    'HAPROXY_SOCKET_TOO_LONG',
    `\`${text}\` at HAProxy's socket ${path} was answered with more than ${bytes} bytes; the reply was dropped.`,
  )
}
