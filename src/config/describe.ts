import { formatDuration } from '../lib/duration.js'
import { maskCredentials } from '../lib/mask.js'
import { catalogue, type SettingEntry } from './catalogue.js'
import type { LoadedConfig } from './load.js'
import type { Settings } from './schema.js'
import type { Listen } from './values.js'

/** One setting in force. */
export interface DescribedSetting {
  readonly key: string
  /** As a user would write it; secrets and passwords in URLs are masked. */
  readonly value: string
  /** `default`, a file's path, `env STACK_DOMAIN` or `flag`. */
  readonly origin: string
}

const MASK = '********'

/** Every setting in force, in the schema's order. */
export const describeSettings = ({ settings, origins }: LoadedConfig): DescribedSetting[] =>
  catalogue.map((entry) => ({
    key: entry.key,
    value: written(entry, valueAt(settings, entry.key)),
    origin: origins.get(entry.key) ?? 'default',
  }))

const valueAt = (settings: Settings, key: string): unknown =>
  key.split('.').reduce<unknown>((node, name) => (node as Readonly<Record<string, unknown>>)[name], settings)

function written(entry: SettingEntry, value: unknown): string {
  if (value === undefined) return entry.fallback === '' ? '' : 'none'
  if (entry.secret) return value === '' ? '' : MASK
  if (entry.kind === 'duration') return formatDuration(Number(value))
  if (Array.isArray(value)) return maskCredentials(value.join(','))
  if (isListen(value)) return `${value.host.includes(':') ? `[${value.host}]` : value.host}:${value.port}`
  return maskCredentials(String(value))
}

const isListen = (value: unknown): value is Listen => typeof value === 'object' && value !== null && 'port' in value

/** The settings as a Markdown table: what docs/settings.md holds between its `settings` markers. */
export const settingsTable = (): string =>
  ['| key | environment | default | meaning |', '|---|---|---|---|', ...catalogue.map(row)].join('\n')

const row = ({ key, env, fallback, description }: SettingEntry): string =>
  `| ${[code(key), env.map(code).join('<br>'), fallback === '' ? '–' : code(fallback), cell(description)].join(' | ')} |`

const code = (text: string): string => `\`${cell(text)}\``

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')
