import { z } from 'zod'
import { meta, words } from '../../lib/consul/shapes.js'
import { HostlerError } from '../../lib/errors.js'

/** A service of one node, as the catalog has it. */
export interface CatalogService {
  readonly id: string
  readonly name: string
  readonly address: string
  readonly port: number
  readonly tags: readonly string[]
  readonly meta: Readonly<Record<string, string>>
  readonly modifyIndex: number
}

export interface CatalogCheck {
  readonly id: string
  /** Empty: of the node itself. */
  readonly service: string
  readonly status: string
}

export interface CatalogNode {
  readonly name: string
  readonly address: string
}

const nodesSchema = z.array(z.object({ Node: z.string().min(1), Address: z.string() })).nullish()

const servicesSchema = z
  .object({
    Services: z
      .array(
        z.object({
          ...{ ID: z.string(), Service: z.string(), Address: z.string(), Port: z.number() },
          ...{ Tags: words, Meta: meta, ModifyIndex: z.number(), Kind: z.string().nullish() },
        }),
      )
      .nullish(),
  })
  .nullish()

const checksSchema = z.array(z.object({ CheckID: z.string(), ServiceID: z.string(), Status: z.string() })).nullish()

/** An answer to `/catalog/nodes`. @throws HostlerError */
export const nodesIn = (answer: unknown): CatalogNode[] =>
  (read(nodesSchema, answer, 'nodes') ?? []).map(({ Node, Address }) => ({ name: Node, address: Address }))

/**
 * An answer to `/catalog/node-services/NODE`; a node that is not there has none. Left out are the proxies of Consul's own mesh,
 * which carry the tags of what is behind them and speak to nobody else. @throws HostlerError
 */
export const servicesIn = (answer: unknown): CatalogService[] =>
  (read(servicesSchema, answer, 'services')?.Services ?? [])
    .filter(({ Kind }) => (Kind ?? '') === '')
    .map((service) => ({
      ...{ id: service.ID, name: service.Service, address: service.Address, port: service.Port },
      ...{ tags: service.Tags, meta: service.Meta, modifyIndex: service.ModifyIndex },
    }))

/** An answer to `/health/node/NODE`. @throws HostlerError */
export const checksIn = (answer: unknown): CatalogCheck[] =>
  (read(checksSchema, answer, 'checks') ?? []).map(({ CheckID, ServiceID, Status }) => ({
    ...{ id: CheckID, service: ServiceID, status: Status },
  }))

function read<T>(schema: z.ZodType<T>, answer: unknown, what: string): T {
  const { success, data, error } = schema.safeParse(answer)
  if (success) return data
  const [issue] = error.issues
  const where = issue?.path.join('.') || 'the answer'
  throw new HostlerError('CONSUL_ANSWER', `Consul tells its ${what} otherwise than known: ${where}: ${issue?.message}`)
}
