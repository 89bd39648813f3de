import type { Backend } from './image-layout.js'
import { NeedsReload } from './image-reload.js'
import { bodyLines, showLine } from './sections.js'
import { hasOption, type ServerLine, sameAddress } from './sections-server.js'
import { canBeAdded, serverOption, type Version } from './sections-server-options.js'
import { firstWord, wordsOf } from './sections-words.js'
import type { RunningServer, Step } from './types.js'

/** One backend as HAProxy has it, and what it shall hold. */
export interface BackendServers {
  /** Its name in HAProxy. */
  readonly backend: string
  /** Its name in the files, for reasons. */
  readonly title: string
  /** The settings that its servers live under. */
  readonly settings: Backend
  readonly wanted: readonly ServerLine[]
  readonly running: ReadonlyMap<string, RunningServer>
  /** The line that a running server was made from. */
  readonly lineOf: (server: string) => ServerLine | undefined
  /** Servers that are on their way out already. */
  readonly isLeaving: (server: string) => boolean
  readonly version: Version
}

export interface ServerSteps {
  readonly first: readonly Step[]
  readonly last: readonly Step[]
  /** Lines of the servers that `first` adds. */
  readonly added: readonly ServerLine[]
}

const NO_STEPS: ServerSteps = { first: [], last: [], added: [] }

/** Whether the running servers are what these lines made, as far as HAProxy shows it: true for nearly all, at little cost. */
export function areAsLoaded(lines: readonly ServerLine[], running: ReadonlyMap<string, RunningServer>): boolean {
  if (lines.length !== running.size) return false
  for (const { name, target, weight } of lines) {
    const present = running.get(name)
    if (present === undefined || target === undefined || present.maintenance || present.drain) return false
    if (present.address !== target.address || present.port !== target.port || present.weight !== weight) return false
  }
  return true
}

/** @throws NeedsReload */
export function planServers(inputs: BackendServers): ServerSteps {
  const { wanted, running } = inputs
  if (wanted.length === 0 && running.size === 0) return NO_STEPS
  const first: Step[] = []
  const added: ServerLine[] = []
  for (const line of wanted) {
    const present = running.get(line.name)
    if (present) first.push(...repair(line, present, inputs))
    else {
      first.push(addition(line, inputs))
      added.push(line)
    }
  }
  const last = running.size + added.length === wanted.length ? [] : leftovers(inputs)
  if (added.length + last.length > 0) requireNoRules(inputs)
  return { first, last, added }
}

function leftovers({ backend, wanted, running, isLeaving }: BackendServers): Step[] {
  const names = new Set(wanted.map(({ name }) => name))
  return [...running.keys()]
    .filter((server) => !names.has(server) && !isLeaving(server))
    .map((server) => ({ kind: 'remove-server', backend, server }))
}

/** What moves a server that is there to its line. */
function repair(line: ServerLine, present: RunningServer, inputs: BackendServers): Step[] {
  const { backend, title } = inputs
  const { name: server, target, weight } = line
  requireSameOptions(line, inputs)
  const steps: Step[] = []
  // An agent sets weight and state by itself, and one that tracks another server has its state.
  const isOurs = !hasOption(line, 'agent-check') && !hasOption(line, 'track')
  if (target && !(sameAddress(target.address, present.address) && target.port === present.port)) {
    steps.push({ kind: 'set-address', backend, server, ...target })
  }
  if (isOurs && weight !== undefined && weight !== present.weight && saysItsWeight(line, inputs)) {
    requireDynamicBalance(inputs.settings, `the weight of ${title}/${server} has changed`)
    steps.push({ kind: 'set-weight', backend, server, weight })
  }
  const isHeld = present.maintenance || present.drain || inputs.isLeaving(server)
  // One without an address of its own is in maintenance while its name does not resolve.
  if (isHeld && isOurs && target && !hasOption(line, 'disabled')) steps.push({ kind: 'set-ready', backend, server })
  return steps
}

function requireSameOptions(line: ServerLine, { title, lineOf }: BackendServers): void {
  const known = lineOf(line.name)
  const server = `server ${line.name} of ${title}`
  if (known === undefined)
    throw new NeedsReload(`${server} was added by somebody else, with options that are not known`)
  if (known === line || known.fixed === line.fixed) return
  throw new NeedsReload(`the options of ${server} have changed: ${showLine(line.text)}`)
}

/** A `default-server` may give one where the line has none. */
const saysItsWeight = (line: ServerLine, { settings }: BackendServers): boolean =>
  hasOption(line, 'weight') || keywordLine(settings, 'default-server') === undefined

function addition(line: ServerLine, inputs: BackendServers): Step {
  const { backend, title, settings, version } = inputs
  const what = `server ${line.name} of ${title}`
  if (line.target === undefined) throw new NeedsReload(`${what} is new and has no IP address: ${showLine(line.text)}`)
  requireDynamicBalance(settings, `${what} is new`)
  if (keywordLine(settings, 'default-server') !== undefined) {
    throw new NeedsReload(`${what} is new, and a default-server line applies to it`)
  }
  for (const [option = '', ...values] of line.options ?? [line.words]) {
    const known = serverOption(option)
    const isFit = known && canBeAdded(known, version) && (!known.file || isLoaded(option, values[0], inputs))
    if (!isFit) throw new NeedsReload(`${what} is new, and ${option} can only be given by a load`)
  }
  const odd = line.words.find((word) => !/^[\x21-\x7e]+$/.test(word) || /[\\;'"<>#]/.test(word))
  if (odd !== undefined || !/^[\w.:-]+$/.test(line.name)) {
    throw new NeedsReload(`${what} is new and cannot be written as a command: ${showLine(line.text)}`)
  }
  return { kind: 'add-server', backend, server: line.name, ...line.target, options: line.words }
}

/** A file that a server of the loaded section uses is in HAProxy's memory. */
const isLoaded = (option: string, file: string | undefined, { settings }: BackendServers): boolean =>
  settings.section.servers.some(({ options }) => options?.some(([name, value]) => name === option && value === file))

const DYNAMIC = new Set(['roundrobin', 'leastconn', 'random', 'first'])
const HASHED = new Set(['source', 'uri', 'url_param', 'hdr', 'hash', 'rdp-cookie'])

/** Servers come, go and change their weight only under some algorithms (BE_LB_PROP_DYN in HAProxy's source). */
function requireDynamicBalance(settings: Backend, what: string): void {
  const [, algorithm = 'roundrobin'] = wordsOf(keywordLine(settings, 'balance') ?? '')
  const name = algorithm.replace(/\(.*$/, '')
  const isConsistent = wordsOf(keywordLine(settings, 'hash-type') ?? '')[1] === 'consistent'
  if (DYNAMIC.has(name) || (HASHED.has(name) && isConsistent)) return
  throw new NeedsReload(`${what}, and balance ${showLine(algorithm)} does not allow that while it runs`)
}

/** The last line with a keyword, in the backend or else in the nearest defaults that have it. */
function keywordLine({ section, defaults }: Backend, keyword: string): string | undefined {
  for (const one of [section, ...defaults]) {
    const line = one.lines.findLast((text) => firstWord(text) === keyword)
    if (line !== undefined) return line
  }
  return undefined
}

/** Rules that name servers tie them to the configuration. */
function requireNoRules({ settings, title }: BackendServers): void {
  const rule = bodyLines(settings.section).find((line) => firstWord(line) === 'use-server')
  if (rule) throw new NeedsReload(`the servers of ${title} have changed, and a rule names one: ${showLine(rule)}`)
}
