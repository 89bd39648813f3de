import { describeSettings } from '../config/describe.js'
import type { LoadedConfig } from '../config/load.js'
import { table } from './table.js'

/**
 * What `hostler config` prints: one line per setting with its key, its value as a user would write it and, with
 * `showOrigins`, where that came from. Secrets and passwords in URLs are masked. Ends in a line break.
 */
export function formatConfig(loaded: LoadedConfig, { showOrigins = true }: { showOrigins?: boolean } = {}): string {
  const rows = describeSettings(loaded).map(({ key, value, origin }) =>
    showOrigins ? [key, value === '' ? '–' : value, origin] : [key, value === '' ? '–' : value],
  )
  return `${table(rows).flat().join('\n')}\n`
}
