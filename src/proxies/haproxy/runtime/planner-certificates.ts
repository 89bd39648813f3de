import { basename } from 'node:path'
import { compareLists, type ListedCertificate, readCrtList } from './crt-list.js'
import { type FileRoles, keyFileOf } from './image.js'
import { NeedsReload } from './image-reload.js'
import type { SpareState } from './spares.js'
import type { ConfigImage, Step } from './types.js'

export interface CertificateInputs {
  readonly loaded: ConfigImage
  readonly wanted: ConfigImage
  readonly files: FileRoles
  readonly spares: SpareState
}

export interface CertificatePlan {
  readonly first: readonly Step[]
  readonly last: readonly Step[]
  /** What the lists and certificates hold once the steps are done, where that is not what was loaded. */
  readonly files: ReadonlyMap<string, string>
}

/**
 * Moves certificates and the crt-lists that name them. HAProxy is not asked what it holds: it has what it loaded, or what
 * we put there since.
 * @throws NeedsReload
 */
export function planCertificates(inputs: CertificateInputs): CertificatePlan {
  const { loaded, wanted, files, spares } = inputs
  const present = (path: string): string => spares.files.get(path) ?? loaded.get(path) ?? ''
  const lists = files.lists.map((list) => planList(list, present, inputs))
  const isNew = new Set(lists.flatMap(({ added }) => added.map(({ path }) => path)))
  const contents = files.certificates.filter((path) => !isNew.has(path) && hasChanged(path, present, wanted))
  for (const path of contents) requireServed(path, present, files)
  const all = [...files.lists, ...files.certificates, ...files.certificates.map(keyFileOf)]
  return {
    first: [
      ...contents.map((path): Step => ({ kind: 'set-certificate', path, pem: pemOf(wanted, path) })),
      ...lists.flatMap(({ list, added }) => added.map((one): Step => additionOf(one, list, wanted))),
    ],
    last: lists.flatMap(({ list, removed }) =>
      removed.map((path): Step => ({ kind: 'remove-certificate', path, list })),
    ),
    files: new Map(
      all.filter((path) => textOf(wanted, path) !== textOf(loaded, path)).map((path) => [path, textOf(wanted, path)]),
    ),
  }
}

const textOf = (image: ConfigImage, path: string): string => image.get(path) ?? ''

function planList(list: string, present: (path: string) => string, { wanted, files, loaded }: CertificateInputs) {
  const [had, has] = [present(list), wanted.get(list) ?? '']
  if (had === has) return { list, added: [], removed: [] }
  const pem = (path: string) => pemOf(wanted, path)
  const change = compareLists(basename(list), certain(list, had), certain(list, has), pem)
  for (const { path } of change.added) requireOneUse(path, list, files, wanted)
  for (const path of change.removed) requireOneUse(path, list, files, loaded)
  return { list, ...change }
}

const additionOf = ({ path, lines }: ListedCertificate, list: string, wanted: ConfigImage): Step => ({
  kind: 'add-certificate',
  path,
  pem: pemOf(wanted, path),
  list,
  lines,
})

/** A certificate that is gone is no change of its content: the list says whether it goes. */
const hasChanged = (path: string, present: (path: string) => string, wanted: ConfigImage): boolean =>
  wanted.has(path) && [path, keyFileOf(path)].some((one) => present(one) !== (wanted.get(one) ?? ''))

function certain(list: string, text: string): ListedCertificate[] {
  const read = readCrtList(text)
  if (read === undefined)
    throw new NeedsReload(`${basename(list)} has changed and has options that only a load can give`)
  return read
}

/** Certificate and key as one text, wherever the key lies. */
function pemOf(wanted: ConfigImage, path: string): string {
  const pem = wanted.get(path)
  if (pem === undefined) throw new NeedsReload(`${basename(path)} is new and its content is not known`)
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem)) return pem
  const key = wanted.get(keyFileOf(path))
  if (key === undefined) throw new NeedsReload(`${basename(path)} has no private key`)
  return `${pem.trimEnd()}\n${key}`
}

/** A certificate that something else refers to as well cannot be taken away, or is there already. */
function requireOneUse(path: string, list: string, { lists, configs }: FileRoles, image: ConfigImage): void {
  const others = [...lists.filter((other) => other !== list), ...configs]
  const other = others.find((file) => image.get(file)?.includes(path))
  if (other !== undefined) throw new NeedsReload(`${basename(path)} is named in ${basename(other)} too`)
}

/** Whether the worker has it: by a crt-list, or by a `crt PATH` in a configuration. */
function requireServed(path: string, present: (path: string) => string, { lists, configs }: FileRoles): void {
  if ([...lists, ...configs].some((file) => present(file).includes(path))) return
  throw new NeedsReload(`${basename(path)} has changed`)
}
