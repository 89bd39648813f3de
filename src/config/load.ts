import { existsSync, readFileSync } from 'node:fs'
import { parse } from 'yaml'
import type { z } from 'zod'
import { HostlerError, messageOf } from '../lib/errors.js'
import { maskCredentials } from '../lib/mask.js'
import { didYouMean } from '../lib/nearest.js'
import { printable } from '../lib/printable.js'
import { catalogue, type SettingEntry } from './catalogue.js'
import { type Settings, settingsSchema } from './schema.js'

/** Where a setting's value came from: `hostler.yml`, `env STACK_DOMAIN`, `flag`. A setting that is not here has its default. */
export type Origins = ReadonlyMap<string, string>

export interface LoadedConfig {
  readonly settings: Settings
  readonly origins: Origins
}

export interface ConfigInputs {
  readonly env: Readonly<Record<string, string | undefined>>
  /** `--set key=value` and the flags that stand for a setting: dotted key → text. */
  readonly flags?: ReadonlyMap<string, string>
  /** What the command would have where nobody says anything. */
  readonly defaults?: ReadonlyMap<string, string>
  /** `--config`; must exist when given. */
  readonly file?: string | undefined
  /** The command is one of rancher-haproxy's, whose users set no `sources`. */
  readonly isPredecessor?: boolean
}

/** Looked for when neither `--config` nor HOSTLER_CONFIG names a file. */
export const DEFAULT_FILES = ['hostler.yml', '/etc/hostler/hostler.yml'] as const

/** Names the file, so it cannot be a setting in it. */
const FILE_VARIABLE = 'HOSTLER_CONFIG'

/** What Kubernetes and Docker links put into the environment for a service called `hostler`. */
const SERVICE_VARIABLE =
  /^HOSTLER_(?:SERVICE_(?:HOST|PORT)(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)$/

/**
 * Reads every setting: flags over environment over file over defaults.
 * @throws HostlerError `CONFIG` with one line per mistake.
 */
export function loadConfig(inputs: ConfigInputs): LoadedConfig {
  const { env, flags = new Map(), defaults = new Map(), file, isPredecessor = false } = inputs
  const mistakes: string[] = []
  const layers = [
    ...flagLayer(defaults, mistakes, "the command's default"),
    ...predecessorLayer(env, isPredecessor),
    ...fileLayer(file ?? (env[FILE_VARIABLE] || undefined), mistakes),
    ...environmentLayer(env, mistakes),
    ...flagLayer(flags, mistakes),
  ]
  const origins = new Map<string, string>()
  const given = new Map<string, Given>()
  for (const value of layers) {
    origins.set(value.key, value.origin)
    given.set(value.key, value)
  }
  const result = settingsSchema.safeParse(nest(given))
  if (!result.success) mistakes.push(...result.error.issues.map((issue) => lineFor(issue, given)))
  if (mistakes.length > 0 || !result.success) throw new HostlerError('CONFIG', mistakes.join('\n'))
  return { settings: deepFreeze(result.data), origins }
}

/** One value that a layer sets. */
interface Given {
  readonly key: string
  readonly value: unknown
  readonly origin: string
  readonly secret: boolean
}

const entryOf = (key: string): SettingEntry | undefined => catalogue.find((entry) => entry.key === key)

/** rancher-haproxy had one source and no setting for it: its variables and commands speak for that source. */
function* predecessorLayer(env: ConfigInputs['env'], isPredecessor: boolean): Generator<Given> {
  const variable = ['RANCHER_API_HOST', 'RANCHER_API_VERSION'].find((name) => (env[name] ?? '') !== '')
  const origin = variable === undefined ? 'generate-maps' : `env ${variable}`
  if (isPredecessor || variable !== undefined)
    yield { key: 'sources', value: 'rancher-metadata', origin, secret: false }
}

function* fileLayer(path: string | undefined, mistakes: string[]): Generator<Given> {
  const chosen = path ?? DEFAULT_FILES.find((candidate) => existsSync(candidate))
  if (chosen === undefined) return
  let content: unknown
  try {
    content = parse(readFileSync(chosen, 'utf8'), { logLevel: 'error' })
  } catch (error) {
    mistakes.push(`${chosen}: cannot be read: ${messageOf(error).split('\n')[0]?.replace(/:$/, '')}`)
    return
  }
  if (content === null) return
  if (typeof content !== 'object' || Array.isArray(content)) {
    mistakes.push(`${chosen}: holds no settings; write "key: value" lines`)
    return
  }
  yield* flatten(content as Record<string, unknown>, '', chosen, mistakes)
}

function* flatten(
  node: Readonly<Record<string, unknown>>,
  prefix: string,
  origin: string,
  mistakes: string[],
): Generator<Given> {
  for (const [name, value] of Object.entries(node)) {
    const key = `${prefix}${name}`
    const entry = entryOf(key)
    if (value === null && (entry || isGroup(key))) continue // `key:` with nothing behind it: not set
    if (entry) {
      yield { key, value, origin, secret: entry.secret === true }
    } else if (isGroup(key) && typeof value === 'object' && value !== null && !Array.isArray(value)) {
      yield* flatten(value as Record<string, unknown>, `${key}.`, origin, mistakes)
    } else if (isGroup(key)) {
      mistakes.push(`${origin}: "${key}" is a group of settings; indent them below it`)
    } else {
      mistakes.push(unknownSetting(origin, key))
    }
  }
}

const isGroup = (key: string): boolean => catalogue.some((entry) => entry.key.startsWith(`${key}.`))

const unknownSetting = (origin: string, key: string): string =>
  `${origin}: no setting is called "${printable(key, 80)}".${didYouMean(
    key,
    catalogue.map((entry) => entry.key),
  )}`

function* environmentLayer(env: ConfigInputs['env'], mistakes: string[]): Generator<Given> {
  const known = new Set(catalogue.flatMap((entry) => entry.env))
  mistakes.push(...unknownVariables(env, known))
  for (const entry of catalogue) {
    const found = entry.env.map((name) => readVariable(env, name, known, mistakes)).find((value) => value !== undefined)
    if (found) yield { key: entry.key, value: found.value, origin: `env ${found.name}`, secret: entry.secret === true }
  }
}

function* unknownVariables(env: ConfigInputs['env'], known: ReadonlySet<string>): Generator<string> {
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('HOSTLER_') || name === FILE_VARIABLE) continue
    if (known.has(name) || known.has(name.replace(/_FILE$/, ''))) continue
    if (SERVICE_VARIABLE.test(name) && (name !== 'HOSTLER_PORT' || value?.includes('://'))) continue
    yield `environment: no setting is called "${name}".${didYouMean(name, [FILE_VARIABLE, ...known])}`
  }
}

/** An empty variable counts as not set: compose files write `FOO: ${FOO}` for "as you like". */
function readVariable(env: ConfigInputs['env'], name: string, known: ReadonlySet<string>, mistakes: string[]) {
  const value = env[name]
  if (value !== undefined && value !== '') return { name, value }
  const fileVariable = `${name}_FILE`
  const path = env[fileVariable]
  if (path === undefined || path === '' || known.has(fileVariable)) return undefined
  try {
    return { name: fileVariable, value: readFileSync(path, 'utf8').trimEnd() }
  } catch (error) {
    mistakes.push(`${fileVariable}: ${path} cannot be read: ${messageOf(error)}`)
    return undefined
  }
}

function* flagLayer(flags: ReadonlyMap<string, string>, mistakes: string[], origin = 'flag'): Generator<Given> {
  for (const [key, value] of flags) {
    const entry = entryOf(key)
    if (entry) yield { key, value, origin, secret: entry.secret === true }
    else mistakes.push(unknownSetting('--set', key))
  }
}

function nest(given: ReadonlyMap<string, Given>): Record<string, unknown> {
  const root: Record<string, unknown> = {}
  for (const { key, value } of given.values()) {
    const [first = '', second] = key.split('.')
    if (second === undefined) {
      root[first] = value
    } else {
      const inner = (root[first] ?? {}) as Record<string, unknown>
      inner[second] = value
      root[first] = inner
    }
  }
  return root
}

function lineFor(issue: z.core.$ZodIssue, given: ReadonlyMap<string, Given>): string {
  const key = issue.path.slice(0, 2).join('.')
  const value = given.get(key) ?? given.get(String(issue.path[0]))
  const shown = value?.secret ? '(hidden)' : printable(maskCredentials(JSON.stringify(value?.value) ?? ''), 120)
  return `${value?.origin ?? 'settings'}: ${value?.key ?? key} = ${shown} ${printable(maskCredentials(issue.message), 200)}`
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) deepFreeze(inner)
    Object.freeze(value)
  }
  return value
}
