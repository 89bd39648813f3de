import type { FastifyInstance, FastifyReply } from 'fastify'
import { z } from 'zod'
import { messageOf } from '../lib/errors.js'
import type { Deployer } from '../lifecycle/deploy/deployer.js'
import { deployRequest } from '../lifecycle/deploy/request.js'
import type { PullStep, Workload } from '../runtimes/runtime.js'
import type { Access } from './access.js'
import { problem, problemOf, sendProblem } from './problems.js'
import { read } from './read-body.js'

export interface DeployRoutesOptions {
  readonly deployer: Deployer
  readonly access: Access
}

export const loginRequest = z
  .strictObject({ username: z.string().max(256), password: z.string().max(1024) })
  .meta({ id: 'Login' })
export const loginAnswer = z.strictObject({ token: z.string() }).meta({ id: 'Token' })
export const idAnswer = z.strictObject({ id: z.string() }).meta({ id: 'Id' })
export const removeAnswer = z.strictObject({ result: z.literal('ok') }).meta({ id: 'Removed' })

/** The words of predecessor 2's answer stand beside ours. */
export const instanceAnswer = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    image: z.string(),
    status: z.string().describe('running, paused, restarting, stopping or exited'),
    health: z.string().describe('none, starting, healthy or unhealthy'),
    labels: z.record(z.string(), z.string()),
    networks: z.array(z.string()),
    createdAt: z.string().describe('ISO 8601'),
    ContainerID: z.string(),
    ContainerName: z.string(),
    ContainerImage: z.string(),
    ContainerLabels: z.record(z.string(), z.string()),
  })
  .meta({ id: 'Instance' })
export const listAnswer = z.strictObject({ instances: z.array(instanceAnswer) }).meta({ id: 'Instances' })

const DEPLOY_BYTES = 256 << 10

/** Predecessor 2's management API: log in, deploy, list, start, remove. */
export function addDeployRoutes(app: FastifyInstance, { deployer, access }: DeployRoutesOptions): void {
  app.post('/login', { bodyLimit: 4096 }, async (request, reply) => {
    const { username, password } = read(loginRequest, request.body)
    const result = await access.login(username, password, request.ip)
    if ('token' in result) return result
    if (result.refused === 'wrong') return sendProblem(reply, problem(401, 'The user name or the password is wrong.'))
    const seconds = Math.ceil(result.waitMs / 1000)
    return sendProblem(reply.header('retry-after', seconds), problem(429, `Too many attempts; wait ${seconds} s.`))
  })

  const guarded = { onRequest: access.guard }
  app.post('/deploy', { ...guarded, bodyLimit: DEPLOY_BYTES }, async (request, reply) => {
    const wanted = read(deployRequest, request.body)
    // Pulling an image may take minutes in which nothing moves on this connection.
    request.raw.setTimeout?.(0)
    const signal = bounded()
    if (!/\bapplication\/x-ndjson\b/.test(request.headers.accept ?? ''))
      return deployer.deploy(wanted, () => undefined, signal)
    return stream(reply, (tell) => deployer.deploy(wanted, tell, signal))
  })
  app.get('/deploy', guarded, async () => ({
    instances: (await deployer.list(bounded())).map(toAnswer),
  }))
  app.put<{ Params: { id: string } }>('/deploy/:id', guarded, (request) => deployer.start(request.params.id, bounded()))
  app.delete<{ Params: { id: string } }>('/deploy/:id', guarded, async (request) => {
    await deployer.remove(request.params.id, bounded())
    return { result: 'ok' }
  })
}

/** What has begun goes on when the caller hangs up: half a deployment helps nobody. It is bounded all the same. */
const bounded = (): AbortSignal => AbortSignal.timeout(LONGEST_MS)

const LONGEST_MS = 600_000

/** One JSON object a line: what is being pulled, then the id or the problem. */
async function stream(reply: FastifyReply, work: (tell: (step: PullStep) => void) => Promise<object>) {
  reply.hijack()
  const { raw } = reply
  raw.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' })
  const write = (line: object) => void (raw.writable && raw.write(`${JSON.stringify(line)}\n`))
  try {
    write(await work((step) => write({ step })))
  } catch (error) {
    write({ problem: problemOf(error) })
    reply.log.debug({ reason: messageOf(error) }, 'a deployment failed')
  }
  raw.end()
}

const toAnswer = ({ id, name, image, state, health, labels, networks, createdAt }: Workload) => ({
  ...{ id, name, image, health, labels, networks },
  status: state === 'stopped' ? 'exited' : state,
  createdAt: new Date(createdAt).toISOString(),
  ...{ ContainerID: id, ContainerName: name, ContainerImage: image, ContainerLabels: labels },
})
