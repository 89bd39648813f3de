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
export function mentionedPaths(config: string, env: Readonly<Record<string, string | undefined>>): string[] {
  const paths = new Set<string>()
  for (const line of config.split('\n')) {
    const text = line.replace(/^\s*#.*$/, '').replace(/\$\{?(\w+)\}?/g, (_, name: string) => env[name] ?? '')
    for (const match of text.matchAll(/(?<=^|[\s"'(,])\/[\w./@+~*-]+/g)) paths.add(match[0])
  }
  return [...paths]
}
