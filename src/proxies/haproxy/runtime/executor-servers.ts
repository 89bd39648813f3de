import { isIP, isIPv6 } from 'node:net'
import { HostlerError } from '../../../lib/errors.js'
import { command, type Execute, refusedStep, type StepContext } from './executor-context.js'
import { isUntouched, losesCount, useOf } from './executor-quiet.js'
import { deleted, deletion, type PendingRemoval, removalName } from './executor-removals.js'
import { verified } from './replies.js'
import { commandLine } from './socket-command.js'
import { stackOf } from './spares.js'
import { parseServersState } from './state-dumps.js'

/** How long an `add server` waits for a server of that name to finish its last connections. */
const REPLACE_MS = 2000

/**
 * HAProxy adds it in maintenance, with its checks off. After this it takes requests; what it takes them for with a check
 * is up to `init-state` (3.1 and later) and, before, at once.
 */
export const addServer: Execute<'add-server'> = async (step, context) => {
  const name = removalName(step)
  const address = hostport(checkedAddress(step.address), checkedPort(step.port))
  if (!(await context.removals.ended(name, REPLACE_MS, context.signal))) throw busy(name)
  await command(context, 'add-server', commandLine('add', 'server', name, address, ...step.options))
  if (step.options.includes('check')) {
    await command(context, 'enable-health', commandLine('enable', 'health', name))
  }
  if (step.options.includes('agent-check')) {
    await command(context, 'enable-health', commandLine('enable', 'agent', name))
  }
  if (!step.options.includes('disabled')) {
    await command(context, 'enable-server', commandLine('enable', 'server', name))
  }
}

/** Returns only when HAProxy shows the new address: 3.0 and later answer first and change it a moment later. */
export const setAddress: Execute<'set-address'> = async (step, context) => {
  const name = removalName(step)
  const [address, port] = [checkedAddress(step.address), checkedPort(step.port)]
  const line = commandLine('set', 'server', name, 'addr', address, 'port', String(port))
  await command(context, 'set-address', line)
  for (let tries = 0; tries < ADDRESS_TRIES; tries++) {
    if (tries > 0) await context.clock.sleep(ADDRESS_RETRY_MS, context.signal)
    const reply = await context.session.ask(commandLine('show', 'servers', 'state', step.backend))
    const now = parseServersState(reply).get(step.backend)?.get(step.server)
    if (now?.port === port && canonical(now.address) === canonical(address)) return
  }
  throw new HostlerError('HAPROXY_REFUSED', `HAProxy took \`${line}\` and did not change the address.`)
}

const ADDRESS_TRIES = 250
const ADDRESS_RETRY_MS = 1

export const setWeight: Execute<'set-weight'> = async (step, context) => {
  const { weight } = step
  if (!Number.isInteger(weight) || weight < 0 || weight > 256) throw refusedStep(`${weight} is no weight.`)
  await command(context, 'set-weight', commandLine('set', 'server', removalName(step), 'weight', String(weight)))
}

export const setReady: Execute<'set-ready'> = async (step, context) => {
  const name = removalName(step)
  context.removals.cancel(name)
  await command(context, 'set-state', commandLine('set', 'server', name, 'state', 'ready'))
}

/** It takes no new requests from here on; what it has goes on, and it is deleted when the last of that is over. */
export const removeServer: Execute<'remove-server'> = async (step, context) => {
  const name = removalName(step)
  const reply = await context.session.ask(commandLine('set', 'server', name, 'state', 'maint'))
  // A removal that was begun earlier may have come to its end since the plan was made.
  if (GONE.test(reply.text)) return context.removals.cancel(name)
  verified('set-state', reply)
  await removeWhenUnused({ kind: 'server', backend: step.backend, server: step.server }, context)
}

const GONE = /No such server/

/** HAProxy 3.4 and later: it takes traffic when it is published. */
export const addBackend: Execute<'add-backend'> = async ({ backend, defaults }, context) => {
  await command(context, 'add-backend', commandLine('add', 'backend', backend, 'from', defaults))
  await command(context, 'publish-backend', commandLine('publish', 'backend', backend))
}

/** Deleted when its servers and its last stream are gone. */
export const removeBackend: Execute<'remove-backend'> = async ({ backend }, context) => {
  await command(context, 'unpublish-backend', commandLine('unpublish', 'backend', backend))
  await removeWhenUnused({ kind: 'backend', backend }, context)
}

type Removed = Pick<PendingRemoval, 'kind' | 'backend' | 'server'>

async function removeWhenUnused(what: Removed, context: StepContext): Promise<void> {
  const { removals, worker, session } = context
  const isCareful = what.kind === 'server' && losesCount(worker.version)
  if (isCareful && !isUntouched(await useOf(session, what))) return beginRemoval(what, context, { isCareful })
  const reply = await session.ask(deletion(what))
  const answer = deleted(what.kind, reply)
  if (answer === 'later') beginRemoval(what, context, { isCareful })
  else if (answer === 'yes') removals.cancel(removalName(what))
  else verified(`del-${what.kind}`, reply)
}

function beginRemoval(what: Removed, context: StepContext, how: { readonly isCareful: boolean }): void {
  const { removals, worker, clock, spares } = context
  const since = removals.pending.get(removalName(what))?.since ?? clock.now()
  const serves = stackOf(what.backend, spares)
  const isSpare = serves !== undefined && serves !== what.backend
  removals.begin({ ...what, ...(isSpare && { serves }), worker, since, ...(how.isCareful && { isCareful: true }) })
}

function checkedAddress(address: string): string {
  if (isIP(address) !== 0) return address
  // HAProxy registers `add server app/x name:80` and never resolves the name.
  throw refusedStep(`\`${address}\` is a name, not an IP address.`)
}

function checkedPort(port: number): number {
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port
  // HAProxy takes the port 99999 for 34463 in `set server … addr`.
  throw refusedStep(`${port} is no port.`)
}

const hostport = (address: string, port: number) => (isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`)

/** IPv6 addresses have many spellings; HAProxy shows the shortest. */
const canonical = (address: string) => (isIPv6(address) ? new URL(`http://[${address}]`).hostname : address)

function busy(name: string): HostlerError {
  return new HostlerError(
    'HAPROXY_SERVER_BUSY',
    `The server ${name} is being removed and still finishes its last connections, so that another one of this name cannot be added beside it. A reload can.`,
  )
}
