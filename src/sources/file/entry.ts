import { z } from 'zod'
import { didYouMean } from '../../lib/nearest.js'
import type { Instance } from '../../model/instance.js'

const word = (error: string) => z.union([z.string().min(1), z.number().transform(String)], { error })

const entrySchema = z.strictObject(
  {
    name: word('must be there, as text'),
    stack: word('must be text').optional(),
    service: word('must be text').optional(),
    address: z
      .string({ error: 'must be there: an IP address or a host name' })
      .regex(/^[A-Za-z0-9._:%-]+$/, { error: 'must be an IP address or a host name, without port or brackets' }),
    network: word('must be text').default('file'),
    state: z
      .enum(['running', 'paused', 'restarting', 'stopping', 'stopped'], {
        error: 'must be running, paused, restarting, stopping or stopped',
      })
      .default('running'),
    health: z
      .enum(['none', 'starting', 'healthy', 'unhealthy'], { error: 'must be none, starting, healthy or unhealthy' })
      .default('none'),
    labels: z
      .record(
        z.string(),
        z.union([z.string(), z.number().transform(String), z.boolean().transform(String)], {
          error: 'must be text, a number, true or false',
        }),
        { error: 'must be a map from label to value' },
      )
      .default({}),
    createdAt: z
      .union([z.number(), z.string().transform((text) => Date.parse(text))])
      .refine((ms) => Number.isFinite(ms) && ms >= 0)
      .default(0),
  },
  { error: (issue) => (issue.code === 'invalid_type' ? 'must be a map with name, address and labels' : undefined) },
)

/** One validated entry as a fact, or what is wrong with it, one line per mistake: `createdAt must be …`. */
export function toInstance(value: unknown): Instance | readonly string[] {
  const { success, data, error } = entrySchema.safeParse(value)
  if (!success) return error.issues.flatMap(describeIssue)
  const { name, stack, service, address, network, ...rest } = data
  return {
    id: name,
    source: 'file',
    name,
    ...(stack === undefined ? {} : { stack }),
    ...(service === undefined ? {} : { service }),
    labels: rest.labels,
    state: rest.state,
    health: rest.health,
    createdAt: rest.createdAt,
    networks: [{ name: network, address, shared: true }],
    ports: [],
  }
}

function describeIssue(issue: z.core.$ZodIssue): string[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => `unknown field ${printable(key)}.${didYouMean(key, Object.keys(entrySchema.shape))}`)
  }
  const field = issue.path.map(String).join(' → ')
  const message = field === 'createdAt' ? 'must be a date such as 2026-01-31T12:00:00Z, or milliseconds' : issue.message
  return [field === '' ? message : `${printable(field)} ${message}`]
}

const printable = (text: string) => JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text).slice(1, -1)
