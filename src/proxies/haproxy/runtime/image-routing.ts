import { type Section, showLine, titleOf } from './sections.js'
import { firstWord, SEPARATOR, VARIABLE, wordsOf } from './sections-words.js'

/** How the frame around the backends chooses one for a request. */
export interface Routing {
  /** Names that it spells out: of backends, and of whatever else stands where a backend's name could. */
  readonly named: ReadonlySet<string>
  /** Maps whose values name backends. */
  readonly maps: ReadonlySet<string>
  /** Why a backend cannot be had under another name; undefined when maps alone choose and no line looks at the choice. */
  readonly bound?: string
  /** Maps that are searched from the top: the order of their entries counts. `'all'` when it cannot be told which. */
  readonly ordered: ReadonlySet<string> | 'all'
}

export type Environment = Readonly<Record<string, string | undefined>>

/** Reads it off the lines of every section that is no plain backend. The same frame gives the same object. */
export function createRoutingReader(env: Environment): (frame: readonly Section[]) => Routing {
  const known = new WeakMap<readonly Section[], Routing>()
  return (frame) => {
    const routing = known.get(frame) ?? readRouting(frame, env)
    known.set(frame, routing)
    return routing
  }
}

/** One line of the frame, environment filled in. */
interface FrameLine {
  readonly section: Section
  readonly words: readonly string[]
}

function readRouting(frame: readonly Section[], env: Environment): Routing {
  const lines = frame.flatMap((section) =>
    section.lines.map((line): FrameLine => ({ section, words: wordsOf(withEnvironment(line, env)) })),
  )
  const named = namedIn(lines)
  const ordered = orderedMaps(frame, env)
  const choice = choiceIn(lines)
  if ('bound' in choice) return { named, maps: new Set(), ordered, bound: choice.bound }
  const look = lines.find((line) => looksAtChoice(line, choice))
  const bound =
    look && `${titleOf(look.section)} looks at the name of the backend: ${showLine(look.words.join(SEPARATOR))}`
  return { named, maps: choice.maps, ordered, ...(bound !== undefined && { bound }) }
}

const withEnvironment = (line: string, env: Environment): string =>
  line.replace(new RegExp(`${VARIABLE}\\$(?:\\{(\\w+)\\}|(\\w+))`, 'g'), (all, braced?: string, bare?: string) => {
    return env[braced ?? bare ?? ''] ?? all
  })

/** Whole words after `use_backend` and `default_backend`, and every argument of every sample expression. */
function namedIn(lines: readonly FrameLine[]): Set<string> {
  const named = new Set<string>()
  for (const { words } of lines) {
    if (words[0] === 'use_backend' || words[0] === 'default_backend') named.add(words[1] ?? '')
    for (const word of words) {
      if (word.includes('(')) for (const part of word.split(/[(),/]/)) named.add(part.trim())
    }
  }
  return named
}

interface Choice {
  readonly maps: ReadonlySet<string>
  /** Variables between a map and `use_backend`. */
  readonly variables: ReadonlySet<string>
}

function choiceIn(lines: readonly FrameLine[]): Choice | { readonly bound: string } {
  const maps = new Set<string>()
  const variables = new Set<string>()
  for (const { section, words } of lines) {
    const [keyword, target = ''] = words
    if (keyword !== 'use_backend' || !target.includes('%[')) continue
    const variable = /^%\[var\(([\w.]+)\)\]$/.exec(target)?.[1]
    const map = mapAtTheEnd(/^%\[(.*)\]$/.exec(target)?.[1] ?? '')
    if (variable !== undefined) variables.add(variable)
    else if (map !== undefined) maps.add(map)
    else return { bound: `${titleOf(section)} chooses backends by something else than a map: ${target}` }
  }
  for (const { section, words } of lines) {
    const at = words.findIndex((word) => variables.has(/^set-var(?:-fmt)?\(([\w.]+)[,)]/.exec(word)?.[1] ?? ''))
    if (at === -1) continue
    const map = words[at]?.startsWith('set-var(') ? mapAtTheEnd(words[at + 1] ?? '') : undefined
    if (map === undefined) return { bound: `${titleOf(section)} chooses backends by something else than a map` }
    maps.add(map)
  }
  return { maps, variables }
}

/** `…,map_str(PATH)` or `…,map_str(PATH,DEFAULT)` as the last step of an expression. */
const mapAtTheEnd = (expression: string): string | undefined =>
  expression.includes('%[') ? undefined : /,map(?:_\w+)?\(([^(),]+)(?:,[^()]*)?\)$/.exec(expression)?.[1]

const LOG_LINES = new Set(['log-format', 'log-format-sd', 'error-log-format', 'unique-id-format'])

/** Whether a line uses the name that was chosen, other than to choose or to ask whether there is one. */
function looksAtChoice({ words }: FrameLine, { maps, variables }: Choice): boolean {
  if (LOG_LINES.has(words[0] ?? '')) return false
  const chooses = (word: string, index: number) =>
    (index === 1 && words[0] === 'use_backend') ||
    variables.has(/^set-var\(([\w.]+)[,)]/.exec(word)?.[1] ?? '') ||
    variables.has(/^set-var\(([\w.]+)[,)]/.exec(words[index - 1] ?? '')?.[1] ?? '')
  const asks = (index: number) => words[index + 1] === '-m' && words[index + 2] === 'found'
  return words.some(
    (word, index) =>
      (namesItself(word) || mentions(word, variables) || mentions(word, maps)) && !chooses(word, index) && !asks(index),
  )
}

const namesItself = (text: string): boolean => /\bbe_(?:name|id)\b/.test(text)

const mentions = (text: string, names: ReadonlySet<string>): boolean => [...names].some((name) => text.includes(name))

/** Whether a backend's own lines would show that it has another name. */
export const showsItsName = (section: Section): boolean => section.lines.some(namesItself)

const IN_TURN = /map_(?:dom|dir|sub|reg|regm|end|len)(?:_\w+)?\(([^(),]*)/g

function orderedMaps(frame: readonly Section[], env: Environment): ReadonlySet<string> | 'all' {
  const found = new Set<string>()
  for (const line of frame.flatMap(({ lines }) => lines)) {
    for (const [, path = ''] of withEnvironment(line, env).matchAll(IN_TURN)) {
      if (!path.startsWith('/')) return 'all'
      found.add(path)
    }
  }
  return found
}

/** The name that a static rule spells out, for messages. */
export const whereNamed = (frame: readonly Section[], name: string): string => {
  const section = frame.find(({ lines }) =>
    lines.some((line) => /^(?:use|default)_backend$/.test(firstWord(line)) && wordsOf(line)[1] === name),
  )
  return section ? titleOf(section) : 'the configuration'
}
