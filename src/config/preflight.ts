import { accessSync, constants, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { codeOf, HostlerError } from '../lib/errors.js'
import type { Settings } from './schema.js'

/** What a command is about to do, which decides what must be there. */
export interface Duties {
  /** It plans routes. */
  readonly plans: boolean
  /** It starts HAProxy itself. */
  readonly supervises: boolean
}

/**
 * Looks at what the settings name before anything is started.
 * @throws HostlerError `CONFIG` with one line per mistake, each with its remedy
 */
export async function preflight(settings: Settings, duties: Duties): Promise<void> {
  const mistakes = [
    ...(duties.plans ? planningMistakes(settings) : []),
    ...(duties.supervises ? await supervisingMistakes(settings) : []),
  ]
  if (mistakes.length > 0) throw new HostlerError('CONFIG', mistakes.join('\n'))
}

function planningMistakes({ domain, hostTemplate, templates, sources }: Settings): string[] {
  return [
    ...(domain === ''
      ? ['domain is not set; set HOSTLER_DOMAIN to the domain under which stacks get their names']
      : []),
    ...(sources.length === 0 ? ['sources is empty; set HOSTLER_SOURCES to docker, rancher-metadata or file'] : []),
    ...unknownPlaceholders(hostTemplate),
    ...(templates === '' ? [] : unreadable('templates', 'HOSTLER_TEMPLATES', templates, 'folder')),
  ]
}

function unknownPlaceholders(template: string): string[] {
  const unknown = (template.match(/%[^%]*%/g) ?? []).filter((word) => !/^%(STACK|SERVICE|NAME|DOMAIN)%$/.test(word))
  return unknown.map((word) => `hostTemplate knows no ${word}; it takes %STACK%, %SERVICE%, %NAME% and %DOMAIN%`)
}

async function supervisingMistakes({ haproxy, http, https }: Settings): Promise<string[]> {
  const ports = [
    { key: 'http.port', variable: 'HOSTLER_HTTP_PORT', port: http.port },
    ...(https.enabled ? [{ key: 'https.port', variable: 'HOSTLER_HTTPS_PORT', port: https.port }] : []),
  ]
  const taken = await Promise.all(ports.map(({ port }) => bindFailure(port, http.bind)))
  return [
    ...unreadable('haproxy.config', 'HAPROXY_CONFIG', haproxy.config, 'file'),
    ...ports.flatMap(({ key, variable, port }, index) =>
      taken[index] === undefined
        ? []
        : [`${key}: port ${port} cannot be bound (${taken[index]}); ${remedyFor(taken[index], variable)}`],
    ),
  ]
}

const remedyFor = (code: string, variable: string): string =>
  code === 'EACCES'
    ? `run as root, grant CAP_NET_BIND_SERVICE, or set ${variable} to one above 1023`
    : `stop what listens there, or set ${variable} to a free one`

function unreadable(key: string, variable: string, path: string, kind: 'file' | 'folder'): string[] {
  try {
    accessSync(path, constants.R_OK)
    if (statSync(path).isDirectory() === (kind === 'folder')) return []
    return [`${key}: ${path} is not a ${kind}; set ${variable} to one`]
  } catch (error) {
    return [`${key}: ${path} cannot be read (${codeOf(error)}); set ${variable} to a readable ${kind}`]
  }
}

/** The error code of trying to listen there; undefined when it works. */
function bindFailure(port: number, host: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error) => resolve(codeOf(error) ?? 'unknown'))
    server.listen({ port, ...(host !== '' && { host }), exclusive: true }, () => server.close(() => resolve(undefined)))
  })
}
