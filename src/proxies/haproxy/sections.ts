import type { OperatorSections } from './context.js'

/**
 * What the base configuration has of its own. One with frontends (predecessor 1's users have such) is used as it stands:
 * ours are left out, and so is our `be_sorry` where it has one.
 */
export function operatorSections(config: string): OperatorSections {
  let frontends = false
  let sorry = false
  let listen = false
  for (const line of config.split('\n')) {
    const [keyword, name] = line.trim().split(/\s+/)
    // A `listen` with nothing but the stats page is no way in for requests.
    if (listen && keyword === 'server') frontends = true
    if (keyword === 'frontend') frontends = true
    if (keyword === 'backend' && name === 'be_sorry') sorry = true
    if (isSection(keyword)) listen = keyword === 'listen'
  }
  return { frontends, sorry }
}

const SECTIONS = new Set([
  'global',
  'defaults',
  'frontend',
  'backend',
  'listen',
  'userlist',
  'peers',
  'resolvers',
  'cache',
])
const isSection = (keyword: string | undefined): boolean => keyword !== undefined && SECTIONS.has(keyword)

/**
 * The absolute paths that a configuration mentions, environment variables filled in: error files, certificates, lists.
 * A change of one of those files is a change of the configuration. Paths that are no files are for the caller to leave out.
 */
export const mentionedPaths = (config: string, env: Environment): string[] => matches(config, env, ANY_PATH)

/** The same for what may be a folder that HAProxy reads as a whole; any other path may be one by chance (`path_beg /tmp`). */
export const certificateFolders = (config: string, env: Environment): string[] => matches(config, env, CERTIFICATES)

type Environment = Readonly<Record<string, string | undefined>>

const ANY_PATH = /(?<=^|[\s"'(,])\/[\w./@+~*-]+/g
const CERTIFICATES = /(?<=\s(?:crt|ca-file)\s+["']?)\/[\w./@+~*-]+/g

function matches(config: string, env: Environment, pattern: RegExp): string[] {
  const lines = config.split('\n').map((line) => line.replace(/^\s*#.*$/, ''))
  const text = lines.join('\n').replace(/\$\{?(\w+)\}?/g, (_, name: string) => env[name] ?? '')
  return [...new Set([...text.matchAll(pattern)].map(([path]) => path))]
}
