import { execFileSync } from 'node:child_process'

/** A HAProxy program that a suite runs on. */
export interface HaproxyProgram {
  readonly bin: string
  readonly version: string
  readonly atLeast: (major: number, minor: number) => boolean
}

/** The installed HAProxy, and those that the environment variable HAPROXY_BINS names (separated by colons). */
export const haproxyPrograms: readonly HaproxyProgram[] = ['haproxy', ...(process.env['HAPROXY_BINS'] ?? '').split(':')]
  .filter(Boolean)
  .flatMap((bin) => programOf(bin))

function programOf(bin: string): HaproxyProgram[] {
  let said: string
  try {
    said = execFileSync(bin, ['-v'], { encoding: 'utf8' })
  } catch {
    return []
  }
  const [, version = '', x, y] = /version ((\d+)\.(\d+)\S*)/.exec(said) ?? []
  const atLeast = (major: number, minor: number) => Number(x) > major || (Number(x) === major && Number(y) >= minor)
  return [{ bin, version, atLeast }]
}
