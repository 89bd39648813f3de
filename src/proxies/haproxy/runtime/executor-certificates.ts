import { HostlerError } from '../../../lib/errors.js'
import { asPayload, isListablePath } from './certificate-payload.js'
import { command, type Execute, refusedStep, type StepContext } from './executor-context.js'
import { commandLine } from './socket-command.js'

/** Served from the next handshake on. A pair that does not match is refused, and the old one stays. */
export const setCertificate: Execute<'set-certificate'> = async ({ path, pem }, context) => {
  await loadPair(checkedPath(path), pem, context)
}

export const addCertificate: Execute<'add-certificate'> = async ({ path, pem, list, lines, known }, context) => {
  checkedPath(path)
  for (const filter of lines.flat()) checkedFilter(filter)
  if (!known) await command(context, 'new-cert', commandLine('new', 'ssl', 'cert', path), path)
  try {
    await loadPair(path, pem, context)
    for (const filters of lines) {
      const line = commandLine('add', 'ssl', 'crt-list', list)
      const entry = { command: line, payload: [path, ...filters].join(' ') }
      await command(context, 'add-crt-list', entry, path)
    }
  } catch (error) {
    await context.undo((session) => deleteEntries(path, list, { ...context, session }))
    await context.undo((session) => session.ask(commandLine('del', 'ssl', 'cert', path)))
    throw error
  }
}

/** The first certificate of a list is what clients without a known name get: HAProxy does not let it go. */
export const removeCertificate: Execute<'remove-certificate'> = async ({ path, list }, context) => {
  checkedPath(path)
  await deleteEntries(path, list, context)
  await command(context, 'del-cert', commandLine('del', 'ssl', 'cert', path), path)
}

async function loadPair(path: string, pem: string, context: StepContext): Promise<void> {
  await refuseOpenTransaction(context)
  try {
    const line = commandLine('set', 'ssl', 'cert', path)
    await command(context, 'set-cert', { command: line, payload: asPayload(pem) }, path)
    await command(context, 'commit-cert', commandLine('commit', 'ssl', 'cert', path), path)
  } catch (error) {
    // HAProxy keeps one transaction at a time; left open, it would block every later change.
    await context.undo((session) => session.ask(commandLine('abort', 'ssl', 'cert', path)))
    throw error
  }
}

/**
 * 2.6 has one transaction and puts what is set for one certificate into the one that is open for another: it must not
 * even be asked. Later versions refuse by themselves.
 */
async function refuseOpenTransaction({ session, worker }: StepContext): Promise<void> {
  if (worker.version.major >= 3) return
  const { text } = await session.ask('show ssl cert')
  const open = /^# transaction\n\*?(.*)$/m.exec(text)?.[1]
  if (open === undefined) return
  throw new HostlerError(
    'HAPROXY_REFUSED',
    `Somebody has set the certificate ${open} in HAProxy and neither committed nor aborted it.`,
  )
}

/** Every line of the list that names it. Lines keep their numbers when others go. */
async function deleteEntries(path: string, list: string, context: StepContext): Promise<void> {
  const { text } = await context.session.ask(commandLine('show', 'ssl', 'crt-list', '-n', list))
  const [heading, ...lines] = text.split('\n')
  if (heading !== `# ${list}`) {
    throw new HostlerError('HAPROXY_REFUSED', `HAProxy has no list of certificates ${list}: "${heading}".`)
  }
  for (const line of lines) {
    const [entry = ''] = line.split(' ')
    if (entry.slice(0, entry.lastIndexOf(':')) !== path) continue
    await command(context, 'del-crt-list', commandLine('del', 'ssl', 'crt-list', list, entry), path)
  }
}

function checkedPath(path: string): string {
  if (!isListablePath(path)) throw refusedStep(`The path \`${path}\` cannot stand in a list of certificates.`)
  return path
}

function checkedFilter(filter: string): void {
  if (/[\s[\]#]|^$/.test(filter)) throw refusedStep(`\`${filter}\` cannot be a name in a list of certificates.`)
}
