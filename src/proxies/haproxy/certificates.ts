import { createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf } from '../../lib/errors.js'
import type { Logger } from '../../lib/logger.js'
import { createLastGood } from './certificates-last-good.js'
import type { CertificateContext } from './context.js'

/** The certificates that HAProxy can load: the default one first, then the folder's, by name. */
export interface Certificates {
  /**
   * A bad one would make HAProxy refuse everything, so the one that HAProxy has taken before is served in its place, from a
   * copy, and it is left out where there is none. Each is said once.
   */
  list(): CertificateContext[]
  /** HAProxy has taken what was listed last. */
  inForce(): void
  /** What HAProxy says of files that it refuses: those that it names are bad until they change. @returns whether it names one */
  blame(words: string): boolean
}

export interface CertificatesInputs {
  readonly file: string
  readonly folder: string
  /** Where copies lie. */
  readonly copies: string
  readonly log: Logger
}

interface Judged {
  readonly stamp: string
  readonly pem: string
  /** Why it cannot be served; undefined when it can. */
  readonly problem?: string | undefined
}

export function createCertificates({ file, folder, copies, log }: CertificatesInputs): Certificates {
  const judged = new Map<string, Judged>()
  const lastGood = createLastGood(copies, (pem) => flaw(pem) === undefined)
  const told = new Map<string, string>()
  let listed: readonly { readonly path: string; readonly shown: string }[] = []

  function judge(path: string): Judged {
    const stamp = stampOf(path)
    const known = judged.get(path)
    if (known?.stamp === stamp) return known
    const verdict = { stamp, ...readPair(path) }
    judged.set(path, verdict)
    return verdict
  }

  /** Where it is to be read from: its own path, a copy of the one before it, or nowhere. */
  function placeOf(path: string): string | undefined {
    const { problem, stamp } = judge(path)
    if (problem === undefined) return path
    const copy = lastGood.copyOf(path)
    const says = copy ? 'the certificate cannot be served; the one before it still is' : CANNOT
    if (told.get(path) !== `${stamp} ${says}`) log.error({ path, reason: problem, ...(copy && { copy }) }, says)
    told.set(path, `${stamp} ${says}`)
    return copy
  }

  return {
    list() {
      const paths = [file, ...pemFiles(folder)].filter((path) => existsSync(path))
      const found = paths.flatMap((path) => {
        const shown = placeOf(path)
        return shown === undefined ? [] : [{ path, shown }]
      })
      listed = found
      return found.map(({ path, shown }) => ({ path: shown, host: path === file ? null : hostOf(path) }))
    },
    inForce() {
      for (const { path, shown } of listed) if (path === shown) lastGood.remember(path, judged.get(path)?.pem ?? '')
      lastGood.tidy(listed.map(({ path, shown }) => ({ path, isCopied: path !== shown })))
    },
    blame(words) {
      const named = listed.filter(({ shown }) => words.includes(`'${shown}'`))
      for (const { path, shown } of named) {
        const known = judged.get(path)
        if (path !== shown) lastGood.forget(path)
        else if (known) judged.set(path, { ...known, problem: `HAProxy refuses it: ${words}` })
      }
      return named.length > 0
    },
  }
}

const CANNOT = 'the certificate cannot be served and is left out'

function pemFiles(folder: string): string[] {
  if (folder === '' || !existsSync(folder)) return []
  return readdirSync(folder)
    .filter((name) => name.endsWith('.pem') && !/\s/.test(name))
    .sort()
    .map((name) => join(folder, name))
}

/** `app.example.com.pem` also serves exactly that host, `_.example.com.pem` its wildcard, whatever names are in them. */
function hostOf(path: string): string | null {
  const name = path
    .slice(path.lastIndexOf('/') + 1, -'.pem'.length)
    .toLowerCase()
    .replace(/^_\./, '*.')
  return /^(\*\.)?([a-z0-9-]+\.)+[a-z0-9-]+$/.test(name) ? name : null
}

function stampOf(path: string): string {
  const keyFile = `${path}.key`
  return [path, ...(existsSync(keyFile) ? [keyFile] : [])]
    .map((one) => statSync(one, { bigint: true }))
    .map(({ mtimeNs, size, ino }) => `${mtimeNs} ${size} ${ino}`)
    .join(' ')
}

const KEY = /-----BEGIN [A-Z ]*PRIVATE KEY-----/

/** Certificate and key as one text, and what is wrong with them. The key may lie beside the certificate, as `NAME.pem.key`. */
function readPair(path: string): { pem: string; problem?: string | undefined } {
  try {
    const text = readFileSync(path, 'utf8')
    const pem = KEY.test(text) ? text : `${text.trimEnd()}\n${readFileSync(`${path}.key`, 'utf8')}`
    return { pem, problem: flaw(pem) }
  } catch (error) {
    return { pem: '', problem: messageOf(error) }
  }
}

/** Why HAProxy would refuse it, as far as can be told without HAProxy; undefined when it would not. */
function flaw(pem: string): string | undefined {
  try {
    const certificate = new X509Certificate(pem)
    const key = createPrivateKey(pem.slice(pem.search(KEY)))
    return certificate.checkPrivateKey(key) ? undefined : 'its key belongs to another certificate'
  } catch (error) {
    return messageOf(error)
  }
}
