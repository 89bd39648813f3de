import { basename, dirname, join, resolve } from 'node:path'
import type { Settings } from '../../config/schema.js'

/** Templates whose output lies where a setting says; every other one lies beside the backends. */
const BACKENDS = 'haproxy-backends.cfg'
const DOMAIN_MAP = 'domain.map'

/** Files that the packaged templates refer to, so that their paths are known before anything is rendered. */
const KNOWN = ['path.map', 'cookie.map', 'certificates.list', 'sorry.html', '503.http', 'haproxy-frontends.cfg']

export interface Outputs {
  /** The folder of the rendered files. */
  readonly root: string
  /** File name → absolute path, for templates. */
  readonly files: Readonly<Record<string, string>>
  pathOf(name: string): string
}

export function createOutputs({ backendConfig, domainMap }: Settings['haproxy']): Outputs {
  const root = dirname(resolve(backendConfig))
  const placed: Readonly<Record<string, string>> = {
    [BACKENDS]: resolve(backendConfig),
    [DOMAIN_MAP]: resolve(domainMap),
  }
  const pathOf = (name: string): string => (Object.hasOwn(placed, name) ? (placed[name] ?? '') : join(root, name))
  const files = Object.fromEntries([...Object.keys(placed), ...KNOWN].map((name) => [name, pathOf(name)]))
  return { root, files, pathOf }
}

/** Whether a rendered file is a configuration that HAProxy loads with `-f`, rather than one that those refer to. */
export const isConfig = (path: string): boolean => basename(path).endsWith('.cfg')
