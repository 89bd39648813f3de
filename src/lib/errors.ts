import { types } from 'node:util'

/**
 * The one error type of the project. `code` is stable and greppable; the message says what was tried, on what, and
 * what to do about it; `cause` keeps the error that started it.
 */
export class HostlerError extends Error {
  override readonly name = 'HostlerError'
  constructor(
    readonly code: string,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options)
  }
}

/** The message of anything that was thrown, causes included: `reading x failed: ENOENT: no such file`. */
export function messageOf(error: unknown): string {
  // Not instanceof: an error of another realm (a vm context, a worker) is an error too.
  if (!types.isNativeError(error)) return String(error)
  const [cause = ''] = error.cause === undefined ? [] : messageOf(error.cause).split('\n')
  if (cause === '' || error.message.includes(cause)) return error.message
  return error.message.endsWith('.') ? `${error.message} (${cause})` : `${error.message}: ${cause}`
}

/** The `code` of a Node.js system error or of ours; undefined for anything else. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
