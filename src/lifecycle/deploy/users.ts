import { readFile, stat } from 'node:fs/promises'
import { HostlerError } from '../../lib/errors.js'
import type { Logger } from '../../lib/logger.js'
import { hashPassword, type PasswordHash, parsePasswordHash, verifyPassword } from './passwords.js'

/** Who may log in. */
export interface Users {
  /** Takes as long for an unknown user as for a wrong password. @throws HostlerError `USERS` when the file cannot be read */
  verify(user: string, password: string): Promise<boolean>
}

/** @param path a line `user,hash` each; read again when it changes. Empty: there is nobody */
export function createUsers(path: string, log: Logger): Users {
  let someHash: Promise<PasswordHash> | undefined
  const stranger = () => {
    someHash ??= hashPassword('nobody knows it').then((text) => parsePasswordHash(text) as PasswordHash)
    return someHash
  }
  let known: { readonly version: string; readonly hashes: ReadonlyMap<string, PasswordHash> } | undefined

  async function read(): Promise<ReadonlyMap<string, PasswordHash>> {
    if (path === '') return new Map()
    try {
      const { mtimeMs, size, ino } = await stat(path)
      const version = `${mtimeMs} ${size} ${ino}`
      if (known?.version !== version) known = { version, hashes: parseUsers(await readFile(path, 'utf8'), path, log) }
      return known.hashes
    } catch (cause) {
      throw new HostlerError('USERS', `the users file ${path} cannot be read; see deploy.usersFile`, { cause })
    }
  }

  return {
    async verify(user, password) {
      const hash = (await read()).get(user)
      const isRight = await verifyPassword(password, hash ?? (await stranger()))
      return hash !== undefined && isRight
    },
  }
}

function parseUsers(text: string, path: string, log: Logger): Map<string, PasswordHash> {
  const users = new Map<string, PasswordHash>()
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue
    const comma = line.indexOf(',')
    const user = line.slice(0, comma).trim()
    const hash = comma < 1 ? undefined : parsePasswordHash(line.slice(comma + 1).trim())
    if (hash) users.set(user, hash)
    // The line itself may hold half a password.
    else log.warn({ path, line: index + 1 }, 'a line of the users file is not "user,hash" and is ignored')
  }
  const weak = [...users].filter(([, { kind }]) => kind === 'sha256').map(([user]) => user)
  if (weak.length > 0)
    log.warn(
      { path, users: weak },
      'these passwords are kept as plain SHA-256; make better lines with "hostler password"',
    )
  return users
}
