import { z } from 'zod'
import { HostlerError } from '../../lib/errors.js'
import type { ExposedPort, Instance, InstanceHealth, InstanceState } from '../../model/instance.js'

/** Labels as Rancher gives them; null and anything that is no map of plain values is a wrong answer, save null itself. */
const labelsSchema = z
  .record(z.string(), z.union([z.string(), z.number().transform(String), z.boolean().transform(String)]))
  .nullish()
  .transform((labels) => labels ?? {})

const textOrNone = z
  .string()
  .nullish()
  .transform((text) => text ?? '')

/** The parts of a container that we need, in every version the same. */
const containerSchema = z.object({
  uuid: z.string().min(1),
  name: z.string().min(1),
  primary_ip: textOrNone,
  stack_name: textOrNone,
  service_name: textOrNone,
  state: textOrNone,
  health_state: textOrNone,
  ports: z
    .array(z.string())
    .nullish()
    .transform((ports) => ports ?? []),
})

const listSchema = z.array(z.object({ labels: labelsSchema }).loose()).nullable()

/**
 * The relevant containers of an answer to `containers`, as facts sorted by id. Throws a HostlerError when the answer
 * is not such a list, or a part that we need has the wrong type: then nothing in it is to be trusted.
 */
export function readContainers(
  answer: unknown,
  isRelevant: (labels: Readonly<Record<string, string>>) => boolean,
): Instance[] {
  const listed = listSchema.safeParse(answer)
  if (!listed.success) throw wrongAnswer(listed.error)
  const instances = (listed.data ?? [])
    .filter(({ labels }) => isRelevant(labels))
    .map((container) => {
      const parts = containerSchema.safeParse(container)
      if (!parts.success) throw wrongAnswer(parts.error, container['name'])
      return toInstance(parts.data, container.labels)
    })
    .sort((a, b) => (a.id < b.id ? -1 : 1))
  for (const [index, { id, name }] of instances.entries()) {
    if (instances[index + 1]?.id !== id) continue
    throw new HostlerError('metadata-shape', `metadata lists two containers with the uuid of ${name}`)
  }
  return instances
}

function wrongAnswer(error: z.ZodError, container?: unknown): HostlerError {
  const [issue] = error.issues
  const where = issue?.path.join('.') || 'the answer'
  const whose = typeof container === 'string' ? ` of container ${JSON.stringify(container.slice(0, 80))}` : ''
  return new HostlerError(
    'metadata-shape',
    `metadata's containers are not as expected: ${where}${whose}: ${issue?.message}`,
  )
}

function toInstance(container: z.output<typeof containerSchema>, labels: Readonly<Record<string, string>>): Instance {
  const { uuid, name, primary_ip: address, stack_name: stack, service_name: service } = container
  return {
    id: uuid,
    source: 'rancher-metadata',
    name,
    ...(stack === '' ? {} : { stack }),
    ...(service === '' ? {} : { service, serverName: `${service}-${uuid}` }),
    labels,
    state: toState(container.state),
    health: toHealth(container.health_state),
    createdAt: 0,
    networks: address === '' ? [] : [{ name: 'rancher', address, shared: true }],
    ports: toPorts(container.ports, address !== ''),
  }
}

const LIVE_STATES = new Set(['', 'running', 'updating-running', 'upgraded'])
const COMING_STATES = /^(?:requested|creating|starting|restarting|activating|registering|restoring|upgrading)$/
const GOING_STATES = /^(?:stopping|removing|deactivating|updating-stopping)$/

function toState(state: string): InstanceState {
  if (LIVE_STATES.has(state)) return 'running'
  if (COMING_STATES.test(state)) return 'restarting'
  if (GOING_STATES.test(state)) return 'stopping'
  return state === 'paused' ? 'paused' : 'stopped'
}

function toHealth(health: string): InstanceHealth {
  if (health === '') return 'none'
  if (health === 'healthy' || health === 'updating-healthy') return 'healthy'
  return health === 'initializing' || health === 'reinitializing' ? 'starting' : 'unhealthy'
}

/**
 * `ip:public:private/proto`, `public:private/proto` or `private/proto`; other forms and protocols are left out. The
 * host's side counts only with an address of its own, and only once the container has one: `0.0.0.0` is another host's.
 */
function toPorts(ports: readonly string[], hasAddress: boolean): ExposedPort[] {
  const found = new Map<number, ExposedPort>()
  for (const text of ports) {
    const match = /^(?:(?:([0-9a-fA-F.:[\]]*):)?(\d{1,5}):)?(\d{1,5})(?:\/tcp)?$/.exec(text)
    if (!match) continue
    const [port, published, ip] = [Number(match[3]), Number(match[2]), (match[1] ?? '').replace(/[[\]]/g, '')]
    const reachable = hasAddress && published > 0 && ip !== '' && ip !== '0.0.0.0' && ip !== '::'
    if (!found.get(port)?.published) {
      found.set(port, reachable ? { port, published: { address: ip, port: published } } : { port })
    }
  }
  return [...found.values()].sort((a, b) => a.port - b.port)
}
