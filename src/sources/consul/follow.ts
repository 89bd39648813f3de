import type { Clock } from '../../lib/clock.js'
import { type ConsulAnswer, type ConsulClient, nextIndex } from '../../lib/consul/client.js'
import { HostlerError } from '../../lib/errors.js'
import { createLimit } from '../../lib/limit.js'
import { linkedSignal } from '../../lib/signals.js'
import { type CatalogCheck, type CatalogNode, type CatalogService, checksIn, nodesIn, servicesIn } from './catalog.js'
import type { NodeFacts } from './census.js'

/** The nodes alone. @throws HostlerError */
export const readNodes = async (client: ConsulClient, signal: AbortSignal): Promise<CatalogNode[]> =>
  nodesOf(await client.get(NODES_PATH, signal))

/** Everything once. @throws HostlerError */
export async function readAll(client: ConsulClient, signal: AbortSignal): Promise<NodeFacts[]> {
  const limited = createLimit(READS_AT_ONCE)
  const nodes = await readNodes(client, signal)
  return Promise.all(nodes.map((node) => limited(() => readNode(client, node, signal))))
}

const READS_AT_ONCE = 32

/** A cluster has itself for a node; none at all is a lack of rights. */
function nodesOf({ value, isFiltered }: ConsulAnswer): CatalogNode[] {
  const nodes = nodesIn(value)
  if (nodes.length > 0 && !isFiltered) return nodes
  const told = nodes.length > 0 ? 'only of some nodes' : 'of no node, not even itself'
  const remedy = 'give CONSUL_HTTP_TOKEN the right to read nodes (node_prefix "": read)'
  throw new HostlerError('CONSUL_DENIED', `Consul tells ${told}; ${remedy}`)
}

async function readNode(client: ConsulClient, node: CatalogNode, signal: AbortSignal): Promise<NodeFacts> {
  const services = known(await client.get(servicesPath(node), signal, { mayMiss: true }))
  const checks = await client.get(checksPath(node), signal)
  return {
    ...{ node, services: servicesIn(services.value), checks: checksIn(checks.value), index: services.index ?? 0 },
    isFiltered: services.isFiltered || checks.isFiltered,
  }
}

/** A Consul before 1.7 has no such call, and that must not read as "no services". */
function known(answer: ConsulAnswer): ConsulAnswer {
  if (answer.found) return answer
  throw new HostlerError(
    'CONSUL_ANSWER',
    'Consul does not know /catalog/node-services; is that a Consul, 1.7 or later?',
  )
}

const NODES_PATH = '/catalog/nodes'
const servicesPath = ({ name }: CatalogNode): string => `/catalog/node-services/${encodeURIComponent(name)}`
const checksPath = ({ name }: CatalogNode): string => `/health/node/${encodeURIComponent(name)}`

/**
 * How many blocking queries may be under way: two for each node, out of the 200 connections that a server takes from one
 * address. Beyond that they take turns, and each waits for less.
 */
const QUERIES_AT_ONCE = 120
const LONG_WAIT_MS = 30_000
const SHORT_WAIT_MS = 1000

export interface FollowInputs {
  readonly client: ConsulClient
  readonly clock: Clock
  /** The first time with everything, then after each change. */
  readonly told: (nodes: readonly NodeFacts[]) => void
  /**
   * A server whose state is replaced, as by a snapshot, wakes all who wait with nothing new; so does one that is set to let nobody
   * wait for long. Whether everything is to be read anew.
   */
  readonly mayReread: () => boolean
}

/** The server has another state than before, and may count anew: everything is to be read from the start. */
export class Restarted extends Error {}

/** Follows the whole catalog by blocking queries. Ends only by throwing: what went wrong, or the signal's reason. */
export function follow(inputs: FollowInputs, signal: AbortSignal): Promise<never> {
  const over = new AbortController()
  return linkedSignal([signal, over.signal], (either) => {
    const session = new Session(inputs, either)
    return session.run().finally(() => over.abort())
  })
}

interface Followed {
  services?: readonly CatalogService[]
  checks?: readonly CatalogCheck[]
  /** How far the server had counted when it told the checks: they are read on two ways, of which either may be ahead. */
  checksIndex: number
  node: CatalogNode
  isFiltered: boolean
  index: number
  readonly leaving: AbortController
}

interface Waited {
  readonly answer: ConsulAnswer
  /** It came before the time to wait was over. */
  readonly isEarly: boolean
}

/** Of two answers about the same the later one counts. */
function learnChecks(followed: Followed, { value, index = 0 }: ConsulAnswer): void {
  if (followed.checks && index < followed.checksIndex) return
  followed.checks = checksIn(value)
  followed.checksIndex = index
}

class Session {
  private readonly nodes = new Map<string, Followed>()
  private readonly limited = createLimit(QUERIES_AT_ONCE)
  private fail: (reason: unknown) => void = () => undefined

  constructor(
    private readonly inputs: FollowInputs,
    private readonly signal: AbortSignal,
  ) {}

  /** Each query of its own goes on until one fails. */
  run(): Promise<never> {
    return new Promise<never>((_, reject) => {
      this.fail = reject
      this.query(NODES_PATH, this.signal, async (answer) => this.setNodes(nodesOf(answer)))
    })
  }

  private setNodes(nodes: readonly CatalogNode[]): void {
    const names = new Set(nodes.map(({ name }) => name))
    for (const [name, { leaving }] of this.nodes) {
      if (names.has(name)) continue
      leaving.abort()
      this.nodes.delete(name)
    }
    for (const node of nodes) {
      const known = this.nodes.get(node.name)
      if (!known) this.followNode(node)
      else {
        // Whoever remembers what a service is knows it by its object.
        if (known.services && known.node.address !== node.address)
          known.services = known.services.map((service) => ({ ...service }))
        known.node = node
      }
    }
    this.tell()
  }

  private followNode(node: CatalogNode): void {
    const followed: Followed = { node, isFiltered: false, index: 0, checksIndex: 0, leaving: new AbortController() }
    this.nodes.set(node.name, followed)
    linkedSignal([this.signal, followed.leaving.signal], async (signal) => {
      const services = this.queryOn(servicesPath(node), signal, async (answer) => {
        const { value, index = 0 } = answer
        // A service that is new is told with its checks, or it would be taken for one that has none.
        const checks = await this.inputs.client.get(checksPath(node), signal)
        learnChecks(followed, checks)
        const isFiltered = answer.isFiltered || checks.isFiltered
        Object.assign(followed, { services: unchanged(followed.services, servicesIn(value)), isFiltered, index })
      })
      const checks = this.queryOn(checksPath(node), signal, async (answer) => learnChecks(followed, answer))
      await Promise.all([services, checks])
    }).catch((error: unknown) => {
      if (!followed.leaving.signal.aborted) this.fail(error)
    })
  }

  private query(path: string, signal: AbortSignal, handle: (answer: ConsulAnswer) => Promise<void>): void {
    this.queryOn(path, signal, handle).catch((error: unknown) => this.fail(error))
  }

  private async queryOn(
    path: string,
    signal: AbortSignal,
    handle: (answer: ConsulAnswer) => Promise<void>,
  ): Promise<void> {
    let last = 0
    let seen = -1
    for (;;) {
      const { answer, isEarly } = await this.limited(() => this.wait(path, last, signal))
      const { index } = answer
      const startedMs = this.inputs.clock.elapsed()
      const next = nextIndex(last, index)
      if (next === 0 && last > 0) throw new Restarted()
      if (isEarly && last > 0 && index === last && this.inputs.mayReread()) throw new Restarted()
      if (index !== seen) {
        seen = index ?? -1
        await handle(answer)
        this.tell()
      }
      last = next
      // A catalog in which much changes is read less often than it could be.
      await this.inputs.clock.sleep(Math.max(MIN_PAUSE_MS, 2 * (this.inputs.clock.elapsed() - startedMs)), signal)
    }
  }

  private async wait(path: string, index: number, signal: AbortSignal): Promise<Waited> {
    const waitMs = this.waitMs()
    const askedMs = this.inputs.clock.elapsed()
    const answer = known(await this.inputs.client.wait(path, { index, waitMs, mayMiss: true }, signal))
    return { answer, isEarly: this.inputs.clock.elapsed() - askedMs < waitMs }
  }

  private waitMs(): number {
    return this.nodes.size * 2 < QUERIES_AT_ONCE ? LONG_WAIT_MS : SHORT_WAIT_MS
  }

  /** As soon as everything is known. */
  private tell(): void {
    const facts: NodeFacts[] = []
    for (const { node, services, checks, isFiltered, index } of this.nodes.values()) {
      if (!services || !checks) return
      facts.push({ node, services, checks, isFiltered, index })
    }
    if (facts.length === 0) return
    try {
      this.inputs.told(facts)
    } catch (error) {
      this.fail(error)
    }
  }
}

const MIN_PAUSE_MS = 5

/** The objects of last time for what has not been written since: whoever remembers something of them need not look again. */
function unchanged(
  before: readonly CatalogService[] | undefined,
  now: readonly CatalogService[],
): readonly CatalogService[] {
  const known = new Map(before?.map((service) => [service.id, service]))
  return now.map((service) => {
    const same = known.get(service.id)
    return same?.modifyIndex === service.modifyIndex ? same : service
  })
}
