import type { FileRoles } from './image.js'
import type { Environment } from './image-routing.js'
import type { CertificateQuestions } from './state.js'
import type { ConfigImage } from './types.js'

/** What HAProxy is to be asked about: it must not be asked about what it has not loaded. */
export interface Questions {
  /** Paths as the configuration writes them. */
  readonly maps: readonly string[]
  readonly certificates: CertificateQuestions | undefined
}

/** 8 µs of HAProxy's time each, measured on 2.6. */
const FINGERPRINTS_AT_ONCE = 64

/**
 * Maps and crt-lists are asked for each time, fingerprints of certificates some at a time: with hundreds of them all are
 * looked at in turn, and a pass at rest stays cheap.
 */
export function createQuestions(env: Environment): (loaded: ConfigImage, files: FileRoles) => Questions {
  const texts = new WeakMap<ConfigImage, string>()
  const textOf = (loaded: ConfigImage, configs: readonly string[]): string => {
    const text = texts.get(loaded) ?? expanded(configs.map((config) => loaded.get(config) ?? '').join('\n'), env)
    texts.set(loaded, text)
    return text
  }
  let turn = 0
  return (loaded, { configs, maps, lists, certificates }) => {
    const text = textOf(loaded, configs)
    const isMentioned = (path: string) => text.includes(path)
    // A HAProxy that was built without TLS does not know the commands.
    if (!/\sssl\s/.test(text)) return { maps: maps.filter(isMentioned), certificates: undefined }
    const start = certificates.length > FINGERPRINTS_AT_ONCE ? turn % certificates.length : 0
    turn = start + FINGERPRINTS_AT_ONCE
    const count = Math.min(certificates.length, FINGERPRINTS_AT_ONCE)
    const paths = [...certificates, ...certificates].slice(start, start + count)
    return { maps: maps.filter(isMentioned), certificates: { lists: lists.filter(isMentioned), paths } }
  }
}

const expanded = (text: string, env: Environment): string =>
  text.replace(/\$\{?(\w+)\}?/g, (all, name: string) => env[name] ?? all)
