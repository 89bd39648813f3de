import { z } from 'zod'
import { HostlerError } from '../errors.js'
import { isRancherId } from './address.js'

/** The parts of Rancher's resources that we need. What they say is somebody else's text. */

const textOrNone = z
  .string()
  .nullish()
  .transform((text) => text ?? '')

const id = z.string().refine(isRancherId, 'is no id')

/** Text, whatever was written: a bad label is for those to judge who read it, and costs nobody else anything. */
const plainMap = z
  .record(z.string(), z.unknown())
  .nullish()
  .transform((map) => Object.fromEntries(Object.entries(map ?? {}).map(([key, value]) => [key, asText(value)])))

const asText = (value: unknown): string => {
  if (value === null || value === undefined) return ''
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

const texts = z
  .array(z.string())
  .nullish()
  .transform((list) => list ?? [])

const launchConfig = z
  .object({
    imageUuid: textOrNone,
    labels: plainMap,
    environment: plainMap,
    ports: texts,
    expose: texts,
    networkMode: textOrNone,
    healthCheck: z
      .unknown()
      .optional()
      .transform((check) => check !== null && check !== undefined),
    stopTimeout: z.number().nullish(),
  })
  .nullish()

/** Of sidekicks: containers that go where those of the service go. */
const secondaryLaunchConfigs = z
  .array(z.object({ ports: texts }))
  .nullish()
  .transform((list) => list ?? [])

const publicEndpoints = z
  .array(z.object({ ipAddress: textOrNone, port: z.number().int().nullish(), instanceId: textOrNone }))
  .nullish()
  .transform((list) => list ?? [])

const serviceSchema = z
  .object({
    id,
    uuid: textOrNone,
    name: z.string().min(1),
    /** The stack: `stackId`, or `environmentId` in v1. */
    stackId: textOrNone,
    environmentId: textOrNone,
    state: textOrNone,
    healthState: textOrNone,
    transitioning: textOrNone,
    transitioningMessage: textOrNone,
    scale: z
      .number()
      .nullish()
      .transform((scale) => scale ?? 1),
    createdTS: z.number().nullish(),
    created: textOrNone,
    launchConfig,
    secondaryLaunchConfigs,
    publicEndpoints,
    actions: z
      .record(z.string(), z.unknown())
      .nullish()
      .transform((actions) => new Set(Object.keys(actions ?? {}))),
  })
  .transform(({ stackId, environmentId, createdTS, created, ...rest }) => ({
    ...rest,
    stackId: stackId || environmentId,
    /** Milliseconds since the epoch; 0 when it is not told. */
    createdAt: createdTS ?? (Date.parse(created) || 0),
  }))

export type RancherService = z.output<typeof serviceSchema>

const namedSchema = z.object({ id, name: z.string().min(1), state: textOrNone })

/** A project or a stack. */
export type RancherNamed = z.output<typeof namedSchema>

const labelledSchema = z.object({ launchConfig: z.object({ labels: plainMap }).nullish() })

/** The labels of what may be a service: what decides whether the rest of it matters. @throws HostlerError `rancher-shape` */
export const readLabels = (answer: unknown): Readonly<Record<string, string>> =>
  read(labelledSchema, answer, 'service').launchConfig?.labels ?? {}

/** @throws HostlerError `rancher-shape` */
export const readService = (answer: unknown): RancherService => read(serviceSchema, answer, 'service')

/** @throws HostlerError `rancher-shape` */
export const readNamed = (answer: unknown, what: 'project' | 'stack'): RancherNamed => read(namedSchema, answer, what)

function read<T>(schema: z.ZodType<T>, answer: unknown, what: string): T {
  const { success, data, error } = schema.safeParse(answer)
  if (success) return data
  const [issue] = error.issues
  const where = issue?.path.join('.') || 'the answer'
  const name = (answer as { name?: unknown } | null)?.name
  const whose = typeof name === 'string' ? ` ${JSON.stringify(name.slice(0, 80))}` : ''
  throw new HostlerError(
    'rancher-shape',
    `Rancher tells of a ${what}${whose} in a way not understood: ${where}: ${issue?.message}`,
  )
}
