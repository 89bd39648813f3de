import { createImageReader, type FileRoles, requireSameFiles, requireSameFrame } from './image.js'
import { NeedsReload } from './image-reload.js'
import { createRoutingReader, type Environment, type Routing } from './image-routing.js'
import { createMapReader, MAP_LIMITS, type MapLimits } from './map-file.js'
import { type Place, type Placing, placeBackends } from './planner-backends.js'
import { createCertificatePlanner } from './planner-certificates.js'
import { planMaps, requireWayIn, waysIn } from './planner-maps.js'
import { areAsLoaded, planServers, type ServerSteps } from './planner-servers.js'
import type { Section } from './sections.js'
import { readServer, type ServerLine } from './sections-server.js'
import type { SpareState } from './spares.js'
import type { ChangePlan, ConfigImage, Running, RunningServer, Step } from './types.js'

export interface ChangeInputs {
  /** Every file as it was when the worker that answered loaded it. */
  readonly loaded: ConfigImage
  /** Every file as it is on disk. */
  readonly wanted: ConfigImage
  readonly running: Running
  readonly files: FileRoles
  /** `NOTHING_SINCE_LOAD` after a load; then what the last plan that went through gave. */
  readonly spares: SpareState
  /** `backend/server`, as HAProxy calls them, that wait for their last connection to be gone. */
  readonly leaving?: ReadonlySet<string>
}

export interface Change {
  readonly plan: ChangePlan
  /** Holds once every step has gone through; the given one when the plan is to reload. */
  readonly spares: SpareState
}

export interface ChangePlannerOptions {
  /** What fills in variables of the configuration, as far as it is known. */
  readonly env?: Environment
  readonly mapLimits?: MapLimits
}

/**
 * Finds the steps that move a running HAProxy to what the files say, or the reason why only a reload does. It asks nobody:
 * the answer depends on the inputs alone; what is kept between two calls only saves reading the same text again.
 *
 * Works on text, so that it holds for any templates. Everything but servers of plain backends, maps and certificates must
 * be as it was loaded. Servers and maps are compared with what HAProxy has, so that drift is repaired too. What is not
 * understood for certain is a reason to reload when it has changed, and is let be when it has not.
 *
 * Steps come in an order that leaves no request without an answer: backends and servers, then map entries, then whatever
 * nothing leads to any more.
 */
export function createChangePlanner(options: ChangePlannerOptions = {}): (inputs: ChangeInputs) => Change {
  const planner = new ChangePlanner(options)
  return (inputs) => {
    try {
      return planner.plan(inputs)
    } catch (error) {
      if (error instanceof NeedsReload) return { plan: { reload: error.message }, spares: inputs.spares }
      throw error
    }
  }
}

class ChangePlanner {
  private readonly layoutOf = createImageReader()
  private readonly mapOf = createMapReader()
  private readonly planCertificates = createCertificatePlanner()
  private readonly routingOf: ReturnType<typeof createRoutingReader>
  private readonly limits: MapLimits
  /** Servers that were found as their section was loaded: the same two objects need not be compared again. */
  private readonly checked = new WeakMap<Section, ReadonlyMap<string, RunningServer>>()

  constructor({ env = {}, mapLimits = MAP_LIMITS }: ChangePlannerOptions) {
    this.routingOf = createRoutingReader(env)
    this.limits = mapLimits
  }

  plan(inputs: ChangeInputs): Change {
    const { running, files, spares } = inputs
    requireSameFiles(inputs.loaded, inputs.wanted, files)
    const loaded = this.layoutOf(inputs.loaded, files.configs)
    const wanted = this.layoutOf(inputs.wanted, files.configs)
    requireSameFrame(loaded, wanted)
    const routing = this.routingOf(loaded.frame)
    const isWayIn = waysIn({ routing, wanted: inputs.wanted, read: this.mapOf })
    const placing = placeBackends({ loaded, wanted, running, routing, spares, isWayIn })
    const servers = this.planAllServers(placing, inputs)
    const maps = this.planAllMaps(placing, routing, isWayIn, inputs)
    const certificates = this.planCertificates({ ...inputs, running: running.certificates })
    const steps: Step[] = [
      ...certificates.first,
      ...placing.first,
      ...servers.flatMap(({ steps }) => steps.first),
      ...maps.first,
      ...maps.last,
      ...servers.flatMap(({ steps }) => steps.last),
      ...placing.last,
      ...certificates.last,
    ]
    const { used, retired, backends } = placing
    const lines = keptLines(placing, servers, inputs)
    return { plan: { steps }, spares: { used, retired, backends, servers: lines, files: certificates.files } }
  }

  /** Only the backends where there is something to do. */
  private planAllServers({ places }: Placing, inputs: ChangeInputs): PlannedServers[] {
    const { running, spares, leaving = NO_NAMES } = inputs
    const touched = backendsOf([...spares.servers.keys(), ...leaving])
    const planned: PlannedServers[] = []
    for (const place of places) {
      const { backend, wanted, settings } = place
      const servers = running.servers.get(backend) ?? NO_SERVERS
      const isSame = wanted?.section === settings.section && !touched.has(backend)
      if (
        isSame &&
        (this.checked.get(settings.section) === servers || areAsLoaded(settings.section.servers, servers))
      ) {
        this.checked.set(settings.section, servers)
        continue
      }
      const steps = planBackend(place, servers, inputs)
      if (steps.first.length + steps.last.length > 0) planned.push({ backend, steps })
    }
    return planned
  }

  private planAllMaps(
    placing: Placing,
    routing: Routing,
    isWayIn: ReturnType<typeof waysIn>,
    { loaded, wanted, running, files, spares }: ChangeInputs,
  ) {
    const { mapOf: read, limits } = this
    const isEmpty = emptiness(placing, running)
    const inputs = { ...files, loaded, wanted, running, routing, places: placing.used, read, limits, isEmpty }
    for (const name of placing.used.keys()) if (!spares.used.has(name)) requireWayIn(name, isWayIn)
    return planMaps(inputs)
  }
}

/** Backends that are not ours to fill answer as they always did; so may one that has rules instead of servers. */
function emptiness({ places }: Placing, { servers }: Running): (backend: string, when: 'now' | 'later') => boolean {
  const later = new Set<string>()
  for (const { backend, wanted, settings } of places) {
    if ((wanted?.section.servers.length ?? 0) === 0 && !answersByItself(settings.section)) later.add(backend)
  }
  const isReady = ({ maintenance, drain }: RunningServer) => !maintenance && !drain
  return (backend, when) =>
    later.has(backend) && (when === 'later' || ![...(servers.get(backend)?.values() ?? [])].some(isReady))
}

const answersByItself = ({ lines }: Section): boolean =>
  lines.some((line) =>
    /^(?:redirect|http-request\u001f(?:return|redirect|deny|use-service|reject))(?:\u001f|$)/.test(line),
  )

function planBackend(
  { backend, name, wanted, settings, isLoaded }: Place,
  running: ReadonlyMap<string, RunningServer>,
  { running: { backends, version }, spares, leaving = NO_NAMES }: ChangeInputs,
): ServerSteps {
  const lines = wanted?.section.servers ?? []
  if (isLoaded && !backends.has(backend) && lines.length > 0) {
    throw new NeedsReload(`HAProxy does not have backend ${backend} though it was loaded`)
  }
  const loaded = new Map(isLoaded ? settings.section.servers.map((line) => [line.name, line]) : [])
  return planServers({
    backend,
    title: name,
    settings,
    wanted: lines,
    running,
    lineOf: (server) => keptLine(spares, `${backend}/${server}`) ?? loaded.get(server),
    isLeaving: (server) => leaving.has(`${backend}/${server}`),
    version,
  })
}

/** @param ids `backend/server` */
const backendsOf = (ids: Iterable<string>): ReadonlySet<string> =>
  new Set([...ids].map((id) => id.slice(0, id.lastIndexOf('/'))))

interface PlannedServers {
  readonly backend: string
  readonly steps: ServerSteps
}

const NO_NAMES: ReadonlySet<string> = new Set()
const NO_SERVERS: ReadonlyMap<string, RunningServer> = new Map()

function keptLine({ servers }: SpareState, id: string): ServerLine | undefined {
  const text = servers.size === 0 ? undefined : servers.get(id)
  return text === undefined ? undefined : readServer(text)
}

/** The lines of all servers that were added since the load and are there, or will be. */
function keptLines({ places }: Placing, planned: readonly PlannedServers[], { running, spares }: ChangeInputs) {
  const kept = new Map<string, string>()
  const known = backendsOf(spares.servers.keys())
  for (const { backend } of known.size === 0 ? [] : places) {
    if (!known.has(backend)) continue
    for (const server of running.servers.get(backend)?.keys() ?? []) {
      const line = spares.servers.get(`${backend}/${server}`)
      if (line !== undefined) kept.set(`${backend}/${server}`, line)
    }
  }
  for (const { backend, steps } of planned) {
    for (const { name, text } of steps.added) kept.set(`${backend}/${name}`, text)
  }
  return kept
}
