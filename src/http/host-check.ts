import { isIP } from 'node:net'
import { hostname } from 'node:os'

/**
 * Which names a client may call us by. A web page can point a name of its own at our address (DNS rebinding) and then
 * read what we say from a visitor's browser; so only names that nobody can register are taken for granted: addresses,
 * `localhost`, names without a dot (containers, services), and `.internal`, `.local`, `.localhost` (RFC 6761, RFC 6762,
 * ICANN's reserved `.internal`).
 */
export function createHostCheck(more: readonly string[]): (header: string | undefined) => boolean {
  const allowed = new Set([...more, hostname()].map((name) => name.toLowerCase()))
  return (header) => {
    if (header === undefined || allowed.has('*')) return true
    const name = nameOf(header)
    return isIP(name) !== 0 || isUnregistrable(name) || allowed.has(name)
  }
}

const isUnregistrable = (name: string): boolean =>
  /^[a-z0-9_-]+$/.test(name) || /\.(?:localhost|local|internal)$/.test(name)

/** The name in a Host header, without port, brackets and last dot. */
const nameOf = (header: string): string =>
  header
    .toLowerCase()
    .replace(/:\d*$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '')
