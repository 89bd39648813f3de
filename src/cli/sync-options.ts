import { catalogue } from '../config/catalogue.js'
import { HostlerError } from '../lib/errors.js'
import { didYouMean } from '../lib/nearest.js'
import { REGISTRY_NAMES } from '../registries/names.js'
import { SOURCE_NAMES } from '../sources/names.js'

/** What `hostler sync` was called with. */
export interface SyncCall {
  readonly source?: string | undefined
  readonly registry?: string | undefined
  /** `KEY=VALUE`, each. */
  readonly sourceOptions?: readonly string[] | undefined
  readonly registryOptions?: readonly string[] | undefined
  readonly continuous?: boolean | undefined
  /** Seconds. */
  readonly wait?: string | undefined
  readonly verbose?: number | undefined
}

/** Settings by their keys, in three ranks. */
export interface SyncPlan {
  /** Below everything that somebody has written. */
  readonly defaults: ReadonlyMap<string, string>
  /** What the command and predecessor 5's variables stand for: over environment and file. */
  readonly flags: ReadonlyMap<string, string>
  /** `-s` and `-b`: over everything. */
  readonly options: ReadonlyMap<string, string>
  readonly continuous: boolean
}

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Predecessor 5's arguments and variables as our settings; arguments come first. Its source `rancher` is ours called
 * `rancher-api`.
 * @throws HostlerError `USAGE`, which shows no option's value
 */
export function syncPlan(call: SyncCall, env: Environment): SyncPlan {
  const named = given(call.source, env['RANCON_SOURCE'])
  const source = named === 'rancher' ? 'rancher-api' : known('source', named, SOURCE_NAMES)
  const registry = known(
    'registry',
    given(call.registry, env['RANCON_BACKEND'], env['RANCON_REGISTRY']),
    REGISTRY_NAMES,
  )
  if (source === registry)
    throw new HostlerError(
      'USAGE',
      `${source} cannot be both source and registry: what was read there would be announced there again`,
    )
  const settingsOf = (ofSource: readonly string[], ofRegistry: readonly string[]) => [
    ...ofSource.map((option) => setting('-s', option, source)),
    ...ofRegistry.map((option) => setting('-b', option, registry)),
  ]
  const ofVariables = settingsOf(
    listed(given(env['RANCON_SOURCE_OPTIONS'], env['RANCON_FRONTEND_OPTIONS'])),
    listed(env['RANCON_BACKEND_OPTIONS']),
  )
  const continuous = call.continuous || (env['RANCON_FOREGROUND'] ?? '') !== ''
  const wait = given(call.wait, env['RANCON_WAIT']) ?? '5'
  return {
    // Where it wrote by default: the agent on the host of each endpoint.
    defaults: new Map(named === 'rancher' ? [['consul.url', 'http://%HOST%:8500']] : []),
    flags: new Map<string, string>([
      ['sources', source],
      ['registries', registry],
      ['proxy', 'none'],
      // What is written in one pass is kept alive by nobody.
      ...(continuous ? intervals(wait, source) : ([[`${registry}.lease`, '0']] as const)),
      ...verbosity(call.verbose ?? 0),
      ...ofVariables,
    ]),
    options: new Map(settingsOf(call.sourceOptions ?? [], call.registryOptions ?? [])),
    continuous,
  }
}

const verbosity = (times: number): [string, string][] =>
  times === 0 ? [] : [['log.level', times < 4 ? 'debug' : 'trace']]

const given = (...texts: (string | undefined)[]): string | undefined => texts.find((text) => (text ?? '') !== '')

function known(what: string, name: string | undefined, names: readonly string[]): string {
  if (name !== undefined && names.includes(name)) return name
  const called =
    name === undefined ? `no ${what} was named` : `no ${what} is called "${name}".${didYouMean(name, [...names])}`
  throw new HostlerError('USAGE', `${called}; hostler sync SOURCE REGISTRY, with one of ${names.join(', ')}`)
}

/** `a=1,b=2`; a comma within a value stays there. */
const listed = (text = ''): string[] =>
  text
    .split(/,(?=\s*[\w.-]+=)/)
    .map((option) => option.trim())
    .filter((option) => option !== '')

function intervals(wait: string, source: string): [string, string][] {
  if (!/^\d{1,6}(?:\.\d{1,3})?$/.test(wait) || Number(wait) <= 0)
    throw new HostlerError('USAGE', '-w takes a number of seconds, for example -w 5')
  const interval = `${Math.max(100, Math.round(Number(wait) * 1000))}ms`
  return [
    ['pollInterval', interval],
    ...(source === 'rancher-api' ? [['rancher.pollInterval', interval] as [string, string]] : []),
  ]
}

/** The group of settings of each source and registry, where it is called otherwise. */
const GROUPS: Readonly<Record<string, string>> = { 'rancher-api': 'rancher', 'rancher-metadata': 'metadata' }

/** Options that belong elsewhere than they are written. */
const MOVED: Readonly<Record<string, string>> = { 'rancher-api defaultnamescheme': 'consul.nameScheme' }

/** What belongs to a registry and to no group of it. */
const LOOSE: Readonly<Record<string, readonly string[]>> = { etcd: ['policies', 'services'] }

function setting(flag: string, option: string, name: string): [string, string] {
  const at = option.indexOf('=')
  if (at < 1) throw new HostlerError('USAGE', `${flag} takes KEY=VALUE, for example ${flag} url=http://host:8500`)
  const written = option.slice(0, at).trim()
  const group = `${GROUPS[name] ?? name}.`
  const candidates = catalogue
    .map(({ key }) => key)
    .filter((key) => key.startsWith(group) || key.startsWith('announce.') || LOOSE[name]?.includes(key))
  const key =
    MOVED[`${name} ${plain(written)}`] ??
    candidates.find((candidate) => [candidate, candidate.replace(group, '')].map(plain).includes(plain(written)))
  const value = option.slice(at + 1)
  if (key !== undefined) return [key, key === 'consul.url' ? withPort(value) : value]
  const words = candidates.map((candidate) => candidate.replace(group, ''))
  throw new HostlerError(
    'USAGE',
    `${name} has no option called "${written}".${didYouMean(written, words)} It has ${words.join(', ')}`,
  )
}

/** `access_key`, `accessKey` and `accesskey` are one. */
const plain = (key: string): string => key.toLowerCase().replace(/[_-]/g, '')

/** Predecessor 5 went to Consul's port where an address named none. */
const withPort = (url: string): string =>
  url.replace(/^(http:\/\/(?:[^/]*@)?(?:\[[^\]/]*\]|[^:/@]+))(?=\/|$)/i, '$1:8500')
