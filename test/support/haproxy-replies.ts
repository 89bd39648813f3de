import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'

const HOME = join('test', 'fixtures', 'haproxy-replies')

/** One recorded reply; see record-haproxy-replies.mjs. */
export interface Recorded {
  readonly version: string
  readonly name: string
  readonly kind: string
  readonly expect: 'done' | 'failed' | 'dump'
  readonly command: string
  readonly subject: string
  /** With the prompt that ended it. */
  readonly raw: string
}

export const recordedVersions = (): string[] => readdirSync(HOME).sort()

export function recordedReplies(version: string): Recorded[] {
  return readdirSync(join(HOME, version)).map((file) => recorded(version, basename(file, '.txt')))
}

export function recorded(version: string, name: string): Recorded {
  const text = readFileSync(join(HOME, version, `${name}.txt`), 'utf8')
  const end = text.indexOf('\n\n')
  const head = Object.fromEntries(
    text
      .slice(0, end)
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
  )
  return { version, name, raw: text.slice(end + 2), ...(head as Omit<Recorded, 'version' | 'name' | 'raw'>) }
}
