import { execFileSync } from 'node:child_process'
import { describe } from '@jest/globals'
import { describeWith } from './servers.js'

/** A HAProxy program that a suite runs on. */
export interface HaproxyProgram {
  readonly bin: string
  readonly version: string
  /** Not the installed one: a long test may be shorter on it. */
  readonly extra: boolean
  readonly atLeast: (major: number, minor: number) => boolean
}

const listed = (name: string, separator: string) => (process.env[name] ?? '').split(separator).filter(Boolean)

/** The installed one, and those that HAPROXY_BINS names (separated by colons); of equal versions the first. */
export const haproxyPrograms: readonly HaproxyProgram[] = ['haproxy', ...listed('HAPROXY_BINS', ':')]
  .flatMap((bin) => programOf(bin))
  .filter(({ version }, i, all) => all.findIndex((other) => other.version === version) === i)

/** Versions that scripts/extra-haproxys.mjs could not get. */
const lacking = listed('MISSING_HAPROXYS', ',')

/**
 * A suite for each HAProxy there is. For each that could not be had it is reported as skipped, and so it is where something
 * else is missing that it needs.
 */
export function describeHaproxys(
  needs: readonly string[],
  title: string,
  suite: (program: HaproxyProgram) => void,
): void {
  const titled = (version: string) => `${title}, HAProxy ${version}`
  for (const program of haproxyPrograms) describeWith(needs, titled(program.version), () => suite(program))
  if (haproxyPrograms.length === 0)
    describeWith(['haproxy', ...needs], title, () => suite(programNamed('haproxy', '0.0')))
  for (const version of lacking) {
    describe.skip(`${titled(version)} (not to be had here)`, () => suite(programNamed('', version)))
  }
}

function programOf(bin: string): HaproxyProgram[] {
  let said: string
  try {
    said = execFileSync(bin, ['-v'], { encoding: 'utf8' })
  } catch (cause) {
    if (bin === 'haproxy') return []
    throw new Error(`${bin}, which HAPROXY_BINS names, does not run`, { cause })
  }
  return [programNamed(bin, /version (\d+\.\d+\S*)/.exec(said)?.[1] ?? '')]
}

function programNamed(bin: string, version: string): HaproxyProgram {
  const [x = 0, y = 0] = version.split('.', 2).map((part) => Number.parseInt(part, 10))
  return { bin, version, extra: bin !== 'haproxy', atLeast: (major, minor) => x > major || (x === major && y >= minor) }
}
