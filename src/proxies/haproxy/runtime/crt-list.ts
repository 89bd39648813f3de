import { X509Certificate } from 'node:crypto'
import { NeedsReload } from './image-reload.js'

/** One certificate of a crt-list. */
export interface ListedCertificate {
  readonly path: string
  /** The SNI filters of each of its lines; an empty line of filters stands for the names in the certificate. */
  readonly lines: readonly (readonly string[])[]
}

/**
 * A crt-list: certificates in the order of their first lines, the default one first. Undefined when lines have options in
 * brackets, which a change at run time cannot carry over with certainty.
 */
export function readCrtList(text: string): ListedCertificate[] | undefined {
  const lines = new Map<string, string[][]>()
  for (const line of text.split('\n')) {
    if (line.startsWith('#')) continue
    if (/[[\]]/.test(line)) return undefined
    const [path, ...filters] = line.split(/\s+/).filter((word) => word !== '')
    if (path !== undefined) lines.set(path, [...(lines.get(path) ?? []), filters])
  }
  return [...lines].map(([path, ofPath]) => ({ path, lines: ofPath }))
}

export interface ListChange {
  readonly added: readonly ListedCertificate[]
  /** Paths. */
  readonly removed: readonly string[]
}

/**
 * How one crt-list becomes another while it is in use. What is added then comes after what is there, so a certificate that
 * the file puts before another one must not share a name with it.
 * @param pemOf the content of a certificate
 * @throws NeedsReload
 */
export function compareLists(
  name: string,
  before: readonly ListedCertificate[],
  after: readonly ListedCertificate[],
  pemOf: (path: string) => string,
): ListChange {
  const had = new Map(before.map((one) => [one.path, one]))
  const has = new Set(after.map(({ path }) => path))
  if (before[0]?.path !== after[0]?.path) throw new NeedsReload(`the default certificate of ${name} has changed`)
  const common = after.filter(({ path }) => had.has(path))
  const removed = before.filter(({ path }) => !has.has(path)).map(({ path }) => path)
  requireOrder(common, before, name, pemOf)
  for (const { path, lines } of common) {
    if (sorted(had.get(path)?.lines) === sorted(lines)) continue
    throw new NeedsReload(`${name} serves ${path} for other names`)
  }
  const added = after.filter(({ path }) => !had.has(path))
  for (const one of added) requireNoRival(one, after.slice(after.indexOf(one) + 1), had, name, pemOf)
  return { added, removed }
}

const sorted = (lines: readonly (readonly string[])[] = []): string =>
  lines
    .map((line) => JSON.stringify(line))
    .sort()
    .join()

/** Of two certificates with one name the one that comes first is served; for others their order does not count. */
function requireOrder(
  wanted: readonly ListedCertificate[],
  before: readonly ListedCertificate[],
  list: string,
  pemOf: (path: string) => string,
): void {
  const places = new Map(before.map(({ path }, index) => [path, index]))
  const placeOf = ({ path }: ListedCertificate) => places.get(path) ?? 0
  for (const [index, one] of wanted.entries()) {
    const overtaken = wanted.slice(index + 1).filter((other) => placeOf(other) < placeOf(one))
    if (overtaken.length === 0) continue
    const names = namesOf(one, pemOf(one.path))
    const rival = overtaken.find((other) => isRival(names, namesOf(other, pemOf(other.path))))
    if (rival) throw new NeedsReload(`the certificates of ${list} stand in another order`)
  }
}

const isRival = (names: ReadonlySet<string>, others: ReadonlySet<string>): boolean =>
  shares(names, others) || [...names, ...others].some((name) => name === '*' || name.startsWith('!'))

function requireNoRival(
  one: ListedCertificate,
  later: readonly ListedCertificate[],
  had: ReadonlyMap<string, unknown>,
  list: string,
  pemOf: (path: string) => string,
): void {
  const names = namesOf(one, pemOf(one.path))
  if (names.has('*') || [...names].some((name) => name.startsWith('!'))) {
    throw new NeedsReload(`${one.path} is new in ${list} with a filter that only a load gives its place`)
  }
  const rival = later.find((other) => had.has(other.path) && shares(names, namesOf(other, pemOf(other.path))))
  if (rival)
    throw new NeedsReload(`${one.path} is new in ${list} and comes before ${rival.path}, which has the same names`)
}

const shares = (names: ReadonlySet<string>, others: ReadonlySet<string>): boolean =>
  [...names].some((name) => others.has(name))

/** Lower case. */
function namesOf({ path, lines }: ListedCertificate, pem: string): Set<string> {
  const filters = lines.flat()
  const own = lines.some((line) => line.length === 0) ? certificateNames(path, pem) : []
  return new Set([...filters, ...own].map((name) => name.toLowerCase()))
}

function certificateNames(path: string, pem: string): string[] {
  try {
    const { subjectAltName = '', subject } = new X509Certificate(pem)
    const alternatives = [...subjectAltName.matchAll(/DNS:([^,\s"]+)/g)].map(([, name = '']) => name)
    const common = /^CN=(.+)$/m.exec(subject)?.[1]
    return common === undefined ? alternatives : [...alternatives, common]
  } catch {
    throw new NeedsReload(`the names in ${path} cannot be read`)
  }
}
