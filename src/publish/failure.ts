import { codeOf, HostlerError } from '../lib/errors.js'

const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: 'free some space there',
  EDQUOT: 'raise the quota or free some space',
  EROFS: 'mount that folder writable',
  ENOTDIR: 'a part of that path is a file; move it away or choose another path',
  EEXIST: 'something else is in its place; move it away or choose another path',
  EISDIR: 'a folder is in its place; move it away or choose another path',
  ENOENT: 'it was taken away meanwhile, and is tried again with the next round',
  ELOOP: 'its symbolic links lead in a circle; mend them',
}

/** `action` is what was tried, on what: `writing /etc/haproxy/domain.map`. */
export function publishFailure(action: string, cause: unknown): HostlerError {
  if (cause instanceof HostlerError) return cause
  const code = codeOf(cause) ?? ''
  const remedy = REMEDIES[code] ?? (code === 'EACCES' || code === 'EPERM' ? permission() : 'see the cause')
  return new HostlerError('PUBLISH', `${action} failed: ${code || 'unexpected'}; ${remedy}`, { cause })
}

/** Runs `work`, and names `action` when it fails. */
export async function attempt<T>(action: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw publishFailure(action, error)
  }
}

/** Runs `work`; undefined when it fails with one of `codes`. */
export async function unless<T>(codes: readonly string[], work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    if (codes.includes(codeOf(error) ?? '')) return undefined
    throw error
  }
}

const permission = () => `let user ${process.getuid?.() ?? 'of this process'} write there`
