import { basename } from 'node:path'
import { printOf, unsendable } from './certificate-payload.js'
import { compareLists, type ListedCertificate, readCrtList } from './crt-list.js'
import { type FileRoles, keyFileOf } from './image.js'
import { NeedsReload } from './image-reload.js'
import type { SpareState } from './spares.js'
import type { ConfigImage, RunningCertificates, Step } from './types.js'

export interface CertificateInputs {
  readonly loaded: ConfigImage
  readonly wanted: ConfigImage
  /** What HAProxy shows; where it was not asked, it has what it loaded, or what we put there since. */
  readonly running?: RunningCertificates | undefined
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
 * Moves certificates and the crt-lists that name them, whether the files have changed or somebody has changed them in HAProxy.
 * Its fingerprints tell the certificates, not the chains that are sent with them.
 * @throws NeedsReload
 */
export function createCertificatePlanner(): (inputs: CertificateInputs) => CertificatePlan {
  const known = new Map<string, { readonly pem: string; readonly print: string | undefined }>()
  const settled: SettledLists = new Map()
  const print = (path: string, pem: string): string | undefined => {
    const one = known.get(path)
    if (one?.pem === pem) return one.print
    const read = printOf(pem)
    known.set(path, { pem, print: read })
    return read
  }
  return (inputs) => {
    for (const path of known.keys()) if (!inputs.wanted.has(path)) known.delete(path)
    return planCertificates(inputs, print, settled)
  }
}

/** The fingerprint of the certificate at a path with this content. */
type Print = (path: string, pem: string) => string | undefined

/** What a list was and should be when nothing had to be done. */
type SettledLists = Map<string, { readonly was: string; readonly has: string }>

function planCertificates(inputs: CertificateInputs, print: Print, settled: SettledLists): CertificatePlan {
  const { loaded, wanted, files, spares } = inputs
  const present = (path: string): string => spares.files.get(path) ?? loaded.get(path) ?? ''
  const lists = files.lists.map((list) => planList(list, present, inputs, settled))
  const isNew = new Set(lists.flatMap(({ added }) => added.map(({ path }) => path)))
  const contents = files.certificates.filter((path) => !isNew.has(path) && isOther(path, present, inputs, print))
  for (const path of contents) requireServed(path, present, files)
  const all = [...files.lists, ...files.certificates, ...files.certificates.map(keyFileOf)]
  return {
    first: [
      ...contents.map((path): Step => ({ kind: 'set-certificate', path, pem: pemToSend(path, 'has changed', wanted) })),
      ...lists.flatMap(({ list, added }) => added.map((one): Step => additionOf(one, list, inputs))),
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

interface ListPlan {
  readonly list: string
  readonly added: readonly ListedCertificate[]
  readonly removed: readonly string[]
}

function planList(
  list: string,
  present: (path: string) => string,
  inputs: CertificateInputs,
  settled: SettledLists,
): ListPlan {
  const { wanted, files, loaded, running } = inputs
  const has = textOf(wanted, list)
  const was = running?.lists.get(list) ?? present(list)
  const last = settled.get(list)
  if (last?.was === was && last.has === has) return { list, added: [], removed: [] }
  const [before, after] = [readCrtList(was), readCrtList(has)]
  if (before === undefined || after === undefined) {
    if (present(list) === has) return { list, added: [], removed: [] }
    throw new NeedsReload(`${basename(list)} has changed and has options that only a load can give`)
  }
  const change = compareLists(basename(list), before, after, (path) => pemOf(wanted, path))
  for (const { path } of change.added) requireOneUse(path, list, files, wanted)
  for (const path of change.removed) requireOneUse(path, list, files, loaded)
  if (change.added.length + change.removed.length === 0) settled.set(list, { was, has })
  return { list, ...change }
}

function additionOf({ path, lines }: ListedCertificate, list: string, { wanted, running }: CertificateInputs): Step {
  const known = running?.known.has(path) === true
  return { kind: 'add-certificate', path, pem: pemToSend(path, 'is new', wanted), list, lines, ...(known && { known }) }
}

/** A certificate that is gone is no change of its content: the list says whether it goes. */
function isOther(
  path: string,
  present: (path: string) => string,
  { wanted, running }: CertificateInputs,
  print: Print,
): boolean {
  const pem = wanted.get(path)
  if (pem === undefined) return false
  if ([path, keyFileOf(path)].some((one) => present(one) !== textOf(wanted, one))) return true
  const shown = running?.prints.get(path)
  return shown !== undefined && shown !== print(path, pem)
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

function pemToSend(path: string, event: string, wanted: ConfigImage): string {
  const pem = pemOf(wanted, path)
  const obstacle = unsendable(path, pem)
  if (obstacle !== undefined) throw new NeedsReload(`${basename(path)} ${event}, and ${obstacle}`)
  return pem
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
