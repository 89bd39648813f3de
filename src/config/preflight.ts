import { accessSync, constants, statSync } from 'node:fs'
import { codeOf, HostlerError } from '../lib/errors.js'
import { SOURCE_NAMES } from '../sources/names.js'
import { onlyAnnounces } from './announce.js'
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
export function preflight(settings: Settings, duties: Duties): void {
  const mistakes = [
    ...(duties.plans ? planningMistakes(settings) : []),
    ...(duties.supervises ? supervisingMistakes(settings) : []),
  ]
  if (mistakes.length > 0) throw new HostlerError('CONFIG', mistakes.join('\n'))
}

function planningMistakes({ domain, hostTemplate, templates, sources, services, ...settings }: Settings): string[] {
  return [
    ...(domain === '' && needsDomain(settings)
      ? ['domain is not set; set HOSTLER_DOMAIN to the domain under which stacks get their names']
      : []),
    ...(sources.length === 0
      ? [`sources is empty; set HOSTLER_SOURCES to one or several of ${SOURCE_NAMES.join(', ')}`]
      : []),
    ...unknownPlaceholders(hostTemplate),
    ...(services === '' ? [] : unreadable('services', 'HOSTLER_SERVICES', services, 'folder')),
    ...(templates === '' ? [] : unreadable('templates', 'HOSTLER_TEMPLATES', templates, 'folder')),
  ]
}

/** Without a proxy nobody asks for a hostname, save Traefik by way of etcd. */
const needsDomain = (settings: Pick<Settings, 'proxy' | 'registries' | 'policies'>): boolean =>
  !onlyAnnounces(settings) || (settings.registries.includes('etcd') && settings.policies.includes('traefik'))

function unknownPlaceholders(template: string): string[] {
  const unknown = (template.match(/%[^%]*%/g) ?? []).filter(
    (word) => !/^%(STACK|SERVICE|NAME|ENVIRONMENT|DOMAIN)%$/.test(word),
  )
  return unknown.map(
    (word) => `hostTemplate knows no ${word}; it takes %STACK%, %SERVICE%, %NAME%, %ENVIRONMENT% and %DOMAIN%`,
  )
}

const supervisingMistakes = ({ haproxy }: Settings): string[] =>
  unreadable('haproxy.config', 'HAPROXY_CONFIG', haproxy.config, 'file')

function unreadable(key: string, variable: string, path: string, kind: 'file' | 'folder'): string[] {
  try {
    accessSync(path, constants.R_OK)
    if (statSync(path).isDirectory() === (kind === 'folder')) return []
    return [`${key}: ${path} is not a ${kind}; set ${variable} to one`]
  } catch (error) {
    return [`${key}: ${path} cannot be read (${codeOf(error)}); set ${variable} to a readable ${kind}`]
  }
}
