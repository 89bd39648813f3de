import type { Backend, Layout } from './image-layout.js'
import { NeedsReload } from './image-reload.js'
import { type Routing, showsItsName, whereNamed } from './image-routing.js'
import { bodyLines, firstDifference, type Section, showLine } from './sections.js'
import { isAtLeast } from './sections-server-options.js'
import { firstWord, wordsOf } from './sections-words.js'
import { freeSpares, haveSameDefaults, isSpare, misfit, type SpareState } from './spares.js'
import type { Running, Step } from './types.js'

export interface PlacingInputs {
  readonly loaded: Layout
  readonly wanted: Layout
  readonly running: Running
  readonly routing: Routing
  readonly spares: SpareState
  /** Whether a routing map of the files leads to a backend. */
  readonly isWayIn: (name: string) => boolean
}

/** Which backend in HAProxy serves which one of the files. */
export interface Placing {
  readonly places: readonly Place[]
  /** New backends, to add before anything else. */
  readonly first: readonly Step[]
  readonly last: readonly Step[]
  readonly used: ReadonlyMap<string, string>
  readonly retired: readonly string[]
  readonly backends: ReadonlyMap<string, string>
}

export interface Place {
  /** In HAProxy. */
  readonly backend: string
  /** In the files. */
  readonly name: string
  /** Undefined for one that is gone from the files: it stays as an empty shell. */
  readonly wanted?: Backend
  /** The settings that HAProxy has for it. */
  readonly settings: Backend
  /** It was loaded with those, and not added since. */
  readonly isLoaded: boolean
}

/** @throws NeedsReload */
export const placeBackends = (inputs: PlacingInputs): Placing => new Placer(inputs).place()

class Placer {
  private readonly places: Place[] = []
  private readonly first: Step[] = []
  private readonly last: Step[] = []
  private readonly used = new Map<string, string>()
  private readonly retired: string[]
  private readonly backends = new Map<string, string>()
  /** Routing maps' values, read when a spare is looked for. */
  private led: ReadonlySet<string> | undefined

  constructor(private readonly inputs: PlacingInputs) {
    this.retired = [...inputs.spares.retired]
  }

  place(): Placing {
    const { loaded, wanted, spares } = this.inputs
    this.keepUsed()
    const names = [...wanted.backends.keys()].filter((name) => !isSpare(name))
    for (const name of names) if (loaded.backends.has(name)) this.loadedOne(name)
    for (const name of loaded.backends.keys()) if (!wanted.backends.has(name) && !isSpare(name)) this.shell(name, name)
    for (const name of spares.backends.keys()) if (!wanted.backends.has(name)) this.addedThatWent(name)
    for (const name of names) if (!loaded.backends.has(name)) this.newOne(name)
    this.idleSpares()
    const { places, first, last, used, retired, backends } = this
    return { places, first, last, used, retired, backends }
  }

  /** Those that nobody uses are empty. One that the files have got since does nothing until it is loaded. */
  private idleSpares(): void {
    const { loaded, wanted } = this.inputs
    const busy = new Set(this.used.values())
    for (const name of loaded.backends.keys()) {
      if (!isSpare(name) || busy.has(name)) continue
      if (wanted.backends.has(name)) this.loadedOne(name)
      else this.shell(name, name)
    }
  }

  /** Spares whose backend is wanted, or whose last servers and map entries are still to go. */
  private keepUsed(): void {
    const { wanted, running, spares } = this.inputs
    for (const [name, spare] of spares.used) {
      const isEmpty = (running.servers.get(spare)?.size ?? 0) === 0 && !this.isLedTo(spare)
      if (wanted.backends.has(name) || !isEmpty) this.used.set(name, spare)
      else this.retired.push(spare)
      if (!wanted.backends.has(name) && !isEmpty) this.shell(name, spare)
    }
  }

  private loadedOne(name: string): void {
    const [settings, wanted] = [this.inputs.loaded.backends.get(name), this.inputs.wanted.backends.get(name)]
    if (settings === undefined || wanted === undefined) return
    if (wanted.section !== settings.section) requireSameSettings(name, settings, wanted)
    this.places.push({ backend: name, name, wanted, settings, isLoaded: true })
  }

  /** Its servers go; the section stays until the next load and is used again when the backend comes back. */
  private shell(name: string, backend: string): void {
    const { loaded, routing } = this.inputs
    this.places.push({ backend, name, settings: loaded.backends.get(backend) ?? EMPTY, isLoaded: true })
    if (isSpare(name)) return
    if (routing.bound !== undefined) throw new NeedsReload(`backend ${name} is gone, and ${routing.bound}`)
    if (routing.named.has(name)) {
      throw new NeedsReload(`backend ${name} is gone, and ${whereNamed(loaded.frame, name)} names it`)
    }
  }

  private newOne(name: string): void {
    const { wanted, running, routing, spares, loaded } = this.inputs
    const backend = wanted.backends.get(name) ?? EMPTY
    const lines = spares.backends.get(name)
    const spare = this.used.get(name)
    if (routing.named.has(name)) {
      throw new NeedsReload(`backend ${name} is new, and ${whereNamed(loaded.frame, name)} names it`)
    }
    if (lines !== undefined && running.backends.has(name)) this.addedEarlier(backend, lines)
    else if (spare !== undefined) this.onSpare(backend, spare)
    else if (this.isOutOfReach(backend)) return
    else this.placeNew(backend)
  }

  /**
   * A stack that has slept since it came: no request can lead to its backend, so that HAProxy need not know it before the
   * next load, or before there is a server in it.
   */
  private isOutOfReach({ section }: Backend): boolean {
    const { routing, isWayIn } = this.inputs
    return section.servers.length === 0 && routing.bound === undefined && !isWayIn(section.name)
  }

  private placeNew(backend: Backend): void {
    const { running } = this.inputs
    const { name } = backend.section
    const canAdd = isAtLeast(running.version, 3, 4) && !running.backends.has(name)
    const defaults = canAdd ? expressible(backend) : undefined
    if (defaults === undefined) this.onSpare(backend, this.takeSpare(backend))
    else {
      this.first.push({ kind: 'add-backend', backend: name, defaults })
      this.addedEarlier(backend, linesOf(backend.section))
    }
  }

  private addedEarlier(backend: Backend, lines: string): void {
    const { name } = backend.section
    if (linesOf(backend.section) !== lines) throw new NeedsReload(`the settings of backend ${name} have changed`)
    this.backends.set(name, lines)
    this.places.push({ backend: name, name, wanted: backend, settings: backend, isLoaded: false })
  }

  /** One that was added at run time goes as a whole, once it is empty. */
  private addedThatWent(name: string): void {
    const { running, spares } = this.inputs
    if (!running.backends.has(name)) return
    this.places.push({ backend: name, name, settings: EMPTY, isLoaded: false })
    const isEmpty = (running.servers.get(name)?.size ?? 0) === 0
    if (isEmpty) this.last.push({ kind: 'remove-backend', backend: name })
    else this.backends.set(name, spares.backends.get(name) ?? '')
  }

  private onSpare(backend: Backend, spare: string): void {
    const { loaded, running, routing } = this.inputs
    const { name } = backend.section
    const settings = loaded.backends.get(spare)
    if (settings === undefined || !running.backends.has(spare)) {
      throw new NeedsReload(`backend ${name} is served by ${spare}, which HAProxy does not have`)
    }
    const line = misfit(settings, backend)
    if (line !== undefined) throw new NeedsReload(`backend ${name} is not like ${spare}, which serves it: ${line}`)
    if (routing.bound !== undefined) throw new NeedsReload(`backend ${name} is new, and ${routing.bound}`)
    this.used.set(name, spare)
    this.places.push({ backend: spare, name, wanted: backend, settings, isLoaded: true })
  }

  private takeSpare(backend: Backend): string {
    const { loaded, running, spares } = this.inputs
    const { name } = backend.section
    const state = { ...spares, used: this.used, retired: this.retired }
    const free = freeSpares(loaded, running, state).filter((spare) => !this.isLedTo(spare))
    const [any] = free
    if (any === undefined) throw new NeedsReload(`backend ${name} is new, and no spare backend is free`)
    if (showsItsName(backend.section)) throw new NeedsReload(`backend ${name} is new, and its lines use its name`)
    const misfits = new Map(free.map((spare) => [spare, misfit(loaded.backends.get(spare) ?? EMPTY, backend)]))
    const spare = free.find((one) => misfits.get(one) === undefined)
    if (spare === undefined) {
      throw new NeedsReload(`backend ${name} is new, and no spare backend is like it: ${misfits.get(any)}`)
    }
    return spare
  }

  /** Whether an entry of a routing map still leads there: whoever gets the spare would get those requests too. */
  private isLedTo(spare: string): boolean {
    const { running, routing } = this.inputs
    this.led ??= new Set(
      [...routing.maps].flatMap((map) => [...(running.maps.get(map)?.values() ?? [])]).filter(isSpare),
    )
    return this.led.has(spare)
  }
}

const NOTHING: Section = {
  kind: 'backend',
  name: '',
  rest: '',
  lines: [],
  body: '',
  servers: [],
  nesting: 0,
  conditional: false,
  plain: true,
}
const EMPTY: Backend = { section: NOTHING, defaults: [] }

function requireSameSettings(name: string, loaded: Backend, wanted: Backend): void {
  const line = firstDifference(bodyLines(loaded.section), bodyLines(wanted.section))
  if (line !== undefined) throw new NeedsReload(`backend ${name} has changed: ${showLine(line)}`)
  if (!haveSameDefaults(loaded, wanted)) throw new NeedsReload(`backend ${name} has other defaults`)
}

/**
 * The named defaults section that `add backend` would make it from, when its own lines say no more than that command can.
 */
function expressible({ section, defaults }: Backend): string | undefined {
  const name = defaults[0]?.name ?? ''
  const own = bodyLines(section).map((line) => wordsOf(line).join(' '))
  const mode = own[0] === 'mode http' ? 'http' : defaults.map(modeOf).find((found) => found !== undefined)
  const isPlain = own.length === 0 || (own.length === 1 && own[0] === 'mode http')
  const inherited = defaults.map(modeOf).find((found) => found !== undefined) ?? 'http'
  return isPlain && mode === 'http' && inherited === 'http' && name !== 'from' && /^[\w.:-]+$/.test(name)
    ? name
    : undefined
}

const linesOf = ({ rest, body }: Section): string => `${rest}\n${body}`

const modeOf = ({ lines }: Section): string | undefined => {
  const line = lines.findLast((text) => firstWord(text) === 'mode')
  return line && wordsOf(line)[1]
}
