import { BlockList, isIPv6 } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { Access } from './access.js'
import type { Operation } from './openapi.js'
import { problem, sendProblem } from './problems.js'

/** What may be asked of sleep and wake by name: a stack, a service or a container. */
export interface LifecycleControls {
  /** Resolves when it is awake. */
  wake(name: string): Promise<WakeAnswer>
  /** Resolves when it sleeps, or was woken again meanwhile. */
  sleep(name: string): Promise<WakeAnswer>
  /** The app itself says that it is in use. */
  heartbeat(name: string): { readonly group: string }
  /** Looks for idle stacks now. */
  reap(): Promise<ReapAnswer>
}

export interface LifecycleRoutesOptions {
  readonly controls: LifecycleControls
  readonly access: Access
  /** From where `GET /reaper` may be called: `ADDRESS/BITS`. */
  readonly reaperNetwork: string
}

const wakeAnswer = z
  .strictObject({
    group: z.string(),
    result: z.string().describe('awake, asleep, cancelled or refused'),
    ms: z.number().optional().describe('How long it took, in milliseconds'),
  })
  .meta({ id: 'Woken' })
export type WakeAnswer = z.output<typeof wakeAnswer>

const heartbeatAnswer = z.strictObject({ group: z.string() }).meta({ id: 'Heartbeat' })

const reapAnswer = z
  .strictObject({
    done: z.array(z.strictObject({ group: z.string(), why: z.string(), result: z.string() })),
    kept: z.number().int().describe('How many groups were left as they are'),
  })
  .meta({ id: 'Reaped' })
export type ReapAnswer = z.output<typeof reapAnswer>

interface Named {
  Params: { name: string }
}

export function addLifecycleRoutes(
  app: FastifyInstance,
  { controls, access, reaperNetwork }: LifecycleRoutesOptions,
): void {
  const guarded = { onRequest: access.guard }
  // A start may take minutes in which nothing moves on this connection.
  const patient = (request: Pick<FastifyRequest, 'raw'>) => request.raw.setTimeout?.(0)
  app.post<Named>('/api/wake/:name', guarded, (request) => {
    patient(request)
    return controls.wake(request.params.name)
  })
  app.post<Named>('/api/sleep/:name', guarded, (request) => {
    patient(request)
    return controls.sleep(request.params.name)
  })
  app.post<Named>('/api/heartbeat/:name', guarded, async (request) => controls.heartbeat(request.params.name))
  app.post('/reaper', guarded, () => controls.reap())
  // Predecessor 3's way, for its cron jobs: no token, but only from where the operator says.
  app.get('/reaper', async (request, reply) => {
    if (isWithin(request.ip, reaperNetwork)) return controls.reap()
    return sendProblem(reply, problem(403, 'Not from this address; see sleep.reaperNetwork, or use POST with a token.'))
  })
}

/** @param network `ADDRESS/BITS` */
function isWithin(ip: string, network: string): boolean {
  const [address = '', bits] = network.split('/')
  const family = isIPv6(address) ? 'ipv6' : 'ipv4'
  const allowed = new BlockList()
  allowed.addSubnet(address, Number(bits ?? (family === 'ipv6' ? 128 : 32)), family)
  const plain = ip.replace(/^::ffff:(?=\d+\.)/, '')
  return allowed.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4')
}

const named = { guarded: true, problems: [401, 404, 409] } as const

export const lifecycleOperations: readonly Operation[] = [
  {
    ...{ ...named, method: 'post', path: '/api/wake/{name}', problems: [401, 404, 409, 502, 504] },
    summary: 'Start what belongs to a stack, service or container, and wait until it is ready',
    answer: wakeAnswer,
  },
  {
    ...{ ...named, method: 'post', path: '/api/sleep/{name}' },
    summary: 'Put it to sleep: no new requests, then those under way, then stop',
    answer: wakeAnswer,
  },
  {
    ...{ ...named, method: 'post', path: '/api/heartbeat/{name}' },
    summary: 'Say that it is in use, whatever its traffic',
    answer: heartbeatAnswer,
  },
  {
    ...{ guarded: true, problems: [401], method: 'post', path: '/reaper' },
    summary: 'Look for idle stacks now and put them to sleep',
    answer: reapAnswer,
  },
]
