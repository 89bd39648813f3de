import { z } from 'zod'
import { ANNOUNCER } from '../../lib/consul/meta.js'
import { meta, words } from '../../lib/consul/shapes.js'
import { HostlerError } from '../../lib/errors.js'
import type { AgentService } from './entries.js'

/** A service as an agent has it. */
export interface Present {
  readonly id: string
  readonly name: string
  readonly address: string
  readonly port: number
  readonly tags: readonly string[]
  readonly meta: Readonly<Record<string, string>>
  /** Ids of its checks, without that of maintenance. */
  readonly checks: ReadonlySet<string>
  /** Those of them that fail only because they were not made since the agent started. */
  readonly unmade: ReadonlySet<string>
  /** For which reason does not count: Consul keeps the first one until maintenance ends. */
  readonly isInMaintenance: boolean
  /** A check of it has failed. One that has only not been made since the agent started says nothing. */
  readonly isDead: boolean
}

const servicesSchema = z.record(
  z.string(),
  z.object({ ID: z.string(), Service: z.string(), Address: z.string(), Port: z.number(), Tags: words, Meta: meta }),
)

const said = z.string().nullish()

const checksSchema = z.record(
  z.string(),
  z.object({ CheckID: z.string(), ServiceID: z.string(), Status: z.string(), Output: said }),
)

/** Answers to `/agent/services` and `/agent/checks`. @throws HostlerError when they are none */
export function readPresent(services: unknown, checks: unknown): Map<string, Present> {
  const readServices = servicesSchema.safeParse(services ?? {})
  const readChecks = checksSchema.safeParse(checks ?? {})
  const error = readServices.error ?? readChecks.error
  if (!readServices.success || !readChecks.success) {
    const [issue] = error?.issues ?? []
    throw new HostlerError(
      'CONSUL_ANSWER',
      `Consul's agent tells its services otherwise than known: ${issue?.path.join('.')}: ${issue?.message}`,
    )
  }
  const byService = new Map<string, RawCheck[]>()
  for (const check of Object.values(readChecks.data)) {
    const others = byService.get(check.ServiceID)
    if (others) others.push(check)
    else byService.set(check.ServiceID, [check])
  }
  const all = Object.values(readServices.data)
  return new Map(all.map((service) => [service.ID, toPresent(service, byService.get(service.ID) ?? [])]))
}

type RawService = z.output<typeof servicesSchema>[string]
type RawCheck = z.output<typeof checksSchema>[string]

function toPresent({ ID, Service, Address, Port, Tags, Meta }: RawService, checks: readonly RawCheck[]): Present {
  const maintenance = checks.find(({ CheckID }) => CheckID === `_service_maintenance:${ID}`)
  const made = checks.filter((check) => check !== maintenance)
  return {
    ...{ id: ID, name: Service, address: Address, port: Port, tags: Tags, meta: Meta, checks: idsOf(made) },
    unmade: idsOf(made.filter(({ Status, Output }) => Status !== 'passing' && (Output ?? '') === '')),
    isInMaintenance: maintenance !== undefined,
    isDead: checks.some(({ Status, Output }) => Status !== 'passing' && (Output ?? '') !== ''),
  }
}

const idsOf = (checks: readonly RawCheck[]): ReadonlySet<string> => new Set(checks.map(({ CheckID }) => CheckID))

/** What an agent has after it took this. */
export const presentOf = (service: AgentService, isInMaintenance: boolean): Present => ({
  ...{ id: service.ID, name: service.Name, address: service.Address, port: service.Port },
  ...{ tags: service.Tags, meta: service.Meta, checks: new Set(service.Checks.map(({ CheckID }) => CheckID)) },
  ...{ isInMaintenance, unmade: new Set<string>(), isDead: false },
})

/** Whether an agent has exactly that. What its checks are is told by the fingerprint in the meta. */
export function isWritten(present: Present, { Name, Address, Port, Tags, Meta, Checks }: AgentService): boolean {
  return (
    present.name === Name &&
    present.address === Address &&
    present.port === Port &&
    present.tags.length === Tags.length &&
    present.tags.every((tag, at) => tag === Tags[at]) &&
    Object.keys(present.meta).length === Object.keys(Meta).length &&
    Object.entries(Meta).every(([key, value]) => present.meta[key] === value) &&
    Checks.every(({ CheckID }) => present.checks.has(CheckID))
  )
}

export const announcerOf = ({ meta }: Present): string | undefined => meta[ANNOUNCER]
