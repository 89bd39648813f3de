import { execa } from 'execa'
import { HostlerError } from '../../lib/errors.js'
import { cannotRun } from './errors.js'

export interface HaproxyVersion {
  /** As the program writes it: `2.6.12-1+deb12u4`. */
  readonly text: string
  readonly major: number
  readonly minor: number
}

const OLDEST = { major: 2, minor: 6 }

export const isSupported = ({ major, minor }: Pick<HaproxyVersion, 'major' | 'minor'>): boolean =>
  major > OLDEST.major || (major === OLDEST.major && minor >= OLDEST.minor)

/** What `haproxy -v` says. Throws HAPROXY_MISSING, or HAPROXY_TOO_OLD below 2.6. */
export async function haproxyVersion(bin: string, signal?: AbortSignal): Promise<HaproxyVersion> {
  const result = await execa(bin, ['-v'], {
    stdin: 'ignore',
    reject: false,
    timeout: 10_000,
    maxBuffer: 65_536,
    ...(signal && { cancelSignal: signal }),
  })
  signal?.throwIfAborted()
  if (result.exitCode === undefined) throw cannotRun(bin, result)
  const version = parseVersion(result.stdout)
  if (version === undefined) throw notHaproxy(bin)
  const { text } = version
  if (isSupported(version)) return version
  throw new HostlerError(
    'HAPROXY_TOO_OLD',
    `\`${bin}\` is HAProxy ${text}; Hostler needs 2.6 or later. Install a newer one or set HAPROXY_BIN.`,
  )
}

/** Reads `HAProxy version 2.6.12-1+deb12u4 2026/10/17 - …`, and `HA-Proxy version …` of releases before 2.4. */
export function parseVersion(text: string): HaproxyVersion | undefined {
  const match = /^HA-?Proxy version ((\d+)\.(\d+)\S*)/m.exec(text)
  if (match === null) return undefined
  return { text: match[1] ?? '', major: Number(match[2]), minor: Number(match[3]) }
}

function notHaproxy(bin: string): HostlerError {
  return new HostlerError(
    'HAPROXY_MISSING',
    `\`${bin} -v\` does not say which HAProxy it is. Set HAPROXY_BIN to the HAProxy program.`,
  )
}
